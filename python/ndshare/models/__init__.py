"""Models in a worker: their inputs and outputs are the service's shared memory itself.

What belongs here: one module for each runtime, each an extra of its own (`pip install
'ndshare[onnx]'`), and nothing that another module of the package imports. Each has a class with

    inputs, outputs   name -> (shape of one call, dtype), as Worker takes them
    max_batch_size    calls that it computes at once
    on_batch(batch)   fills batch.outputs from batch.inputs, as Worker.run wants it

so that `Worker(name, model.inputs, model.outputs).run(model)` is all there is to write. `onnx` is
ONNX Runtime, `litert` LiteRT (TensorFlow Lite), `torch` a PyTorch module; `_tensors` turns the
runtimes' names and shapes into those of a service.

A model belongs to one thread, and to the process that made it: not to its forks.
"""

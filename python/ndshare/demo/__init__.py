"""The main job on real input: video in a parent, a model in its own process, two streams.

What belongs here: one job per module, nothing that the library itself needs.

    app.py            the command `ndshare demo`: options, exit codes
    inputs.py         which video, which model; what is said when a package or file is missing
    job.py            the parent's loop: decode, publish, collect, count
    exchange.py       the two streams and the processes at them, seen from the parent
    supervisor.py     the model process as the parent sees it: start, death, restart, end
    statistics_program.py  the C++ program that follows both streams, as the parent sees it
    model_process.py  the other program: it knows two names and a model file
    records.py        the fields of the two streams
    blazeface.py      face detection around the network, in NumPy: resize, anchors, suppression
    detector.py       the network itself, run by LiteRT
    video.py          decoding and encoding (PyAV)
    drawing.py        boxes on an image (Pillow)
    contact_sheet.py  the PNG
    collector.py      the files that a job leaves behind
    summary.py        what was counted, and the percentiles of it
    report.py         the live table, the plain lines and the final summary (Rich)

The C++ program itself is examples/demo_statistics.cpp; the build puts it into this folder.

Importing this package imports none of its modules, so `ndshare` works without the extra's packages.
"""

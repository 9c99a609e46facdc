"""The main job on real input: cameras ask face detectors in other processes, and all is watched.

What belongs here: one job per module, nothing that the library itself needs.

    app.py            the command `ndshare demo`: options, exit codes
    inputs.py         which videos, which model; what is said when a package or file is missing
    job.py            the parent's loop: begin everything, look at what was seen, end everything
    crew.py           the stream, the workers, the cameras and the C++ program, in order
    camera.py         a camera's process as the parent sees it
    camera_process.py a program of its own: decodes a video, asks for faces, publishes both
    face_model.py     what the workers run
    child_process.py  how a process that is ours ends
    statistics_program.py  the C++ program that follows the stream, as the parent sees it
    records.py        the fields of the stream and of the service
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

"""What a job leaves behind: the annotated video and the contact sheet.

What belongs here: which files there are and when they are complete.
"""

from pathlib import Path

import numpy as np

from ndshare.demo.contact_sheet import ContactSheet
from ndshare.demo.drawing import annotate
from ndshare.demo.exchange import Answer
from ndshare.demo.summary import Summary
from ndshare.demo.video import VideoFile, VideoSource


class Collector:
    """Takes every answered frame; both files are complete after finish()."""

    def __init__(self, output: Path, source: VideoSource) -> None:
        """Writes into the folder `output`, which exists; nothing before the first frame."""
        self._source = source
        self._video_path = output / "annotated.mp4"
        self._sheet_path = output / "contact_sheet.png"
        self._video: VideoFile | None = None
        self._sheet = ContactSheet()

    def add(self, answer: Answer) -> None:
        """Draws one answered frame; pixels and boxes are read in their streams."""
        result, faces = answer.result, answer.faces
        caption = f"#{result.number}  {result.latency_ns / 1e6:.1f} ms  process {result.pid}"
        if result.taken_over:
            caption += "  taken over"
        picture = annotate(answer.picture["image"], faces["boxes"], faces["scores"], caption)
        if self._video is None:
            width, height = picture.size
            self._video = VideoFile(self._video_path, width, height, self._source.rate)
        self._video.add(np.asarray(picture))
        self._sheet.offer(result.number - 1, picture, always=result.taken_over)

    def finish(self, summary: Summary) -> None:
        """Completes the files, and adds their paths to the summary."""
        title = f"{summary.title}: {summary.frames} frames, {summary.faces} faces"
        if self._sheet.save(self._sheet_path, title):
            summary.paths.append(self._sheet_path)
        if self._video is not None:
            self._video.close()
            summary.paths.append(self._video_path)

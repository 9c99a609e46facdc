"""What a job leaves behind: an annotated video of each camera and the contact sheet.

What belongs here: which files there are and when they are complete.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

import ndshare
from ndshare.demo.contact_sheet import ContactSheet
from ndshare.demo.drawing import annotate
from ndshare.demo.summary import PictureResult, Summary
from ndshare.demo.video import VideoFile


class Collector:
    """Takes every picture; the files are complete after finish()."""

    def __init__(self, output: Path, rates: Mapping[int, Fraction]) -> None:
        """Writes into the folder `output`, which exists; nothing before the first picture.

        rates: of each camera, in pictures a second.
        """
        self._output = output
        self._rates = rates
        self._videos: dict[int, VideoFile] = {}
        self._sheet = ContactSheet()

    def add(self, picture: ndshare.Frame, result: PictureResult) -> None:
        """Draws one picture; pixels and boxes are read in the stream."""
        caption = f"camera {result.camera} #{result.number}  {result.latency_ns / 1e6:.1f} ms"
        drawn = annotate(picture["image"], picture["boxes"], picture["scores"], caption)
        if result.camera not in self._videos:
            path = self._output / f"camera{result.camera}.mp4"
            rate = self._rates[result.camera]
            width, height = drawn.size
            self._videos[result.camera] = VideoFile(path, width, height, rate)
        self._videos[result.camera].add(np.asarray(drawn))
        self._sheet.offer(result.number - 1, drawn)

    def finish(self, summary: Summary) -> None:
        """Completes the files, and adds their paths to the summary."""
        title = f"{summary.title}: {summary.pictures} pictures, {summary.faces} faces"
        sheet = self._output / "contact_sheet.png"
        if self._sheet.save(sheet, title):
            summary.paths.append(sheet)
        for _, video in sorted(self._videos.items()):
            video.close()
            summary.paths.append(video.path)

"""The PNG: some frames of the whole job, side by side, under one line of text.

What belongs here: choosing them while their number is still unknown, and laying them out.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TILES = 12
COLUMNS = 4
TILE_WIDTH = 400
MARGIN = 8
HEADER = 40
GROUND = (24, 26, 30)
TEXT = (235, 235, 235)


class ContactSheet:
    """Collects tiles evenly over a job of any length, in bounded memory, and writes the sheet.

    Every n-th picture is kept; when four times as many are kept as fit, every second goes and n
    doubles. So what remains is spread evenly, wherever the job ends.
    """

    def __init__(self) -> None:
        self._every = 1
        self._kept: list[tuple[int, Image.Image]] = []

    def offer(self, index: int, picture: Image.Image) -> None:
        """Picture number `index` (from 0, ascending) of the job, or of one of its cameras."""
        if index % self._every == 0:
            self._kept.append((index, _tile(picture)))
            if len(self._kept) >= 4 * TILES:
                self._every *= 2
                self._kept = [kept for kept in self._kept if kept[0] % self._every == 0]

    def chosen(self) -> list[int]:
        """The indices of the tiles on the sheet, ascending."""
        return [index for index, _ in self._chosen()]

    def save(self, path: Path, title: str) -> bool:
        """Writes the PNG; False, and no file, if nothing was offered."""
        tiles = [tile for _, tile in self._chosen()]
        if not tiles:
            return False
        columns = min(COLUMNS, len(tiles))
        rows = -(-len(tiles) // columns)
        step_x, step_y = TILE_WIDTH + MARGIN, max(tile.height for tile in tiles) + MARGIN
        size = (columns * step_x + MARGIN, rows * step_y + MARGIN + HEADER)
        sheet = Image.new("RGB", size, GROUND)
        font = ImageFont.load_default(20)
        ImageDraw.Draw(sheet).text((MARGIN, MARGIN), title, fill=TEXT, font=font)
        for place, tile in enumerate(tiles):
            row, column = divmod(place, columns)
            sheet.paste(tile, (MARGIN + column * step_x, HEADER + MARGIN + row * step_y))
        sheet.save(path)
        return True

    def _chosen(self) -> list[tuple[int, Image.Image]]:
        count = min(TILES, len(self._kept))
        # First and last are always among them, the rest at equal distances.
        places = [round(i * (len(self._kept) - 1) / max(1, count - 1)) for i in range(count)]
        return [self._kept[place] for place in places]


def _tile(picture: Image.Image) -> Image.Image:
    height = max(1, round(picture.height * TILE_WIDTH / picture.width))
    return picture.resize((TILE_WIDTH, height), Image.Resampling.LANCZOS)

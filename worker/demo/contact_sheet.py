"""A picture of questions and their answers, with scores and labels. Pure: pictures in, picture out."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
TILE_PX = 150
_GAP, _FRAME, _TEXT, _HEADER = 12, 4, 36, 64
_PAPER, _INK, _FAINT = (250, 250, 248), (32, 33, 36), (110, 112, 118)
RIGHT, WRONG, ASKED = (46, 139, 87), (200, 60, 55), (70, 78, 92)


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture and two lines below it."""

    picture: Image.Image
    title: str
    label: str
    right: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A question and its answers, best first."""

    kind: str
    asked: Tile
    answers: Sequence[Tile]


def contact_sheet(rows: Sequence[Row], caption: str) -> Image.Image:
    """One row a question: what was asked on the left, then its answers."""
    columns = 1 + max(len(row.answers) for row in rows)
    step = TILE_PX + _GAP
    height = TILE_PX + _TEXT + _GAP
    sheet = Image.new("RGB", ((columns * step) + 3 * _GAP, _HEADER + len(rows) * height + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(20), ImageFont.load_default(12)
    pen.text((_GAP, _GAP), "What looks like this?", _INK, large)
    pen.text((_GAP, _GAP + 26), caption, _FAINT, small)
    for number, row in enumerate(rows):
        top = _HEADER + number * height
        _draw_tile(sheet, (_GAP, top), row.asked, ASKED, small)
        pen.text((_GAP, top + TILE_PX + 17), row.kind, _FAINT, small)
        for place, tile in enumerate(row.answers, start=1):
            corner = (2 * _GAP + place * step, top)
            _draw_tile(sheet, corner, tile, RIGHT if tile.right else WRONG, small)
            pen.text((corner[0], top + TILE_PX + 17), tile.label, _FAINT, small)
    rule = _GAP // 2 + step
    pen.line((rule + _GAP // 2, _HEADER, rule + _GAP // 2, sheet.height - _GAP), (215, 215, 212))
    return sheet


def _draw_tile(
    sheet: Image.Image, corner: tuple[int, int], tile: Tile, frame: tuple[int, int, int], font: Font
) -> None:
    left, top = corner
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((left, top, left + TILE_PX - 1, top + TILE_PX - 1), "white", frame, _FRAME)
    inner = TILE_PX - 2 * _FRAME
    picture = tile.picture.convert("RGB")
    picture.thumbnail((inner, inner), Image.Resampling.LANCZOS)
    sheet.paste(picture, (left + (TILE_PX - picture.width) // 2, top + (TILE_PX - picture.height) // 2))
    pen.text((left, top + TILE_PX + 3), tile.title, _INK, font)

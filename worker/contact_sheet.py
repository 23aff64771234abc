"""A picture of rows of products, with scores and labels. Pure: pictures in, picture out."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]
TILE_PX = 150
_GAP, _FRAME, _TEXT, _HEADER = 12, 4, 36, 64
_PAPER, _INK, _FAINT, _MISSING = (250, 250, 248), (32, 33, 36), (110, 112, 118), (228, 228, 224)
RIGHT, WRONG, ASKED, PLAIN = (46, 139, 87), (200, 60, 55), (70, 78, 92), (205, 205, 200)


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture, or None where there is none to show, in a frame, and two lines below it."""

    picture: Image.Image | None
    title: str
    label: str
    frame: Colour = PLAIN


@dataclass(frozen=True, slots=True)
class Row:
    """What a row is about, with a word for it, and what belongs to that, best first."""

    kind: str
    asked: Tile
    answers: Sequence[Tile]


def contact_sheet(rows: Sequence[Row], heading: str, caption: str) -> Image.Image:
    """One row each: what it is about on the left, then what belongs to it."""
    columns = 1 + max((len(row.answers) for row in rows), default=0)
    step = TILE_PX + _GAP
    height = TILE_PX + _TEXT + _GAP
    large, small = ImageFont.load_default(20), ImageFont.load_default(12)
    width = max(columns * step, int(small.getlength(caption)), int(large.getlength(heading))) + 3 * _GAP
    sheet = Image.new("RGB", (width, _HEADER + len(rows) * height + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), heading, _INK, large)
    pen.text((_GAP, _GAP + 26), caption, _FAINT, small)
    for number, row in enumerate(rows):
        top = _HEADER + number * height
        _draw_tile(sheet, (_GAP, top), row.asked, small)
        pen.text((_GAP, top + TILE_PX + 17), _fitted(row.kind, small), _FAINT, small)
        for place, tile in enumerate(row.answers, start=1):
            corner = (2 * _GAP + place * step, top)
            _draw_tile(sheet, corner, tile, small)
            pen.text((corner[0], top + TILE_PX + 17), _fitted(tile.label, small), _FAINT, small)
    rule = _GAP // 2 + step
    pen.line((rule + _GAP // 2, _HEADER, rule + _GAP // 2, sheet.height - _GAP), (215, 215, 212))
    return sheet


def _draw_tile(sheet: Image.Image, corner: tuple[int, int], tile: Tile, font: Font) -> None:
    left, top = corner
    pen = ImageDraw.Draw(sheet)
    inside = "white" if tile.picture else _MISSING
    pen.rectangle((left, top, left + TILE_PX - 1, top + TILE_PX - 1), inside, tile.frame, _FRAME)
    if tile.picture is not None:
        inner = TILE_PX - 2 * _FRAME
        picture = tile.picture.convert("RGB")
        picture.thumbnail((inner, inner), Image.Resampling.LANCZOS)
        sheet.paste(picture, (left + (TILE_PX - picture.width) // 2, top + (TILE_PX - picture.height) // 2))
    pen.text((left, top + TILE_PX + 3), _fitted(tile.title, font), _INK, font)


def _fitted(text: str, font: Font) -> str:
    """One line, no wider than a tile."""
    line = " ".join(text.split())
    if font.getlength(line) <= TILE_PX:
        return line
    while line and font.getlength(f"{line}…") > TILE_PX:
        line = line[:-1]
    return f"{line}…"

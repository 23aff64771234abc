from PIL import Image

from worker.contact_sheet import ASKED, RIGHT, TILE_PX, WRONG, Row, Tile, contact_sheet


def tile(
    colour: str,
    *,
    frame: tuple[int, int, int] = RIGHT,
    size: tuple[int, int] = (300, 200),
    title: str = "teal",
) -> Tile:
    return Tile(Image.new("RGB", size, colour), title, "kitchen/mugs", frame)


def test_a_row_shows_the_asked_and_its_answers_each_in_its_frame() -> None:
    asked = tile("magenta", frame=ASKED)
    row = Row("by product", asked, [tile("cyan"), tile("yellow", frame=WRONG)])
    sheet = contact_sheet([row], "What looks like this?", "compact on cpu")
    counted = {colour: count for count, colour in sheet.getcolors(10**6) or []}
    frame = 4 * 4 * (TILE_PX - 4)
    assert counted[ASKED] == counted[RIGHT] == counted[WRONG] == frame
    shown = 142 * 95  # 300 x 200 within 142 x 142
    assert counted[255, 0, 255] == counted[0, 255, 255] == counted[255, 255, 0] == shown


def test_the_order_is_kept_from_left_to_right() -> None:
    sheet = contact_sheet([Row("by photo", tile("magenta"), [tile("cyan"), tile("yellow")])], "", "")
    middle = 64 + TILE_PX // 2
    seen = [sheet.getpixel((x, middle)) for x in range(sheet.width)]
    places = [seen.index(colour) for colour in ((255, 0, 255), (0, 255, 255), (255, 255, 0))]
    assert places == sorted(places)


def test_rows_may_differ_in_length_and_pictures_in_shape() -> None:
    long = Row("by product", tile("red"), [tile("red", size=(40, 600))] * 5)
    short = Row("only kitchen", tile("red"), [])
    assert contact_sheet([long, short], "", "").width == contact_sheet([long], "", "").width
    assert contact_sheet([long, short], "", "").height > contact_sheet([long], "", "").height


def test_a_long_title_stays_below_its_own_picture() -> None:
    def drawn(title: str) -> bytes:
        row = Row("", tile("red"), [tile("red", title=title), tile("red", title="")])
        sheet = contact_sheet([row], "", "")
        left = 2 * 12 + 2 * (TILE_PX + 12)
        return sheet.crop((left, 0, sheet.width, sheet.height)).tobytes()

    assert drawn("wide " * 60) == drawn("")


def test_a_picture_that_is_missing_leaves_its_place() -> None:
    row = Row("", tile("red"), [Tile(None, "gone", "", WRONG), tile("cyan")])
    sheet = contact_sheet([row], "", "")
    middle = 64 + TILE_PX // 2
    seen = [sheet.getpixel((x, middle)) for x in range(sheet.width)]
    assert seen.count(WRONG) == 8
    assert seen.index(WRONG) < seen.index((0, 255, 255))

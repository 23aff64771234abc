from PIL import Image

from worker.demo.contact_sheet import ASKED, RIGHT, TILE_PX, WRONG, Row, Tile, contact_sheet


def tile(colour: str, *, right: bool = True, size: tuple[int, int] = (300, 200)) -> Tile:
    return Tile(Image.new("RGB", size, colour), "0.912 teal", "kitchen/mugs", right)


def test_a_row_shows_the_asked_and_its_answers_with_frames_that_say_right_or_wrong() -> None:
    asked = tile("magenta")
    row = Row("by product", asked, [tile("cyan"), tile("yellow", right=False)])
    sheet = contact_sheet([row], "compact on cpu")
    counted = {colour: count for count, colour in sheet.getcolors(10**6) or []}
    frame = 4 * 4 * (TILE_PX - 4)
    assert counted[ASKED] == counted[RIGHT] == counted[WRONG] == frame
    shown = 142 * 95  # 300 x 200 within 142 x 142
    assert counted[255, 0, 255] == counted[0, 255, 255] == counted[255, 255, 0] == shown


def test_the_order_is_kept_from_left_to_right() -> None:
    sheet = contact_sheet([Row("by photo", tile("magenta"), [tile("cyan"), tile("yellow")])], "")
    middle = 64 + TILE_PX // 2
    seen = [sheet.getpixel((x, middle)) for x in range(sheet.width)]
    places = [seen.index(colour) for colour in ((255, 0, 255), (0, 255, 255), (255, 255, 0))]
    assert places == sorted(places)


def test_rows_may_differ_in_length_and_pictures_in_shape() -> None:
    long = Row("by product", tile("red"), [tile("red", size=(40, 600))] * 5)
    short = Row("only kitchen", tile("red"), [])
    assert contact_sheet([long, short], "").width == contact_sheet([long], "").width
    assert contact_sheet([long, short], "").height > contact_sheet([long], "").height

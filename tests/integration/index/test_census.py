import time

from recommender.digest import digest_of
from recommender.index.protocol import CensusEntry, ProductIndex, Write
from recommender.merge import UNKNOWN
from tests.integration.index.builders import NO_ROWS, deleted, first, patched, rows, upserted, write


def everything(index: ProductIndex, *, limit: int = 1024, states: bool = False) -> dict[str, CensusEntry]:
    """All entries; a product that came twice would be missing from the count below."""
    found: list[CensusEntry] = []
    cursor: str | None = None
    while True:
        page = index.census(limit=limit, cursor=cursor, states=states)
        found += page.entries
        cursor = page.cursor
        if cursor is None:
            break
    entries = {entry.id: entry for entry in found}
    assert len(entries) == len(found)
    return entries


def test_a_census_counts_every_point_whatever_it_stands_for(index: ProductIndex) -> None:
    before = int(time.time())
    index.write(
        [
            first("found", rows(2), version=3, title="Boot"),
            Write("imageless", None, upserted("imageless"), (), NO_ROWS),
            Write("stub", None, patched("stub", 4, title="early"), (), NO_ROWS),
            Write("gone", None, deleted("gone", 5), (), NO_ROWS),
        ]
    )
    entries = everything(index, limit=3)
    assert {entry.id: entry.status for entry in entries.values()} == {
        "found": "searchable",
        "imageless": "imageless",
        "stub": "stub",
        "gone": "deleted",
    }
    assert [entries[name].version for name in ("found", "imageless", "stub", "gone")] == [3, 1, 4, 5]
    assert [image.etag for image in entries["found"].images] == ["etag-0", "etag-1"]
    assert all(before <= entry.written_at <= time.time() for entry in entries.values())
    assert entries["stub"].digest == entries["gone"].digest == ""
    assert all(entry.state is None for entry in entries.values())


def test_the_digest_is_that_of_the_document_as_it_is_now(index: ProductIndex) -> None:
    index.write([first("a", rows(1), title="Boot", price=10)])
    document = {"id": "a", "images": ["s3://shop/a.jpg"], "category": "women/shoes/boots", "price": 10.0}
    assert everything(index)["a"].digest == digest_of({**document, "title": "Boot"})

    state = patched("a", 2, after=upserted("a", title="Boot", price=10), title="Ankle boot")
    index.write([write("a", 1, state, None)])
    assert everything(index)["a"].digest == digest_of({**document, "title": "Ankle boot"})


def test_equal_states_are_the_same_text_however_they_came_about(index: ProductIndex) -> None:
    one = upserted("a", title=None, attributes={"x": "1", "y": "2"})
    other = upserted("a", attributes={"y": "2", "x": "1"}, in_stock=True)
    index.write([Write("a", None, one, (), NO_ROWS)])
    text = everything(index, states=True)["a"].state
    index.write([Write("a", 1, other, (), NO_ROWS)])
    assert everything(index, states=True)["a"].state == text
    assert text is not None

    index.write([Write("a", 2, patched("a", 9, after=UNKNOWN, title="x"), (), NO_ROWS)])
    assert everything(index, states=True)["a"].state != text

from collections.abc import Sequence

import numpy as np
import pytest

from recommender.index.protocol import CensusEntry, IndexedImage, Status
from worker.hashes import hashes
from worker.refresh.known import LISTED, Known, images_of, products_of, suspects_of


def entry(
    identity: str, *images: IndexedImage, version: int = 1, status: Status = "searchable"
) -> CensusEntry:
    digest = f"{int(hashes([identity])[0]):016x}" if status in {"searchable", "imageless"} else ""
    return CensusEntry(identity, status, version, digest, images, written_at=0, encoder="compact-1")


def known_of(*pages: Sequence[CensusEntry]) -> Known:
    return Known.of(map(products_of, pages), map(images_of, pages))


def listing(**objects: str) -> bytes:
    """As `s3://b/KEY` with this ETag."""
    rows = np.empty(len(objects), LISTED)
    rows["uri"] = hashes(f"s3://b/{key}" for key in objects)
    rows["etag"] = hashes(objects.values())
    return rows.tobytes()


def embedded(key: str, etag: str = "e") -> IndexedImage:
    return IndexedImage(f"s3://b/{key}", f'"{etag}"', 0)


def test_products_are_found_by_their_ids_whatever_the_pages() -> None:
    pages = [[entry("a", version=3), entry("b", version=2**53 - 1)], [entry("c", status="deleted")]]
    known = known_of(*pages, pages[0])  # a page that was noted twice
    rows = known.rows(hashes(["c", "missing", "b", "a"]))
    assert rows[1] == -1
    assert known.products["version"][rows[[3, 2, 0]]].tolist() == [3, 2**53 - 1, 1]
    assert known.live[rows[[0, 2, 3]]].tolist() == [False, True, True]
    assert len(known.products) == 3


def test_an_empty_index_knows_nothing() -> None:
    known = known_of()
    assert known.rows(hashes(["a"])).tolist() == [-1]
    assert suspects_of(known, [], complete=True).products.tolist() == []


def test_images_with_a_row_are_counted_by_product() -> None:
    failed = IndexedImage("s3://b/2", error="broken")
    known = known_of([entry("a", embedded("1"), failed, embedded("3")), entry("b")])
    assert known.embedded[known.rows(hashes(["a", "b"]))].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("image", "listed", "counts", "suspected"),
    [
        (embedded("k"), {"k": "e"}, (0, 0), False),
        (embedded("k"), {"k": "other"}, (1, 0), True),
        (embedded("k"), {}, (0, 1), True),
        (IndexedImage("s3://b/k", error="not there"), {}, (0, 0), False),
        (IndexedImage("s3://b/k", error="broken"), {"k": "e"}, (1, 0), True),
        (IndexedImage("https://h/k", '"e"', 0), {}, (0, 0), False),
        (IndexedImage("https://h/k", error="broken"), {}, (0, 0), True),
    ],
)
def test_an_image_is_suspect_by_what_the_bucket_lists(
    image: IndexedImage, listed: dict[str, str], counts: tuple[int, int], suspected: bool
) -> None:
    known = known_of([entry("bystander", embedded("x")), entry("p", image)])
    found = suspects_of(known, [listing(**listed), listing(x="e")], complete=True)
    assert (found.moved, found.vanished) == counts
    assert found.products[known.rows(hashes(["p", "bystander"]))].tolist() == [suspected, False]


def test_where_not_all_was_listed_nothing_counts_as_vanished() -> None:
    known = known_of([entry("p", embedded("k"))])
    found = suspects_of(known, [], complete=False)
    assert (found.vanished, found.products.tolist()) == (0, [False])


def test_the_page_that_was_listed_last_counts() -> None:
    known = known_of([entry("p", embedded("k"))])
    assert suspects_of(known, [listing(k="old"), listing(k="e")], complete=True).moved == 0
    assert suspects_of(known, [listing(k="e"), listing(k="new")], complete=True).moved == 1

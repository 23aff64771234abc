"""Which image is like which, also where the product changes between the search and the second look."""

import numpy as np

from recommender.asked import Asked, Row, match_of
from recommender.catalog import Match
from recommender.events import Delete, Upsert
from recommender.index.protocol import Hit, IndexedImage, StoredProduct, Vectors
from recommender.merge import UNKNOWN, merge

URIS = ["s3://b/broken", "s3://b/first", "s3://b/second"]
NO_ROWS = np.empty((0, 2), np.float32)


def rows(*rows_: tuple[float, float]) -> Vectors:
    return np.array(rows_, np.float32)


def stored(vectors: Vectors | None) -> StoredProduct:
    event = Upsert.model_validate({"id": "p", "version": 1, "images": URIS, "category": "c"})
    images = (
        IndexedImage(URIS[0], error="404"),
        IndexedImage(URIS[1], None, 0),
        IndexedImage(URIS[2], None, 1),
    )
    return StoredProduct("p", 1, merge(UNKNOWN, event), images, vectors)


ASKED = Asked((Row("seed", 0), Row("seed", 3)), rows((1, 0), (0, 1)), rows((1, 0), (0, 1)))
HIT = Hit(stored(None), 1.0, asked_row=1)


def test_the_best_pair_is_named_by_the_places_of_the_documents() -> None:
    assert match_of(HIT, ASKED, stored(rows((1, 0), (0, 1)))) == Match("seed", 3, 2)
    assert match_of(HIT, ASKED, stored(rows((0, 1), (1, 0)))) == Match("seed", 3, 1)


def test_what_was_deleted_since_names_its_first_image() -> None:
    tombstone = StoredProduct("p", 2, merge(UNKNOWN, Delete(id="p", version=2)), (), NO_ROWS)
    assert match_of(HIT, ASKED, tombstone) == Match("seed", 3, 0)
    assert match_of(HIT, ASKED, stored(None)) == Match("seed", 3, 1)


def test_a_product_of_one_image_needs_no_vectors() -> None:
    one = StoredProduct("p", 1, HIT.stored.state, HIT.stored.images[:2], None)
    assert match_of(Hit(one, 0.5), ASKED, one) == Match("seed", 0, 1)

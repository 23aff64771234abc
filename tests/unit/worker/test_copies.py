"""What a backfill asks for: the state joined, the images that the new index lacks looked at, nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recommender.events import parse_product_event
from recommender.index.protocol import DuplicateOf, IndexedImage, StoredProduct
from recommender.merge import UNKNOWN, ProductState, merge
from worker.embedding import Embedded
from worker.plan import Backfill, Copy, ImageKey, group_by_product, make_plan
from worker.swap.containment import contains
from worker.writes import write_of

FRONT, BACK = "s3://b/front.jpg", "s3://b/back.jpg"
ROW = IndexedImage(FRONT, '"etag"', 0)


def event(kind: str, version: int, **fields: Any) -> Any:
    said = {"id": "a", "version": version, **fields}
    if kind == "upsert":
        said = {"images": [FRONT], "category": "x"} | said
    return parse_product_event(f"products.{kind}", said)


UPSERT = event("upsert", 2, price=1.0)
PATCH = event("patch", 3, price=2.0)
DELETE = event("delete", 4)


def state(*events: Any) -> ProductState:
    known = UNKNOWN
    for one in events:
        known = merge(known, one)
    return known


def stored(*events: Any, images: Any = (), flag: DuplicateOf | None = None) -> StoredProduct:
    return StoredProduct("a", 1, state(*events), tuple(images), None, flag)


def planned(old: StoredProduct, new: StoredProduct | None) -> Any:
    (group,) = group_by_product([Copy(Backfill(id="a", swap="s"), old)])
    return make_plan(group, new)


@pytest.mark.parametrize(
    ("old", "new", "after", "images"),
    [
        (stored(UPSERT, images=[ROW]), None, state(UPSERT), [ImageKey(FRONT, None)]),
        (stored(UPSERT, PATCH, images=[ROW]), None, state(UPSERT, PATCH), [ImageKey(FRONT, None)]),
        (stored(DELETE), None, state(DELETE), []),
        (stored(PATCH), None, state(PATCH), []),
        # An event that came to the new one first stays.
        (stored(UPSERT, images=[ROW]), stored(DELETE), state(DELETE), []),
        (stored(UPSERT, images=[ROW]), stored(PATCH), state(UPSERT, PATCH), [ImageKey(FRONT, None)]),
        (stored(UPSERT, PATCH, images=[ROW]), stored(UPSERT, images=[ROW]), state(UPSERT, PATCH), []),
        # What is there already costs nothing, unless it is of other bytes, or has no row.
        (stored(UPSERT, images=[ROW]), stored(UPSERT, images=[ROW]), state(UPSERT), []),
        (
            stored(UPSERT, images=[replace(ROW, etag='"new"')]),
            stored(UPSERT, images=[ROW]),
            state(UPSERT),
            [ImageKey(FRONT, '"etag"')],
        ),
        (
            stored(UPSERT, images=[replace(ROW, etag=None)]),
            stored(UPSERT, images=[IndexedImage(FRONT, error="not found")]),
            state(UPSERT),
            [ImageKey(FRONT, None)],
        ),
        # What the old one could not embed either is not asked for again and again.
        (
            stored(UPSERT, images=[IndexedImage(FRONT, error="not found")]),
            stored(UPSERT, images=[IndexedImage(FRONT, error="not found")]),
            state(UPSERT),
            [],
        ),
    ],
)
def test_what_is_brought_in(
    old: StoredProduct, new: StoredProduct | None, after: ProductState, images: list[ImageKey]
) -> None:
    plan = planned(old, new)
    assert plan.state == after
    assert list(plan.images) == images
    assert plan.writes == bool(images or new is None or new.state != after)


def test_a_flag_of_a_duplicate_comes_along() -> None:
    flag = DuplicateOf("b", 0.99)
    plan = planned(stored(UPSERT, images=[ROW], flag=flag), None)
    row = np.eye(1, 4, dtype=np.float32)[0]
    assert write_of(plan, {ImageKey(FRONT, None): Embedded(row, "etag")}, 4).duplicate_of == flag


@pytest.mark.parametrize(
    ("new", "old", "through"),
    [
        (None, stored(UPSERT), False),
        (None, stored(DELETE), False),
        (stored(UPSERT, images=[ROW]), stored(UPSERT), True),
        (stored(UPSERT, images=[ROW]), stored(UPSERT, PATCH), False),
        (stored(UPSERT, PATCH, images=[ROW]), stored(UPSERT), True),
        (stored(PATCH), stored(UPSERT), False),
        (stored(DELETE), stored(UPSERT, PATCH), True),
        (stored(UPSERT, images=[ROW]), stored(DELETE), False),
        (stored(UPSERT, images=[IndexedImage(FRONT, error="not found")]), stored(UPSERT), True),
        (stored(UPSERT, images=[IndexedImage(BACK)]), stored(UPSERT), False),
    ],
)
def test_what_counts_as_through(new: StoredProduct | None, old: StoredProduct, through: bool) -> None:
    assert contains(new, old) is through

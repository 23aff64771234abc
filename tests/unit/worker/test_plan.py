from typing import Any

import pytest

from recommender.events import parse_product_event
from recommender.index.protocol import IndexedImage, StoredProduct
from recommender.merge import UNKNOWN, merge
from worker.plan import Embed, Event, ImageKey, group_by_product, make_plan, slices

FRONT, BACK = "s3://b/front.jpg", "s3://b/back.jpg"


def upsert(version: int, *images: Any, identity: str = "a") -> Any:
    document = {"id": identity, "version": version, "images": list(images or [FRONT]), "category": "x"}
    return parse_product_event("products.upsert", document)


def patch(version: int, **fields: Any) -> Any:
    said = fields or {"price": 1.0}
    return parse_product_event("products.patch", {"id": "a", "version": version, **said})


def delete(version: int) -> Any:
    return parse_product_event("products.delete", {"id": "a", "version": version})


def stored(*events: Any, images: Any = ()) -> Any:
    state = UNKNOWN
    for event in events:
        state = merge(state, event)
    return StoredProduct("a", 1, state, tuple(images))


def planned(events: list[Event], before: StoredProduct | None = None) -> Any:
    (group,) = group_by_product(events)
    return make_plan(group, before)


EMBEDDED = IndexedImage(FRONT, "etag", 0)
FAILED = IndexedImage(FRONT, error="not found")


def test_events_are_grouped_in_order() -> None:
    groups = group_by_product([upsert(1), upsert(1, identity="b"), patch(2)])
    assert [(group.id, len(group.events)) for group in groups] == [("a", 2), ("b", 1)]


def test_slices_are_cut_between_products_where_their_images_are_too_many() -> None:
    events = [upsert(1, FRONT, BACK, identity=identity) for identity in "abcd"] + [patch(2)]
    cut = list(slices(group_by_product(events), 4))
    assert [[group.id for group in groups] for groups in cut] == [["a", "b"], ["c", "d"]]
    assert [len(groups) for groups in slices(group_by_product(events), 1)] == [1, 1, 1, 1]
    assert [len(groups) for groups in slices(group_by_product([patch(2), delete(3)]), 1)] == [1]
    repairs = group_by_product([Embed(id=str(n)) for n in range(256)])
    assert sum(len(groups) for groups in slices(repairs, 64)) == 256
    assert list(slices([], 4)) == []


@pytest.mark.parametrize(
    ("events", "before", "images"),
    [
        ([upsert(1)], None, [ImageKey(FRONT, None)]),
        ([upsert(2)], stored(upsert(1), images=[EMBEDDED]), [ImageKey(FRONT, "etag")]),
        ([upsert(2, FRONT, BACK)], stored(upsert(1), images=[EMBEDDED]), [(FRONT, "etag"), (BACK, None)]),
        ([upsert(2, FRONT, FRONT)], None, [ImageKey(FRONT, None)]),
        ([upsert(2)], stored(upsert(1), images=[FAILED]), [ImageKey(FRONT, None)]),
        ([upsert(1)], stored(upsert(1), images=[FAILED]), [ImageKey(FRONT, None)]),
        ([upsert(1)], stored(upsert(1), patch(2), images=[FAILED]), [ImageKey(FRONT, None)]),
        ([upsert(1)], stored(upsert(2), images=[FAILED]), []),
        ([patch(2)], stored(upsert(1), images=[FAILED]), []),
        (
            [upsert(1, FRONT, BACK)],
            stored(upsert(1, FRONT, BACK), images=[EMBEDDED, IndexedImage(BACK, error="not found")]),
            [(FRONT, "etag"), (BACK, None)],
        ),
        ([upsert(1)], stored(upsert(1), images=[EMBEDDED]), []),
        ([upsert(1)], stored(upsert(2), images=[EMBEDDED]), []),
        ([upsert(1)], stored(upsert(1)), [ImageKey(FRONT, None)]),
        ([patch(2)], stored(upsert(1), images=[EMBEDDED]), []),
        ([patch(2)], None, []),
        ([delete(2)], stored(upsert(1), images=[EMBEDDED]), []),
        ([upsert(1), delete(2)], None, []),
        ([upsert(3)], stored(delete(2)), [ImageKey(FRONT, None)]),
        ([upsert(1)], stored(patch(2)), [ImageKey(FRONT, None)]),
        ([Embed(id="a")], stored(upsert(1), images=[EMBEDDED]), [ImageKey(FRONT, None)]),
        ([Embed(id="a")], stored(delete(1)), []),
        ([Embed(id="a")], None, []),
    ],
)
def test_images_are_looked_at_only_where_they_may_have_changed(
    events: list[Event], before: StoredProduct | None, images: Any
) -> None:
    assert list(planned(events, before).images) == images


@pytest.mark.parametrize(
    ("events", "before", "writes", "verdicts"),
    [
        ([upsert(1)], None, True, "a"),
        ([upsert(1)], stored(upsert(1), images=[EMBEDDED]), False, "r"),
        ([upsert(1)], stored(upsert(2), images=[EMBEDDED]), False, "s"),
        ([patch(1)], stored(upsert(2), images=[EMBEDDED]), False, "s"),
        ([upsert(1), patch(3), upsert(2), patch(3)], None, True, "aaar"),
        ([delete(3), upsert(2)], None, True, "as"),
        ([patch(1, attributes={})], None, False, "r"),
        ([Embed(id="a")], None, False, "s"),
        ([Embed(id="a")], stored(upsert(1), images=[EMBEDDED]), True, "a"),
    ],
)
def test_every_event_has_one_verdict(
    events: list[Event], before: StoredProduct | None, writes: bool, verdicts: str
) -> None:
    plan = planned(events, before)
    assert plan.writes is writes
    found = {id(e): "a" for e in plan.applied} | {id(e): "s" for e in plan.stale}
    found |= {id(e): "r" for e in plan.repeated}
    assert "".join(found[id(event)] for event in events) == verdicts


def test_a_failed_image_is_blamed_on_the_event_that_names_it() -> None:
    newest = upsert(3)
    assert planned([upsert(1), newest, patch(4)]).names_images is newest


@pytest.mark.parametrize(
    ("events", "before", "may"),
    [
        ([upsert(1)], None, False),
        ([upsert(1)], stored(upsert(1), images=[EMBEDDED]), False),
        ([patch(2)], stored(upsert(1), images=[EMBEDDED]), False),
        ([upsert(2)], stored(upsert(1), images=[FAILED]), False),
        ([upsert(2)], stored(upsert(1), images=[EMBEDDED]), True),
        ([upsert(2, FRONT, BACK)], stored(upsert(1), images=[EMBEDDED]), True),
        ([Embed(id="a")], stored(upsert(1), images=[EMBEDDED]), True),
    ],
)
def test_vectors_are_read_only_where_rows_may_be_kept(
    events: list[Event], before: StoredProduct | None, may: bool
) -> None:
    assert planned(events, before).may_keep_rows is may

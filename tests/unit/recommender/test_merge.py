from collections.abc import Sequence
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.events import PATCHABLE, Delete, Patch, ProductDocument, Upsert, parse_product_event
from recommender.merge import UNKNOWN, FieldPatch, ProductState, Stamp, join, merge

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def upsert(version: int, **fields: Any) -> Upsert:
    document = {"id": "p", "version": version, "images": ["s3://b/1.jpg"], "category": "shoes", **fields}
    event = parse_product_event("products.upsert", document)
    assert isinstance(event, Upsert)
    return event


def patch(version: int, **fields: Any) -> Patch:
    event = parse_product_event("products.patch", {"id": "p", "version": version, **fields})
    assert isinstance(event, Patch)
    return event


def delete(version: int) -> Delete:
    event = parse_product_event("products.delete", {"id": "p", "version": version})
    assert isinstance(event, Delete)
    return event


def state_after(*events: ProductDocument) -> ProductState:
    return reduce(merge, events, UNKNOWN)


# Few values and few versions, so that ties and repetitions are the rule.
versions = st.integers(0, 3)
titles, brands = st.sampled_from(["a", "b"]), st.sampled_from([None, "A", "B"])
attributes = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2)
patched_attributes = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from([None, "1", "2"]), max_size=2)
)
upserts = st.builds(upsert, versions, title=titles, brand=brands, attributes=attributes)
patches = (
    st.fixed_dictionaries(
        {},
        optional={
            "title": titles,
            "brand": brands,
            "in_stock": st.sampled_from([None, True, False]),
            "attributes": patched_attributes,
        },
    )
    .filter(bool)
    .flatmap(lambda fields: versions.map(lambda version: patch(version, **fields)))
)
events = st.one_of(upserts, patches, versions.map(delete))
histories = st.lists(events, min_size=1, max_size=6)


@untimed
@given(histories.flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
def test_every_order_of_events_gives_the_same_state(
    orders: tuple[Sequence[ProductDocument], Sequence[ProductDocument]],
) -> None:
    told, shuffled = orders
    assert state_after(*told) == state_after(*shuffled)
    assert state_after(*told).product == state_after(*shuffled).product


@untimed
@given(histories, st.randoms(use_true_random=False))
def test_events_told_again_at_any_time_change_nothing(told: list[ProductDocument], random: Any) -> None:
    repeated = [*told, *random.choices(told, k=4)]
    random.shuffle(repeated)
    assert state_after(*repeated) == state_after(*told)
    assert merge(state_after(*told), random.choice(told)) == state_after(*told)


@untimed
@given(histories)
def test_each_field_holds_the_value_of_the_greatest_event_that_named_it(told: list[ProductDocument]) -> None:
    state = state_after(*told)
    bases = [event for event in told if not isinstance(event, Patch)]
    base = max(bases, key=lambda event: state_after(event).base or Stamp(0, 0, ""), default=None)
    if not isinstance(base, Upsert):
        assert state.product is None
        assert state.deleted == (base is not None)
        return
    assert state.base is not None
    for name in set(PATCHABLE) - {"attributes"}:
        later = [
            state_after(event).patches[name]
            for event in told
            if isinstance(event, Patch) and name in event.model_fields_set
        ]
        winner = max(later, key=lambda named: named.stamp, default=None)
        expected = getattr(base, name)
        if winner is not None and winner.stamp > state.base:
            expected = winner.value
            if name == "in_stock" and expected is None:
                expected = True
        assert getattr(state.product, name) == expected


def test_versions_decide_before_anything_else() -> None:
    state = state_after(upsert(2, title="new"), delete(1), upsert(1, title="old"), patch(1, title="older"))
    assert state.product is not None
    assert (state.product.title, state.version) == ("new", 2)


def test_on_equal_versions_delete_beats_upsert_beats_patch() -> None:
    for order in permutations([delete(1), upsert(1, title="upsert"), patch(1, title="patch")]):
        assert state_after(*order).deleted
    for order in permutations([upsert(1, title="upsert"), patch(1, title="patch")]):
        product = state_after(*order).product
        assert product is not None
        assert product.title == "upsert"


def test_two_upserts_of_one_version_are_decided_alike_by_everyone() -> None:
    one, other = upsert(1, title="one"), upsert(1, title="other")
    assert state_after(one, other) == state_after(other, one)


def test_a_patch_names_its_fields_alone() -> None:
    state = state_after(upsert(1, title="T", brand="B", price=1), patch(3, price=3), patch(2, brand=None))
    assert state.product is not None
    assert (state.product.title, state.product.brand, state.product.price) == ("T", None, 3.0)
    assert state.version == 3
    assert state.patches["price"] == FieldPatch(Stamp(3, 0, state.patches["price"].stamp.digest), 3.0)


def test_a_patch_survives_an_older_upsert_and_falls_to_a_newer_one() -> None:
    assert _price(state_after(patch(5, price=5), upsert(4, price=4))) == 5.0
    newer = state_after(patch(5, price=5), upsert(6, price=6))
    assert _price(newer) == 6.0
    assert newer.patches == {}


def test_attributes_merge_key_by_key_and_null_removes_one() -> None:
    state = state_after(
        upsert(1, attributes={"a": "1", "b": "1", "c": "1"}),
        patch(3, attributes={"a": "3", "b": None}),
        patch(2, attributes={"a": "2", "d": "2"}),
    )
    assert state.product is not None
    assert state.product.attributes == {"a": "3", "c": "1", "d": "2"}


def test_a_key_may_hold_dots_and_look_like_a_field() -> None:
    state = state_after(
        upsert(1, attributes={"care.wash": "30", "care.dry": "no", "title": "1", "attributes.a": "1"}),
        patch(
            2, attributes={"care.wash": "60", "care.dry": None, "title": "2", "attributes.a": "2", ".": "."}
        ),
    )
    assert state.product is not None
    assert state.product.attributes == {"care.wash": "60", "title": "2", "attributes.a": "2", ".": "."}
    assert state.product.title is None


def test_clearing_all_attributes_spares_those_named_later() -> None:
    named = [
        upsert(1, attributes={"a": "1"}),
        patch(2, attributes={"b": "2"}),
        patch(3, attributes=None),
        patch(4, attributes={"c": "4"}),
    ]
    for order in permutations(named):
        product = state_after(*order).product
        assert product is not None
        assert product.attributes == {"c": "4"}


def test_clearing_in_stock_is_being_in_stock() -> None:
    product = state_after(upsert(1, in_stock=False), patch(2, in_stock=None)).product
    assert product is not None
    assert product.in_stock is True


def test_a_stub_and_a_tombstone_have_no_product() -> None:
    stub = state_after(patch(1, title="T"))
    assert (stub.product, stub.deleted, stub.version) == (None, False, 1)
    tombstone = state_after(upsert(1), delete(2), patch(3, title="T"))
    assert (tombstone.product, tombstone.deleted, tombstone.version) == (None, True, 3)
    assert merge(tombstone, upsert(2)) == tombstone


def test_a_deleted_product_comes_back_with_a_newer_upsert_and_its_newer_patches() -> None:
    product = state_after(delete(2), patch(4, title="patched"), upsert(3, title="T", brand="B")).product
    assert product is not None
    assert (product.title, product.brand) == ("patched", "B")


def test_patches_may_add_up_to_more_attributes_than_one_document_may_hold() -> None:
    state = state_after(
        upsert(1, attributes={f"a{n}": n for n in range(256)}), patch(2, attributes={"more": "1"})
    )
    assert state.product is not None
    assert len(state.product.attributes) == 257


@pytest.mark.parametrize("stale", [upsert(1, title="old"), patch(1, title="old"), delete(1)])
def test_nothing_to_do_gives_back_an_equal_state(stale: ProductDocument) -> None:
    state = state_after(upsert(2, title="new"))
    assert merge(state, stale) == state


def test_a_patch_of_no_attributes_says_nothing() -> None:
    assert state_after(patch(7, attributes={})) == UNKNOWN
    assert UNKNOWN.version == -1


def test_the_trace_id_decides_nothing_and_is_not_kept() -> None:
    traced = state_after(upsert(1, title="T", trace_id="abc"))
    assert traced == state_after(upsert(1, title="T"))
    assert not hasattr(traced.product, "trace_id")


def _price(state: ProductState) -> float | None:
    assert state.product is not None
    return state.product.price


@untimed
@given(histories, histories)
def test_two_states_joined_are_the_state_after_the_events_of_both(
    some: list[ProductDocument], others: list[ProductDocument]
) -> None:
    together = state_after(*some, *others)
    assert join(state_after(*some), state_after(*others)) == together
    assert join(state_after(*others), state_after(*some)) == together
    assert join(together, together) == together
    assert join(UNKNOWN, together) == join(together, UNKNOWN) == together

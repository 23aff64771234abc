"""Sequences of events over a few products, and how they arrive: tripled, in any order and any batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.chaos.shuffle.oracle import Document, Sent

PRODUCTS = 2
IMAGES = 8
COPIES = 3
MAX_BATCH = 9

# Few values and few versions, so that ties and repetitions are the rule.
_optional: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from([None, "Ankle boot", "Größe 38"]),
    "brand": st.sampled_from([None, "Acme", "Bolt"]),
    "price": st.sampled_from([None, 5, 89.9]),
    "currency": st.sampled_from([None, "EUR"]),
    "in_stock": st.sampled_from([None, True, False]),
    "group_id": st.sampled_from([None, "style-77"]),
    "url": st.sampled_from([None, "https://shop.example/p"]),
}
_keys = st.sampled_from(["colour", "sizes", "weight", "a.b"])
_values = st.sampled_from(["black", "", 2, 2.5, True, ["38", "39"]])
_numbers = st.integers(0, IMAGES - 1)
_images = st.lists(
    st.one_of(_numbers, st.builds(lambda number: {"uri": number, "role": "front"}, _numbers)),
    min_size=1,
    max_size=3,
)
_upserts = st.fixed_dictionaries(
    {
        "images": _images,
        "category": st.sampled_from(["women/shoes", "men", ["women/shoes", "sale"], ["men"]]),
    },
    optional={**_optional, "attributes": st.none() | st.dictionaries(_keys, _values, max_size=3)},
)
_patches = st.fixed_dictionaries(
    {},
    optional={
        **_optional,
        "attributes": st.none() | st.dictionaries(_keys, st.none() | _values, min_size=1, max_size=3),
    },
).filter(bool)
_kinds = st.one_of(
    st.tuples(st.just("products.upsert"), _upserts),
    st.tuples(st.just("products.patch"), _patches),
    st.tuples(st.just("products.delete"), st.just({})),
)
_events = st.tuples(_kinds, st.integers(0, PRODUCTS - 1), st.integers(0, 4))


@dataclass(frozen=True)
class Arrivals:
    """Events, each once, of products and images by number; and the seed of how they arrive."""

    events: list[Any]
    arrival: int

    def sent(self, ids: Sequence[str], uris: Sequence[str]) -> list[Sent]:
        """The events as a producer would send them."""
        return [
            (kind, {**_with_uris(fields, uris), "id": ids[product], "version": version})
            for (kind, fields), product, version in self.events
        ]


_sequences = st.lists(_events, min_size=1, max_size=3) | st.lists(_events, min_size=8, max_size=24)
arrivals = st.builds(Arrivals, _sequences, st.integers(0, 2**32))


def batches(sent: Sequence[Sent], copies: Sequence[int], chance: Random) -> Iterator[list[Sent]]:
    """These copies of every event, in any order, in batches of any size."""
    left = [(kind, _copy(kind, document, n)) for kind, document in sent for n in copies]
    chance.shuffle(left)
    while left:
        size = chance.randint(1, MAX_BATCH)
        yield left[:size]
        del left[:size]


def _copy(kind: str, document: Document, number: int) -> Document:
    """The same event: the second copy has a trace id, the third says what it could leave out."""
    if number == 1:
        return {**document, "trace_id": f"copy-{number}"}
    if number == 2 and kind == "products.upsert":
        return {**dict.fromkeys((*_optional, "attributes")), **document}
    return document


def _with_uris(fields: Document, uris: Sequence[str]) -> Document:
    if "images" not in fields:
        return fields
    named = [{**i, "uri": uris[i["uri"]]} if isinstance(i, dict) else uris[i] for i in fields["images"]]
    return {**fields, "images": named}

"""The flag of a duplicate, on both engines."""

from dataclasses import replace

from recommender.catalog import Filter
from recommender.index.protocol import DuplicateOf, ProductIndex
from tests.integration.index.builders import first, patched, rows, write


def found(index: ProductIndex, where: Filter) -> set[str]:
    return {hit.stored.id for hit in index.search(rows(1), where, limit=10)}


def test_a_flag_is_stored_and_filtered_on_and_overwritten(index: ProductIndex) -> None:
    copied = DuplicateOf("a", 0.987654)
    plain, flagged = first("a", rows(1, 1)), replace(first("b", rows(1, 1)), duplicate_of=copied)
    assert index.write([plain, flagged]) == set()
    stored = index.read(["a", "b"])
    assert (stored["a"].duplicate_of, stored["b"].duplicate_of) == (None, copied)
    assert [found(index, Filter(duplicate=flag)) for flag in (True, False, None)] == [
        {"b"},
        {"a"},
        {"a", "b"},
    ]
    assert [p.id for p in index.scroll(Filter(duplicate=True)).products] == ["b"]
    assert index.count(Filter(duplicate=False)) == 1

    state = patched("b", 2, after=stored["b"].state, title="new")
    assert index.write([replace(write("b", 1, state, None), duplicate_of=copied)]) == set()
    assert index.read(["b"])["b"].duplicate_of == copied
    assert index.write([write("b", 2, state, None)]) == set()
    assert index.read(["b"])["b"].duplicate_of is None
    assert found(index, Filter(duplicate=True)) == set()

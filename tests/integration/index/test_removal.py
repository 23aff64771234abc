from dataclasses import replace

import pytest

from recommender.index.protocol import IndexEngine, ProductIndex, Write
from recommender.merge import UNKNOWN
from tests.integration.index.builders import DIMENSION, NO_ROWS, deleted, first, images, rows, upserted
from tests.integration.index.conftest import FINGERPRINT


def gone(product_id: str, rev: int) -> Write:
    return Write(product_id, rev, UNKNOWN, (), None)


def test_a_state_of_which_nothing_is_known_removes_the_point_that_was_read(index: ProductIndex) -> None:
    index.write([first("kept", rows(1)), Write("tombstone", None, deleted("tombstone", 3), (), NO_ROWS)])
    assert index.size() == 2
    assert index.write([gone("tombstone", 1)]) == set()
    assert set(index.read(["kept", "tombstone"])) == {"kept"}
    assert index.size() == 1


def test_a_removal_loses_to_whoever_wrote_since_and_to_nobody_else(index: ProductIndex) -> None:
    index.write([Write(name, None, deleted(name, 3), (), NO_ROWS) for name in ("a", "b", "c")])
    after = upserted("b", 4, after=deleted("b", 3))
    back = Write("b", 1, after, images(rows(1)), rows(1))
    assert index.write([back]) == set()
    lost = index.write([gone("a", 1), gone("b", 1), replace(first("d", rows(1)), id="d")])
    assert lost == {"b"}
    assert set(index.read(["a", "b", "c", "d"])) == {"b", "c", "d"}
    assert index.read(["b"])["b"].state == after


def test_what_was_not_read_can_not_be_removed(index: ProductIndex) -> None:
    with pytest.raises(ValueError, match="a missing point can't be removed"):
        index.write([Write("a", None, UNKNOWN, (), NO_ROWS)])


def test_rows_of_another_encoder_are_not_there_for_a_reader(engine: IndexEngine) -> None:
    """As in a collection that was copied by hand."""
    engine.create(FINGERPRINT, DIMENSION)
    index = engine.open(FINGERPRINT)
    index.fingerprint = "other-000000000000"
    index.write([first("a", rows(2)), first("b", rows(1))])
    index.fingerprint = FINGERPRINT
    index.write([Write("b", 1, upserted("b", 2), images(rows(1)), rows(1))])
    stored = index.read(["a", "b"], vectors=True)
    assert [image.row for image in stored["a"].images] == [None, None]
    assert [image.row for image in stored["b"].images] == [0]
    assert {name: len(vectors) for name, one in stored.items() if (vectors := one.vectors) is not None} == {
        "a": 0,
        "b": 1,
    }
    found = {entry.id: entry.encoder for entry in index.census().entries}
    assert found == {"a": "other-000000000000", "b": FINGERPRINT}

import threading

import numpy as np
import pytest

from recommender.catalog import Filter
from recommender.index.protocol import IndexedImage, ProductIndex, StoredProduct, Write
from tests.integration.index.builders import (
    DIMENSION,
    NO_ROWS,
    deleted,
    first,
    images,
    patched,
    rows,
    upserted,
    write,
)

EVERYTHING = Filter()


def found(index: ProductIndex) -> list[str]:
    return [hit.stored.id for hit in index.search(rows(1), EVERYTHING, limit=10)]


def test_what_was_written_comes_back_exactly(index: ProductIndex) -> None:
    state = upserted(
        "sku/1 é",
        version=2**53 - 1,
        images=[{"uri": "s3://shop/a.jpg", "role": "front"}, "https://host/b.png"],
        category=["women/shoes/boots", "sale"],
        price=89.9,
        in_stock=False,
        attributes={"colour": "black", "sizes": ["38", "39"], "vegan": True, "n": 10**30, "f": 0.1},
    )
    state = patched("sku/1 é", 2**53 - 1, after=state, title="too late")
    state = upserted("sku/1 é", 1, after=patched("sku/1 é", 7, brand="Acme", attributes={"colour": None}))
    stored_images = (
        IndexedImage("s3://shop/a.jpg", '"etag"', 1, None),
        IndexedImage("https://host/b.png", None, 0, None),
        IndexedImage("s3://shop/c.jpg", None, None, "404"),
    )
    assert index.write([Write("sku/1 é", None, state, stored_images, rows(2))]) == set()

    stored = index.read(["sku/1 é", "unknown"])
    assert stored == {"sku/1 é": StoredProduct("sku/1 é", 1, state, stored_images, None)}
    assert stored["sku/1 é"].state.product == state.product
    with_vectors = index.read(["sku/1 é"], vectors=True)["sku/1 é"].vectors
    assert with_vectors is not None
    assert with_vectors.dtype == np.float32
    np.testing.assert_allclose(with_vectors, rows(2), atol=1e-6)


def test_a_document_with_every_field_comes_back_exactly(index: ProductIndex) -> None:
    state = upserted(
        "a",
        images=[{"uri": "s3://shop/a.jpg", "role": "front"}, "https://host/b.png"],
        category=["women/shoes/boots", "sale"],
        title="Ankle boot",
        price=89.9,
        currency="EUR",
        in_stock=False,
        url="https://shop.example/p/a",
        attributes={"colour": "black", "sizes": ["38"], "vegan": True, "n": 10**30, "f": 0.1},
    )
    index.write([write("a", None, state, rows(1))])
    stored = index.read(["a"])["a"].state
    assert stored == state
    assert stored.document is not None
    assert stored.document.attributes["vegan"] is True
    assert stored.document.attributes["n"] == 10**30


def test_attributes_of_any_name_are_kept_and_disturb_no_filter(index: ProductIndex) -> None:
    odd = ["Größe", "shoe size", "care.wash", 'a"b', "a[0]", "a[]", "colour.x", ".", "\\", "x" * 128]
    attributes = {"colour": "black", **dict.fromkeys(odd, "1")}
    index.write([first("a", rows(1), attributes=attributes)])
    state = patched("a", 2, after=index.read(["a"])["a"].state, attributes={"care.wash": "60", "a[]": None})
    assert index.write([write("a", 1, state, None)]) == set()
    product = index.read(["a"])["a"].state.product
    assert product is not None
    expected = {**attributes, "care.wash": "60"}
    del expected["a[]"]
    assert product.attributes == expected
    assert index.count(Filter(attributes={"colour": ("black",)})) == 1


def test_an_upsert_replaces_product_and_vectors(index: ProductIndex) -> None:
    index.write([first("a", rows(1, seed=1))])
    assert index.write([write("a", 1, upserted("a", 2, brand="Acme"), rows(3, seed=2))]) == set()
    stored = index.read(["a"], vectors=True)["a"]
    assert (stored.rev, stored.state.version) == (2, 2)
    np.testing.assert_allclose(stored.vectors, rows(3, seed=2), atol=1e-6)


def test_a_payload_only_write_keeps_the_vectors(index: ProductIndex) -> None:
    index.write([first("a", rows(2, seed=1), price=5.0, brand="Acme")])
    state = patched("a", 2, after=index.read(["a"])["a"].state, price=6.0, brand=None)
    assert index.write([Write("a", 1, state, images(rows(2)), None)]) == set()
    stored = index.read(["a"], vectors=True)["a"]
    assert (stored.rev, stored.state) == (2, state)
    np.testing.assert_allclose(stored.vectors, rows(2, seed=1), atol=1e-6)
    assert index.count(Filter(price_min=6.0)) == 1
    assert index.count(Filter(brand=("Acme",))) == 0
    assert found(index) == ["a"]


def test_a_stale_revision_loses_and_changes_nothing(index: ProductIndex) -> None:
    index.write([first("a", rows(1, seed=1)), first("b", rows(1, seed=2))])
    index.write([write("a", 1, upserted("a", 2), rows(1, seed=3))])
    before = index.read(["a"])
    lost = index.write(
        [
            write("a", 1, upserted("a", 3), rows(1, seed=4)),
            write("b", 1, upserted("b", 3), rows(1, seed=4)),
        ]
    )
    assert lost == {"a"}
    assert index.read(["a"]) == before
    assert index.read(["b"])["b"].state.version == 3
    assert index.write([write("a", 1, upserted("a", 4), None)]) == {"a"}
    assert index.read(["a"]) == before


def test_of_two_that_found_it_missing_the_second_loses(index: ProductIndex) -> None:
    assert index.write([first("a", rows(1), brand="First")]) == set()
    assert index.write([first("a", rows(1), brand="Second"), first("b", rows(1))]) == {"a"}
    product = index.read(["a"])["a"].state.product
    assert product is not None
    assert product.brand == "First"


def test_a_point_that_is_gone_is_not_brought_back_by_its_revision(index: ProductIndex) -> None:
    assert index.write([write("a", 1, upserted("a"), rows(1))]) == {"a"}
    assert index.write([write("b", 1, upserted("b"), None)]) == {"b"}
    assert index.read(["a", "b"]) == {}


def test_a_tombstone_is_kept_and_never_found(index: ProductIndex) -> None:
    index.write([first("a", rows(1)), first("b", rows(1))])
    state = deleted("a", 2, after=index.read(["a"])["a"].state)
    assert index.write([Write("a", 1, state, (), NO_ROWS)]) == set()
    stored = index.read(["a"], vectors=True)["a"]
    assert stored.state.deleted
    assert stored.vectors is not None
    assert stored.vectors.shape == (0, DIMENSION)
    assert found(index) == ["b"]
    assert index.count(EVERYTHING) == 1
    assert index.facet("category", EVERYTHING)["women"] == 1
    assert [product.id for product in index.scroll(EVERYTHING).products] == ["b"]


def test_a_late_upsert_after_a_delete_stays_deleted(index: ProductIndex) -> None:
    index.write([Write("a", None, deleted("a", 5), (), NO_ROWS)])
    stored = index.read(["a"])["a"]
    assert upserted("a", 4, after=stored.state) == stored.state
    state = upserted("a", 6, after=stored.state)
    assert index.write([write("a", stored.rev, state, rows(1))]) == set()
    assert found(index) == ["a"]


def test_a_patch_before_its_upsert_waits_unseen(index: ProductIndex) -> None:
    index.write([Write("a", None, patched("a", 5, price=3.0), (), NO_ROWS)])
    stub = index.read(["a"])["a"]
    assert stub.state.product is None
    assert found(index) == []
    assert index.count(EVERYTHING) == 0
    assert index.scroll(EVERYTHING).products == ()
    state = upserted("a", 1, after=stub.state, price=9.0)
    assert index.write([write("a", stub.rev, state, rows(1))]) == set()
    assert index.count(Filter(price_max=3.0)) == 1
    assert found(index) == ["a"]


def test_a_product_without_usable_images_is_live_but_not_found(index: ProductIndex) -> None:
    failed = (IndexedImage("s3://shop/a.jpg", None, None, "not an image"),)
    index.write([Write("a", None, upserted("a"), failed, NO_ROWS)])
    assert found(index) == []
    assert index.count(EVERYTHING) == 0
    assert [product.id for product in index.scroll(EVERYTHING).products] == ["a"]
    assert index.write([write("a", 1, upserted("a", 2), rows(1))]) == set()
    assert found(index) == ["a"]


def test_a_product_that_loses_its_images_is_found_no_more(index: ProductIndex) -> None:
    index.write([first("a", rows(1))])
    failed = (IndexedImage("s3://shop/a.jpg", None, None, "404"),)
    index.write([Write("a", 1, upserted("a", 2), failed, NO_ROWS)])
    assert found(index) == []


def test_one_batch_mixes_every_kind(index: ProductIndex) -> None:
    index.write([first("a", rows(1)), first("b", rows(1)), first("c", rows(1))])
    lost = index.write(
        [
            write("a", 1, upserted("a", 2), rows(2)),
            write("b", 1, patched("b", 2, after=upserted("b"), title="B"), None),
            Write("c", 1, deleted("c", 2), (), NO_ROWS),
            first("d", rows(1)),
            write("e", 3, upserted("e"), rows(1)),
        ]
    )
    assert lost == {"e"}
    assert {i: stored.rev for i, stored in index.read([*"abcde"]).items()} == {"a": 2, "b": 2, "c": 2, "d": 1}
    assert sorted(found(index)) == ["a", "b", "d"]


def test_an_empty_batch_does_nothing(index: ProductIndex) -> None:
    assert index.write([]) == set()
    assert index.read([]) == {}


@pytest.mark.parametrize(
    "bad",
    [
        Write("bad", None, upserted("bad"), images(rows(1)), np.full((1, DIMENSION), np.nan, np.float32)),
        Write("bad", None, upserted("bad"), images(rows(1)), np.full((1, DIMENSION), np.inf, np.float32)),
        Write("bad", None, upserted("bad"), images(rows(1)), np.ones((1, DIMENSION + 1), np.float32)),
        Write("bad", None, upserted("bad"), images(rows(1)), np.ones(DIMENSION, np.float32)),
        Write("bad", None, upserted("bad"), images(rows(2)), rows(1)),
        Write("bad", None, upserted("bad"), images(rows(1)), NO_ROWS),
        Write("bad", None, upserted("bad"), images(rows(1)), None),
        first("good", rows(1)),
    ],
    ids=["nan", "inf", "dimension", "flat", "row", "no-rows", "missing-without-vectors", "twice"],
)
def test_a_bad_write_is_refused_before_anything_is_written(index: ProductIndex, bad: Write) -> None:
    with pytest.raises(ValueError, match=r"bad|at most one"):
        index.write([first("good", rows(1)), bad])
    assert index.read(["good", "bad"]) == {}


def test_of_concurrent_writers_exactly_one_wins_each_revision(index: ProductIndex) -> None:
    index.write([first("a", rows(1))])
    state = index.read(["a"])["a"].state
    winners: list[list[int]] = [[] for _ in range(10)]
    start = threading.Barrier(6)

    def compete(me: int) -> None:
        for turn, won in enumerate(winners):
            start.wait(30)
            vectors = rows(1) if me % 2 else None
            change = patched("a", turn + 2, after=state, title=f"writer {me}")
            if not index.write([write("a", turn + 1, change, vectors)]):
                won.append(me)

    _run_together([threading.Thread(target=compete, args=(me,)) for me in range(6)])
    assert [len(won) for won in winners] == [1] * 10
    stored = index.read(["a"])["a"]
    assert stored.rev == 11
    assert stored.state.product is not None
    assert stored.state.product.title == f"writer {winners[-1][0]}"


def test_retried_merges_of_concurrent_writers_lose_nothing(index: ProductIndex) -> None:
    index.write([first("a", rows(1))])

    def say(me: int) -> None:
        for n in range(5):
            lost = {"a"}
            while lost:
                stored = index.read(["a"])["a"]
                state = patched("a", 2, after=stored.state, attributes={f"w{me}-{n}": n})
                if state == stored.state:  # it had won, and was overwritten before it could see so
                    break
                lost = index.write([write("a", stored.rev, state, None)])

    _run_together([threading.Thread(target=say, args=(me,)) for me in range(4)])
    stored = index.read(["a"])["a"]
    assert stored.rev == 21
    assert stored.state.product is not None
    assert len(stored.state.product.attributes) == 20


def _run_together(threads: list[threading.Thread]) -> None:
    """pytest turns an exception in a thread into a warning, and warnings are errors."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()

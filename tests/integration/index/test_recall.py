import threading
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from recommender.catalog import Filter, Range
from recommender.index.protocol import Hit, ProductIndex, Search
from recommender.index.recall import RecallSampler, shape_of
from tests.integration.index.builders import first, rows


def measured(shape: str, what: str = "count") -> float:
    return REGISTRY.get_sample_value(f"lookalike_query_recall_{what}", {"filter": shape}) or 0.0


def wait_until(true: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(500):
        if true():
            return
        waited.wait(0.01)
    raise AssertionError("it was not measured")


@pytest.fixture
def shop(index: ProductIndex) -> ProductIndex:
    index.write([first(f"p{n:02}", rows(2, seed=n), brand=f"b{n % 2}") for n in range(40)])
    return index


@pytest.mark.parametrize(
    ("where", "shape"),
    [
        (Filter(), "none"),
        (Filter(exclude_ids=("p01",)), "none"),
        (Filter(category=("women",)), "category"),
        (Filter(brand=("b0",)), "brand"),
        (Filter(price_min=0.0, price_max=3.0), "price"),
        (Filter(in_stock=False), "stock"),
        (Filter(attributes={"colour": ("black",)}), "attribute"),
        (Filter(exclude_groups=("g",), exclude_brands=("b1",)), "exclusion"),
        (Filter(ranges={"heel-mm": Range(10, 40)}), "attribute"),
        (Filter(category=("women",), in_stock=True, exclude_ids=("p01",)), "several"),
    ],
)
def test_a_filter_is_known_by_its_conditions(where: Filter, shape: str) -> None:
    assert shape_of(where) == shape


def test_a_search_is_repeated_and_what_it_found_counted(shop: ProductIndex) -> None:
    sampler = RecallSampler(shop, 1.0, rest=0)
    count, total = measured("brand"), measured("brand", "sum")
    shop.search(rows(2, seed=3), Filter(brand=("b0",)), limit=12, min_score=-1.0)
    wait_until(lambda: measured("brand") == count + 1)
    assert measured("brand", "sum") == total + 1.0
    sampler.close()
    sampler.close()
    shop.search(rows(1), Filter(brand=("b0",)), limit=12)
    assert measured("brand") == count + 1


def test_what_a_search_missed_counts_against_it(shop: ProductIndex) -> None:
    sampler = RecallSampler(shop, 1.0, rest=0)
    count, total = measured("none"), measured("none", "sum")
    hits = shop.search(rows(1), Filter(), limit=40)
    assert shop.on_search is not None
    wait_until(lambda: measured("none") == count + 1)
    missed: list[Hit] = [*hits[:4], *hits[10:16]]
    shop.on_search(Search(rows(1), Filter(), 10), missed)
    wait_until(lambda: measured("none") == count + 2)
    sampler.close()
    assert measured("none", "sum") == pytest.approx(total + 1.0 + 0.4)


def test_an_index_that_fails_ends_neither_searches_nor_the_thread(
    shop: ProductIndex, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = RecallSampler(shop, 1.0, rest=0)
    count = measured("none")
    assert shop.on_search is not None
    shop.on_search(Search(rows(1)[:, :3], Filter(), 10), [])  # no vector of this index
    wait_until(lambda: "recall_not_measured" in caplog.text)
    assert shop.search(rows(1), Filter(), limit=3)
    wait_until(lambda: measured("none") == count + 1)
    sampler.close()


def test_samples_are_dropped_while_the_thread_is_behind(shop: ProductIndex) -> None:
    sampler = RecallSampler(shop, 1.0, rest=1e6)  # it rests for ever after the first
    dropped = REGISTRY.get_sample_value("lookalike_query_recall_dropped_total") or 0.0
    for _ in range(20):
        assert shop.search(rows(1), Filter(), limit=3)
    assert (REGISTRY.get_sample_value("lookalike_query_recall_dropped_total") or 0.0) >= dropped + 3
    sampler.close()

import pytest

from config.settings import Storage
from worker.planning.rates import Rates
from worker.planning.sizes import LOG_BYTES, Catalog, disk, memory

MEASURED = Catalog(products=50_000, images=50_000, dimension=256, payload_bytes=1181)


@pytest.mark.parametrize(
    ("storage", "mb"), [("float32", 170.4), ("float16", 144.8), ("int8", 195.0), ("turboquant", 177.4)]
)
def test_disk_is_that_of_the_shards_it_was_calibrated_with(storage: Storage, mb: float) -> None:
    assert disk(MEASURED, storage).total / 1e6 == pytest.approx(mb, rel=0.14)


def test_two_rows_a_product_of_another_dimension() -> None:
    catalog = Catalog(products=20_000, images=40_000, dimension=512, payload_bytes=1394)
    assert disk(catalog, "float32").total / 1e6 == pytest.approx(172.5, rel=0.12)
    assert memory(catalog, "float32").products / 1e6 == pytest.approx(36, rel=0.12)


def test_float16_halves_the_rows_and_codes_come_beside_them() -> None:
    rows = {each: disk(MEASURED, each) for each in ("float32", "float16", "int8", "turboquant")}
    assert rows["float32"].rows - rows["float16"].rows == 50_000 * 256 * 2
    assert rows["int8"].rows == rows["turboquant"].rows == rows["float32"].rows
    assert rows["float32"].codes == rows["float16"].codes == 0
    assert rows["int8"].codes - rows["turboquant"].codes == 50_000 * 128
    assert all(each.log == LOG_BYTES for each in rows.values())


def test_a_search_needs_codes_in_memory_where_there_are_some_and_else_the_rows() -> None:
    assert memory(MEASURED, "float32").compared == disk(MEASURED, "float32").rows
    assert memory(MEASURED, "int8").compared == disk(MEASURED, "int8").codes
    assert memory(MEASURED, "turboquant").compared < memory(MEASURED, "int8").compared


@pytest.mark.parametrize(("products", "measured"), [(10_000, 51.2), (20_000, 55.3)])
def test_a_graph_is_at_most_a_little_more_than_measured(products: int, measured: float) -> None:
    found = memory(Catalog(products, products, 256, 1181), "float32")
    assert measured <= found.graph / products <= 1.12 * measured
    assert found.server == found.embedded + found.graph


def test_one_product_has_no_logarithm_of_nothing() -> None:
    assert memory(Catalog(1, 1, 256, 500), "float32").graph >= 1


def test_hours_go_by_the_whole_where_it_was_measured_and_else_by_the_encoder() -> None:
    whole = Rates("compact-1", 256, "cpu", 100.0, 50.0, "decode", 1, None, "how")
    alone = Rates("compact-1", 256, "cpu", 100.0, None, None, 1, None, "how")
    assert whole.hours(180_000) == pytest.approx(1.0)
    assert alone.hours(180_000) == pytest.approx(0.5)

from tests.benchmarks.report import DOCS, PAGE, page
from tests.benchmarks.result import Result, read
from tests.benchmarks.tables import throughput


def test_the_committed_page_is_made_of_the_committed_results() -> None:
    assert (DOCS / PAGE).read_text() == page(read())


def test_ratios_are_those_of_the_rounds() -> None:
    result = Result("throughput-compact")
    result.figure("F").values += [200.0, 100.0, 200.0]
    result.figure("D", px=400).values += [200.0, 100.0, 200.0]
    result.figure("ours", px=400).values += [90.0, 45.0, 80.0]
    result.figure("FastEmbed", "batch 16", px=400).values += [45.0, 30.0, 40.0]
    said = throughput({result.row: result})
    assert "| compact | 400 | 200 (100 to 200) | 200 (100 to 200) | 100 (50 to 100) |" in said
    assert "| 0.900 |" in said
    assert "| 40 (30 to 45): 2.00 |" in said


def test_a_rival_that_was_not_measured_is_not_left_out() -> None:
    result = Result("throughput-compact")
    for name, px in (("F", None), ("D", 400), ("ours", 400)):
        result.figure(name, px=px).values.append(100.0)
    assert "| not measured | not measured | not measured |" in throughput({result.row: result})

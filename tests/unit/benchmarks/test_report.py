from tests.benchmarks.machines import in_section, machines
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


def measured_on(processor: str, row: str) -> Result:
    machine = {"processor": processor, "cores": 2, "family": "6/1", "features": ["avx2"], "memory_gib": 8}
    machine |= {"python": "3.11", "versions": {"torch": "2"}}
    facts = {"photos": "240 photos", "object store": "nginx", "mean bytes": {"400": 9000}}
    return Result(row, facts=facts, machine=machine)


def test_rows_of_several_machines_are_told_apart() -> None:
    results = {row: measured_on(name, row) for row, name in (("precision-a", "small"), ("growth", "large"))}
    said = machines(results)
    assert "- precision-a: on 2 cores of small" in said
    assert "- growth: on 2 cores of large" in said
    assert in_section(results, ("precision-",)) == "\nMeasured on 2 cores of small.\n"


def test_one_machine_is_named_once() -> None:
    results = {row: measured_on("small", row) for row in ("precision-a", "growth")}
    assert machines(results).startswith("Measured on 2 cores of small")
    assert in_section(results, ("growth",)) == ""

"""What was reached, from raw results."""

import pytest

from tests.benchmarks.marks import Mark, marks
from tests.benchmarks.result import Result


def throughput(ours: float, *, px: int = 400) -> dict[str, Result]:
    result = Result("throughput-compact", facts={"stages, s of threads": {}})
    figures = {"F": 200.0, "F ours": 190.0, "F openvino": 200.0, "queue": 20_000.0, "write": 0.3}
    for name, value in figures.items():
        result.figure(name).values.append(value)
    sides = {"D": 200.0, "ours": ours, "naive Celery task": 40.0, "FastEmbed": 90.0}
    for name, value in sides.items():
        result.figure(name, px=px).values.append(value)
    return {result.row: result}


def row(text: str, what: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {what} |"))


def test_what_falls_short_is_plain_to_see() -> None:
    said = marks(throughput(ours=91.0))
    assert row(said, "ours / limit") == "| ours / limit | compact, 400 px | >= 0.920 | 0.910 | **not met** |"
    assert row(said, "ours / naive Celery task").endswith("| >= 2.00 | 2.27 | met |")
    assert row(said, "ours / clip-retrieval-style loop").endswith("| not measured |  |")


@pytest.mark.parametrize(("px", "met"), [(400, "| met |"), (1000, "| **not met** |")])
def test_fastembed_must_be_beaten_by_more_where_photos_are_large(px: int, met: str) -> None:
    assert row(marks(throughput(ours=95.0, px=px)), "ours / FastEmbed").endswith(met)


def test_queue_and_writes_are_compared_with_the_forward() -> None:
    said = marks(throughput(ours=95.0))
    assert row(said, "Celery and Redis, % of the time at F").endswith("| <= 3.00 | 1.00 | met |")
    assert row(said, "upserts, % of the time at F").endswith("| <= 5.00 | 6.00 | **not met** |")


def test_int8_counts_only_where_the_processor_has_instructions_for_it() -> None:
    result = Result("precision-compact", machine={"features": ["avx2"]})
    result.figure("int8").values.append(150.0)
    result.figure("float32").values.append(100.0)
    assert "int8" not in marks({result.row: result})
    result.machine["features"] = ["avx512_vnni"]
    assert row(marks({result.row: result}), "int8 / float32").endswith("| 1.50 | **not met** |")


def test_a_gate_that_was_refused_is_not_measured() -> None:
    result = Result("exactness", facts={"half precision": {"refused": "no bfloat16"}})
    said = [line for line in marks({result.row: result}).splitlines() if "| half precision |" in line]
    assert said == ["| least cosine | half precision | >= 0.999000 | not measured |  |"]


def test_a_mark_is_met_at_its_bound() -> None:
    assert Mark("", "", 0.92, 0.92).met
    assert Mark("", "", 3, 3, "<=").met
    assert not Mark("", "", 3.01, 3, "<=").met

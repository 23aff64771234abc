"""What the documents name exists."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from config.settings import variable_names
from recommender import metrics
from recommender.events import parse_catalog_job, parse_product_event

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def page(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_variable_that_a_page_names_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"LOOKALIKE_[A-Z0-9_]+", path.read_text()))
    assert {name for name in named if not name.startswith("LOOKALIKE_TEST_")} <= set(variable_names())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_links_to_is_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_page_of_metrics_lists_what_is_declared() -> None:
    declared = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in REGISTRY.collect()
        if family.name.startswith("lookalike_")
    }
    assert vars(metrics)
    assert set(re.findall(r"^\| `(lookalike_\w+)`", page("docs/metrics.md"), re.MULTILINE)) == declared


def test_the_xadd_examples_keep_the_wire_format() -> None:
    text = (page("README.md") + page("docs/triggers.md")).replace("\\\n", "")
    entries = re.findall(r"XADD lookalike:events '\*' type (\S+)\s+data '([^']+)'", text)
    assert len(entries) >= 4
    for event_type, data in entries:
        value = json.loads(data)
        if event_type.startswith("products."):
            assert [parse_product_event(event_type, document) for document in value]
        else:
            parse_catalog_job(event_type, value)

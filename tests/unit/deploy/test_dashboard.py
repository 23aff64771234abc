"""The Grafana dashboard asks for metrics and labels that are declared."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram

from recommender import metrics

_SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_count", "_sum")}


def declared() -> dict[str, set[str]]:
    """The series of every metric, and their labels."""
    series = {}
    for metric in vars(metrics).values():
        for suffix in _SUFFIXES.get(type(metric), ()):
            own = {"le"} if suffix == "_bucket" else set()
            series[f"{metric.describe()[0].name}{suffix}"] = own | set(metric._labelnames)
    return series


@pytest.fixture(scope="module")
def panels(deploy: Path) -> list[dict[str, Any]]:
    dashboard = json.loads((deploy / "dashboards" / "lookalike.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_every_series_is_declared_with_the_labels_it_is_summed_by(panels: list[dict[str, Any]]) -> None:
    series = declared()
    for panel in panels:
        for target in panel["targets"]:
            named = re.findall(r"\blookalike_\w+", target["expr"])
            assert named, panel["title"]
            for name in named:
                assert name in series, f"{panel['title']}: {name}"
                summed_by = {
                    label
                    for labels in re.findall(r"by \((.+?)\)", target["expr"])
                    for label in labels.split(", ")
                }
                shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                assert shown <= summed_by <= series[name], f"{panel['title']}: {name}"


def test_panels_lie_beside_each_other(panels: list[dict[str, Any]]) -> None:
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(x + width <= 24 for x, _, width, _ in places)


def test_a_missing_metric_would_be_found() -> None:
    assert "lookalike_events_total" in declared()
    assert "lookalike_events" not in declared()

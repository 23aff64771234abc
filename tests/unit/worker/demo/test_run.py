from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from config.settings import ConfigurationError
from worker.demo.quality import Precision
from worker.demo.questions import Asked
from worker.demo.run import Demo, running_demo
from worker.demo.shop import Item


def demo(**changes: Any) -> Demo:
    good = {
        "url": "",
        "products": 10,
        "images": 20,
        "indexed": 10,
        "failures": (),
        "seconds": 1.0,
        "encoder": "compact-1",
        "device": "cpu",
        "questions": 10,
        "precision": Precision(0.5, 0.2),
        "chance": Precision(0.1, 0.01),
        "histogram": Precision(0.2, 0.05),
        "asked": (asked(["kitchen/mugs"]),),
    }
    return Demo(**{**good, **changes})


def asked(categories: Sequence[str]) -> Asked:
    items = [Item("a", 0.9, category, "red", "Dune red mug") for category in categories]
    return Asked("only kitchen", Image.new("RGB", (9, 9)), "Dune red lamp", "kitchen", items, filtered=True)


def test_a_good_demo_has_no_problems() -> None:
    assert demo().problems() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"indexed": 9}, "lost: 10 products were published, 9 are searchable"),
        ({"failures": ("ImageNotFound s3://a",)}, "failed: ImageNotFound s3://a"),
        (
            {"precision": Precision(0.1, 0.2), "histogram": Precision(0, 0)},
            "no better than the 0.100 of chance",
        ),
        ({"precision": Precision(0.2, 0.2)}, "no better than the 0.200 of colour histograms"),
        ({"asked": (asked(["kitchen/mugs", "bags/handbags"]),)}, "filter: only kitchen"),
        ({"asked": (asked(["kitchenware/mugs"]),)}, "filter: only kitchen"),
        ({"asked": (asked([]),)}, "filter: only kitchen"),
    ],
)
def test_what_makes_a_demo_fail(changes: dict[str, Any], said: str) -> None:
    problems = demo(**changes).problems()
    assert len(problems) == 1
    assert said in problems[0]


def test_a_configured_redis_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_REDIS__URL", "redis://shop.example/0")
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(ConfigurationError, match="unset LOOKALIKE_REDIS__URL"),
        running_demo(60, tmp_path / "s.png"),
    ):
        pass

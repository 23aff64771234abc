"""docs/dead-letters.md says what the code does."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from config.settings import ConfigurationError
from recommender.errors import JobStopped, PermanentError
from worker.claim import CLAIM
from worker.cli import app
from worker.jobs.dead_letters import DeadLetter

PAGE = (Path(__file__).parents[4] / "docs" / "dead-letters.md").read_text()


def table(heading: str) -> set[str]:
    """What the first cells of the table below a heading name."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def leaves(error: type[Exception]) -> Iterator[str]:
    below = [one for one in error.__subclasses__() if one.__module__ == error.__module__]
    if not below:
        yield error.__name__
    for one in below:
        yield from leaves(one)


def test_every_field_is_listed() -> None:
    assert table("What a letter holds") == {field.name for field in fields(DeadLetter)}


def test_every_reason_is_listed() -> None:
    of_the_transport = set(re.findall(r"'([A-Z][a-z]+[A-Z]\w+)'", CLAIM))
    assert {"DeliveredTooOften", "MalformedMessage"} <= of_the_transport
    reasons = set(leaves(PermanentError)) - {JobStopped.__name__}  # which is no letter, but a job's end
    assert table("Reasons, and what to do") == reasons | of_the_transport


def test_the_alert_rules_ask_for_metrics_that_exist() -> None:
    declared = {family.name + ("_total" if family.type == "counter" else "") for family in REGISTRY.collect()}
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    rules = [rule for group in yaml.safe_load(block)["groups"] for rule in group["rules"]]
    assert len(rules) == 2
    for rule in rules:
        named = set(re.findall(r"lookalike_\w+", rule["expr"]))
        assert named
        assert named <= declared


@pytest.mark.parametrize(
    "line", re.findall(r"^lookalike dead-letters (.*?)(?: {2,}#.*)?$", PAGE, re.MULTILINE)
)
def test_the_commands_can_be_typed(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are understood, and then miss a broker."""
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["dead-letters", *line.split()])
    assert isinstance(result.exception, ConfigurationError), result.output

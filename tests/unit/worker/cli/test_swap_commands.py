"""What `lookalike reindex` and `rollback` ask the workers for."""

from typing import Any

import pytest
from typer.testing import CliRunner

from worker.cli import app, catalog

Asked = list[tuple[str, dict[str, Any], bool | None]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found: Asked = []

    def trigger(event_type: str, arguments: dict[str, Any], *, follow: bool | None, as_json: bool) -> None:
        del as_json
        found.append((event_type, arguments, follow))

    monkeypatch.setattr(catalog, "trigger", trigger)
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reindex", ("catalog.reindex", {"encoder": None, "scope": None}, None)),
        ("reindex --encoder siglip", ("catalog.reindex", {"encoder": "siglip", "scope": None}, None)),
        (
            "reindex --encoder siglip --drop-old --follow",
            ("catalog.reindex", {"encoder": "siglip", "scope": None, "drop_old": True}, True),
        ),
        (
            "reindex --encoder siglip --dry-run",
            ("catalog.reindex", {"encoder": "siglip", "scope": None, "dry_run": True}, True),
        ),
        ("reindex --drop-old", ("catalog.drop_old", {}, None)),
        ("rollback", ("catalog.rollback", {"drop_old": False}, None)),
        ("rollback --drop-old", ("catalog.rollback", {"drop_old": True}, None)),
    ],
)
def test_what_is_asked_for(asked: Asked, line: str, expected: tuple[Any, ...]) -> None:
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 0, result.output
    assert asked == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "reindex --dry-run",
        "reindex --encoder siglip --category a --drop-old",
        "reindex --id p --drop-old",
        "reindex --encoder siglip --id p --dry-run",
    ],
)
def test_what_makes_no_sense_is_refused(asked: Asked, line: str) -> None:
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 2
    assert "give --encoder, and no scope" in " ".join(result.output.replace("│", " ").split())
    assert asked == []

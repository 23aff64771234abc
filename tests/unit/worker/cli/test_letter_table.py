from datetime import UTC, datetime, timedelta

import pytest

from worker.cli.letter_table import MESSAGE_CHARACTERS, age, print_letters, printable
from worker.jobs.dead_letters import DeadLetter


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-5, "0s"), (7, "7s"), (61, "1m"), (7300, "2h"), (86400 * 9 + 5, "9d")]
)
def test_an_age_is_short(seconds: int, expected: str) -> None:
    assert age((datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()) == expected


def test_ids_are_whole_and_nothing_writes_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    hostile = '{"id": "\\u001b[31mred[bold]"}'
    letter = DeadLetter(
        "products.upsert", hostile, "ImageNotFound", "no\x1b]0;x\x07\nimage", id="1" * 13 + "-0"
    )
    print_letters([letter])
    said = capsys.readouterr().out
    assert letter.id in said
    assert "ImageNotFound" in said
    assert "[31mred[bold]" in said.replace("\n", "")
    assert all(c.isprintable() or c == "\n" for c in said)


def test_a_long_message_is_cut() -> None:
    assert printable("a b\n\tc\x00d") == "a b c d"
    assert len(printable("x" * 10_000)) == MESSAGE_CHARACTERS

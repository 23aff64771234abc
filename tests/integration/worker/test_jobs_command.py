"""`lookalike jobs`, and what follows a job, on a real Redis."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import typer
from click.testing import Result
from typer.testing import CliRunner

from config.settings import PREFIX
from worker.cli import app, following
from worker.cli.following import Triggered, follow, say_end
from worker.jobs.book import Asked, Begun, JobBook, Progress, Step

REFRESH = "catalog.refresh"
Run = Callable[..., Result]


class Moves:
    """In place of time: every pause of who looks on is used for a move."""

    def __init__(self, *moves: Callable[[], object]) -> None:
        self._moves = iter(moves)

    def sleep(self, _: float) -> None:
        try:
            next(self._moves)()
        except StopIteration:
            raise KeyboardInterrupt from None

    @staticmethod
    def monotonic() -> float:
        return 0.0


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as opened:
        yield opened


@pytest.fixture
def book(client: Any) -> JobBook:
    return JobBook(client, "lookalike")


@pytest.fixture
def typed(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(f"{PREFIX}REDIS__URL", redis_server.url)
    monkeypatch.setenv("COLUMNS", "150")
    return lambda *arguments: CliRunner().invoke(app, ["jobs", *arguments])


def begin(book: JobBook, job: str, feed: str = "a", number: int = 0) -> Begun:
    step = Step(job, number, f"{job}{number}", f"tag of {job}")
    return book.begin(step, Asked(REFRESH, feed, {"feed": feed}, {}))


def progress(done: int, total: int | None = 4, phase: str = "comparing", **report: Any) -> Progress:
    return Progress({}, phase, done, total, report)


def test_jobs_are_listed_shown_and_cancelled(book: JobBook, typed: Run, client: Any) -> None:
    assert json.loads(typed("--json").stdout) == []
    hand = begin(book, "one").hand
    book.save("one", hand, progress(1))
    begin(book, "two")
    ended = begin(book, "three", "b")
    book.end("three", ended.hand, "stopped", "too much\x1b[31m would go", progress(4, gone=7))
    listed = typed().stdout
    assert "\x1b" not in listed
    for said in ("comparing", "1 of 4", "waiting", "stopped", "too much [31m would go"):
        assert said in listed
    rows = json.loads(typed("--json").stdout)
    states = [(row["id"], row["state"]) for row in rows]
    assert states == [("one", "running"), ("two", "waiting"), ("three", "stopped")]
    assert len(json.loads(typed("--json", "--limit", "1").stdout)) == 1
    assert json.loads(typed("show", "three").stdout)["report"] == {"gone": 7}
    client.hset("unacked", "tag of one", "a step that is in hand")
    assert "after the part" in typed("cancel", "one").stdout
    assert json.loads(typed("cancel", "two", "--json").stdout) == {"id": "two", "state": "cancelled"}
    refused = typed("cancel", "three")
    assert (refused.exit_code, refused.stdout) == (1, "it has ended already: stopped\n")
    for command in ("show", "cancel"):
        unknown = typed(command, "nobody")
        assert unknown.exit_code == 2
        assert "there is no job nobody" in unknown.stderr


def test_a_watch_says_what_has_changed(book: JobBook, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = begin(book, "one").hand
    book.save("one", hand, progress(1))

    def moves() -> Moves:
        return Moves(
            lambda: None,
            lambda: book.save("one", hand, progress(2)),
            lambda: book.end("one", hand, "done", "", progress(4)),
        )

    monkeypatch.setattr(sys.modules["worker.cli.jobs"], "time", moves())
    lines = typed("--watch").stdout.splitlines()
    assert [line.split("  ")[3] for line in lines] == ["comparing", "comparing", "done"]
    monkeypatch.setattr(sys.modules["worker.cli.jobs"], "time", Moves())
    (line,) = typed("--watch", "--json").stdout.splitlines()
    assert json.loads(line)["state"] == "done"


def test_a_job_is_followed_in_plain_lines(
    book: JobBook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hand = begin(book, "one").hand

    def end() -> None:
        book.end("one", hand, "done", "", progress(1000, 1000, new=3, seconds=0.5, reasons={}))

    saves = [lambda n=n: book.save("one", hand, progress(n, 1000)) for n in range(0, 1000, 10)]
    monkeypatch.setattr(following, "time", Moves(*saves, end))
    record = follow(book, "one")
    assert record.state == "done"
    lines = capsys.readouterr().err.splitlines()
    assert 10 <= len(lines) <= 14
    assert all(line.startswith(("running", "comparing", "done")) for line in lines)
    assert say_end(record).endswith(": new 3, seconds 0.5")


def test_what_was_asked_for_is_the_run_after_the_one_that_runs(
    book: JobBook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = begin(book, "first")
    asked = Triggered(REFRESH, "a", book.now())
    hands: list[str] = []
    monkeypatch.setattr(
        following,
        "time",
        Moves(
            lambda: begin(book, "second"),
            lambda: book.end("first", first.hand, "done", "", progress(4)),
            lambda: hands.append(begin(book, "second", number=1).hand),
            lambda: book.end("second", hands[0], "stopped", "no", progress(4)),
        ),
    )
    record = follow(book, asked)
    assert (record.id, record.state) == ("second", "stopped")
    assert capsys.readouterr().err


def test_who_follows_may_leave(
    book: JobBook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(book, "one")
    monkeypatch.setattr(following, "time", Moves())
    with pytest.raises(typer.Exit) as raised:
        follow(book, "one")
    assert raised.value.exit_code == 130
    assert "`lookalike jobs cancel one` ends it" in capsys.readouterr().err
    assert book.list()[0].state == "running"
    with pytest.raises(typer.BadParameter, match="there is no job nobody"):
        follow(book, "nobody")


def test_a_command_follows_its_job_with_a_bar_on_a_terminal(
    book: JobBook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    hand = begin(book, "one").hand
    monkeypatch.setattr(
        following,
        "time",
        Moves(
            lambda: book.save("one", hand, progress(1)),
            lambda: book.save("one", hand, progress(2)),
            lambda: book.end("one", hand, "done", "", progress(4)),
        ),
    )
    follow(book, "one")
    shown = capsys.readouterr().err
    assert "━" in shown
    assert "4 of 4" in shown


def test_a_command_that_is_told_to_follow_returns_with_its_job(
    start_worker: Any, environment: dict[str, str], s3: Any, photo: Any, document: Any
) -> None:
    start_worker()
    feed = s3.put("feeds/all.jsonl", json.dumps(document("a", s3.put("a.jpg", photo(1)))).encode())

    def lookalike(*words: str, data: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from worker.cli import main; main()", *words]
        return subprocess.run(  # noqa: S603
            command, env=environment, input=data, capture_output=True, text=True, check=False, timeout=120
        )

    done = lookalike("refresh", feed, "--follow", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["job"]["state"] == "done"
    missing = lookalike("refresh", f"s3://{s3.bucket}/feeds/missing.jsonl", "--follow")
    assert missing.returncode == 1
    assert "failed" in missing.stdout
    assert "missing.jsonl" in missing.stdout
    of_ids = lookalike("reindex", "--ids", "-", "--follow", "--json", data="a\nb\n")
    assert json.loads(of_ids.stdout)["arguments"]["scope"] == {"ids": ["a", "b"]}
    assert json.loads(of_ids.stdout)["job"]["done"] == 2
    quick = lookalike("reindex", "--id", "a")
    assert "published catalog.reindex" in quick.stdout
    both = lookalike("reindex", "--id", "a", "--category", "b")
    assert both.returncode == 2
    assert "give one of" in both.stderr

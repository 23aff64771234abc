"""`lookalike dead-letters` as it is typed, against a real Redis; then with a worker behind it."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.settings import PREFIX, RedisSettings
from recommender.errors import ImageNotFound, InvalidEvent
from recommender.events import parse_product_event
from worker.broker import open_redis
from worker.cli import app
from worker.jobs.dead_letters import DeadLetter, DeadLetters
from worker.publish import ATTEMPTS, FIRST_SEEN

STREAM = "lookalike:dead-letters"
CAUSES = f"{STREAM}:causes"

Lookalike = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with open_redis(RedisSettings(url=redis_server.url)) as opened:
        yield opened


@pytest.fixture
def kept(client: Any) -> DeadLetters:
    return DeadLetters(client, "lookalike")


@pytest.fixture
def lookalike(environment: dict[str, str]) -> Lookalike:
    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from worker.cli import main; main()", "dead-letters", *arguments]
        return subprocess.run(  # noqa: S603
            command,
            env={**environment, "COLUMNS": "120", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def typed(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """As `lookalike`, in this process: for commands that publish nothing, since an app is configured once."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["dead-letters", *arguments])

    return run


def ago(**age: float) -> str:
    return (datetime.now(UTC) - timedelta(**age)).isoformat(timespec="milliseconds")


def product(identity: str, version: int = 1) -> dict[str, Any]:
    uri = f"s3://shop/{identity}.jpg"
    return {"id": identity, "version": version, "images": [uri], "category": "women/shoes"}


def missing(identity: str, **known: Any) -> DeadLetter:
    uri = f"s3://shop/{identity}.jpg"
    return DeadLetter.of("products.upsert", product(identity), ImageNotFound(uri, "404"), image=uri, **known)


def bad_patch(identity: str, **known: Any) -> DeadLetter:
    return DeadLetter.of(
        "products.patch",
        {"id": identity, "version": 1, "prise": 3},
        InvalidEvent("prise", "unknown"),
        **known,
    )


@pytest.fixture
def letters(kept: DeadLetters) -> dict[str, str]:
    """Four letters of three products; their ids by a name."""
    kept.add(
        [
            missing("a", first_seen=ago(days=9), last_seen=ago(days=3), attempts=4),
            missing("b", first_seen=ago(hours=3), last_seen=ago(hours=3)),
            bad_patch("a", first_seen=ago(minutes=3), last_seen=ago(minutes=3)),
            bad_patch("c"),
        ]
    )
    return dict(zip(("a", "b", "patch of a", "patch of c"), [one.id for one in kept.all()], strict=True))


def sent(client: Any, queue: str = "bulk") -> list[tuple[str, Any, Any, dict[str, Any]]]:
    """(task, args, kwargs, headers) of the messages in a queue, the first one first."""
    found = []
    for raw in reversed(client.lrange(queue, 0, -1)):
        message = json.loads(raw)
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        found.append((message["headers"]["task"], args, kwargs, message["headers"]))
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ["a", "b", "patch of a", "patch of c"]),
        ("--reason ImageNotFound", ["a", "b"]),
        ("--reason ImageNotFound --reason InvalidEvent", ["a", "b", "patch of a", "patch of c"]),
        ("--reason Nothing", []),
        ("--product a", ["a", "patch of a"]),
        ("--product b --product c", ["b", "patch of c"]),
        ("--older-than 1h", ["a", "b"]),
        ("--newer-than 12h", ["b", "patch of a", "patch of c"]),
        ("--older-than 2m --newer-than 12h", ["b", "patch of a"]),
        ("--product a --reason ImageNotFound --older-than 2d", ["a"]),
    ],
)
def test_list_shows_what_the_filters_choose(
    typed: Any, letters: dict[str, str], options: str, expected: list[str]
) -> None:
    done = typed("list", "--json", *options.split())
    assert (done.exit_code, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert [one["id"] for one in answer["letters"]] == [letters[name] for name in expected]
    assert answer["total"] == len(expected) == sum(answer["reasons"].values())


def test_list_says_each_letter_and_the_totals_by_reason(
    lookalike: Lookalike, letters: dict[str, str]
) -> None:
    done = lookalike("list", "--limit", "3")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    (row,) = [line for line in lines if letters["a"] in line]
    assert re.findall(r"\S+", row) == [letters["a"], "ImageNotFound", "a", "4", "9d", "3d", "ago"]
    assert "s3://shop/a.jpg: 404" in done.stdout
    assert letters["patch of c"] not in done.stdout
    assert lines[-3:] == ["3 of 4", "       2 ImageNotFound", "       2 InvalidEvent"]


def test_show_prints_all_of_a_letter(lookalike: Lookalike, letters: dict[str, str]) -> None:
    shown = json.loads(lookalike("show", letters["a"]).stdout)
    assert json.loads(lookalike("show", letters["a"], "--json").stdout) == shown
    assert json.loads(lookalike("list", "--json", "--limit", "1").stdout)["letters"] == [shown]
    assert json.loads(shown.pop("document")) == product("a")
    assert shown.pop("first_seen") < shown.pop("last_seen")
    assert shown == {
        "id": letters["a"],
        "type": "products.upsert",
        "reason": "ImageNotFound",
        "message": "s3://shop/a.jpg: 404",
        "image": "s3://shop/a.jpg",
        "attempts": 4,
        "trace_id": "",
        "products": ["a"],
    }


def test_replay_publishes_each_document_as_it_came_and_removes_its_letter(
    lookalike: Lookalike, letters: dict[str, str], client: Any
) -> None:
    done = lookalike("replay", "--product", "a", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "replayed": [letters["a"], letters["patch of a"]],
        "refused": [],
    }
    upsert, patch = sent(client)
    assert upsert[:3] == ("products.upsert", [[product("a")]], {})
    assert patch[:3] == ("products.patch", [[{"id": "a", "version": 1, "prise": 3}]], {})
    assert (upsert[3][ATTEMPTS], patch[3][ATTEMPTS]) == (4, 1)
    assert upsert[3][FIRST_SEEN] < patch[3][FIRST_SEEN]
    assert [entry for entry, _ in client.xrange(STREAM)] == [letters["b"], letters["patch of c"]]
    assert set(client.hvals(CAUSES)) == {letters["b"], letters["patch of c"]}

    by_id = lookalike("replay", letters["a"], letters["b"], letters["b"])
    assert by_id.returncode == 1
    assert by_id.stdout.splitlines() == ["replayed 1", f"not {letters['a']}: there is no such dead letter"]
    rest = lookalike("replay", "--all", "--limit", "5")
    assert (rest.returncode, rest.stdout) == (0, "replayed 1\n")
    assert (len(sent(client)), client.xlen(STREAM), client.exists(CAUSES)) == (4, 0, 0)


def test_what_is_older_than_tombstones_is_replayed_by_force_alone(
    lookalike: Lookalike, kept: DeadLetters, client: Any
) -> None:
    kept.add([missing("old", first_seen=ago(days=31)), missing("young", first_seen=ago(days=29))])
    old, young = (one.id for one in kept.all())
    done = lookalike("replay", "--all")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "replayed 1"
    assert f"not {old}: first seen" in done.stdout
    assert "--force" in done.stdout
    assert [args for _, args, _, _ in sent(client)] == [[[product("young")]]]
    assert young not in {one.id for one in kept.all()}
    assert lookalike("replay", old, "--force").returncode == 0
    assert len(sent(client)) == 2
    assert not client.xlen(STREAM)


def test_drop_removes_for_good(lookalike: Lookalike, letters: dict[str, str], client: Any) -> None:
    assert lookalike("drop", "--older-than", "1h", "--limit", "1").stdout == "dropped 1\n"
    assert [entry for entry, _ in client.xrange(STREAM)] == list(letters.values())[1:]
    done = lookalike("drop", letters["b"], letters["a"], "--json")
    assert done.returncode == 1
    refused = [{"id": letters["a"], "reason": "there is no such dead letter"}]
    assert json.loads(done.stdout) == {"dropped": 1, "refused": refused}
    assert json.loads(lookalike("drop", "--all", "--json").stdout) == {"dropped": 2, "refused": []}
    assert (client.xlen(STREAM), client.exists(CAUSES), client.llen("bulk")) == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("replay", "give ids, or filters"),
        ("drop", "give ids, or filters"),
        ("drop --limit 3", "give ids, or filters"),
        ("replay 1-1 --reason ImageNotFound", "give ids, or filters"),
        ("drop 1-1 --all", "give ids, or filters"),
        ("drop --all --older-than 1d", "give ids, or filters"),
        ("list --older-than yesterday", "is no age"),
        ("list --newer-than 12", "is no age"),
        ("list --limit 0", "--limit"),
        ("show 1-1", "there is no dead letter 1-1"),
        ("show", "Missing argument"),
    ],
)
def test_what_can_not_be_meant_is_a_usage_error(
    typed: Any, letters: dict[str, str], client: Any, arguments: str, complaint: str
) -> None:
    done = typed(*arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert client.xlen(STREAM) == len(letters)


def test_without_redis_it_says_so_in_one_line(lookalike: Lookalike, redis_server: Any) -> None:
    redis_server.kill()
    for arguments in (["list"], ["drop", "--all"], ["replay", "--all"]):
        done = lookalike(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert "Redis" in done.stderr


def test_what_is_no_message_is_refused_with_its_reason_and_kept(
    lookalike: Lookalike, kept: DeadLetters, client: Any
) -> None:
    bodies = {
        b"gar\xffbage \x1b[2J": "no UTF-8",
        b'{"id": "a\xff", "version": 1}': "no UTF-8",
        b"garbage": "no document",
        b'{"headers": {"task": "os.system"}, "body": "e30=", "properties": {}}': "no task is called",
        b'{"headers": {"task": "products.upsert"}, "body": "e30=", "properties": {}}': "body",
        b"[" * 100_000: "no document",
    }
    for body in bodies:
        client.xadd(STREAM, {"type": "products.upsert", "document": body, "reason": "MalformedMessage"})
    client.xadd(STREAM, {"document": json.dumps(product("a")), "reason": "MalformedMessage"})
    ids = [one.id for one in kept.all()]
    listed = lookalike("list")
    assert "\x1b[2J" not in listed.stdout
    assert json.loads(lookalike("show", ids[0]).stdout)["document"] == "gar\ufffdbage \x1b[2J"
    done = lookalike("replay", "--reason", "MalformedMessage", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1
    assert answer["replayed"] == []
    assert [one["id"] for one in answer["refused"]] == ids
    for complaint, refused in zip([*bodies.values(), "no task is called ''"], answer["refused"], strict=True):
        assert complaint in refused["reason"]
    assert (kept.count(), client.dbsize()) == (7, 1)


def test_a_replay_that_ended_before_the_letters_were_removed_is_repeated(
    lookalike: Lookalike, letters: dict[str, str], client: Any, redis_server: Any
) -> None:
    """Redis refuses the removal, so that the first one ends where a kill would hurt most."""
    client.acl_setuser("replayer", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-xdel"])
    url = redis_server.url.replace("redis://", "redis://replayer:any@")
    done = lookalike("replay", "--all", **{f"{PREFIX}REDIS__URL": url})
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert (len(sent(client)), client.xlen(STREAM)) == (len(letters), len(letters))
    assert lookalike("replay", "--all").returncode == 0
    messages = [message[:3] for message in sent(client)]
    assert messages == messages[: len(letters)] * 2
    assert client.xlen(STREAM) == 0


def test_thousands_are_replayed_with_a_word_on_how_far_it_is(
    lookalike: Lookalike, kept: DeadLetters, client: Any
) -> None:
    kept.add([missing(str(n)) for n in range(1200)])
    done = lookalike("replay", "--reason", "ImageNotFound")
    assert (done.returncode, done.stdout) == (0, "replayed 1200\n")
    assert "replaying: 600 of 1200" in done.stderr
    assert [message[1] for message in sent(client)] == [[[product(str(n))]] for n in range(1200)]
    assert client.exists(CAUSES) == 0


def test_a_broken_image_is_one_letter_until_it_is_there(
    start_worker: Any,
    lookalike: Lookalike,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
    wait_for: Any,
    kept: DeadLetters,
) -> None:
    shop = start_worker(WORKER__DEAD_LETTERS_ALARM="1")
    late = document("late", f"s3://{s3.bucket}/late.jpg", attributes={"sizes": ["38", "39"], "new": True})

    def attempts(count: int) -> DeadLetter:
        """As after a refresh that repeats the event."""
        assert kept.count() <= 1
        return wait_for(f"{count} attempts", lambda: [one for one in kept.all() if one.attempts == count])[0]

    shop.send("products.upsert", [late])
    first = attempts(1)
    shop.send("products.upsert", [late], queue="bulk")
    again = attempts(2)
    assert lookalike("replay", "--all").returncode == 0
    replayed = attempts(3)
    assert {first.first_seen, again.first_seen, replayed.first_seen} == {first.first_seen}
    assert first.last_seen < again.last_seen < replayed.last_seen
    assert parse_product_event("products.upsert", json.loads(replayed.document)) == parse_product_event(
        "products.upsert", late
    )

    s3.put("late.jpg", photo(1))
    done = lookalike("replay", "--product", "late", "--reason", "ImageNotFound", "--json")
    assert json.loads(done.stdout)["replayed"] == [replayed.id]
    there = shop.wait_for_product("late", searchable=True)
    kept.add([replayed])  # as if the replay had been killed before it removed the letter
    assert lookalike("replay", "--all").returncode == 0
    wait_for("nothing is left to do", lambda: shop.in_hand() == 0)
    assert shop.product("late") == there
    assert kept.count() == 0
    assert shop.stop() == 0
    logged = shop.log.read_text()
    assert logged.count('"dead_letter"') == 3
    assert logged.count('"dead_letters_alarm"') == 1

"""Dead letters as the messages that try them again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from celery import Celery

from recommender.errors import InvalidEvent
from worker.celery import BULK, CATALOG, QUARANTINE, QUEUES, ROUTES
from worker.envelope import is_envelope, read_arguments
from worker.jobs.dead_letters import PAGE, DeadLetter, DeadLetters
from worker.publish import ATTEMPTS, FIRST_SEEN, Message, event_message, publish


@dataclass(slots=True)
class Replayed:
    """What became of some letters, by id; `refused` says why."""

    published: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def replay(
    app: Celery, dead_letters: DeadLetters, chosen: Iterable[DeadLetter], *, oldest: datetime | None = None
) -> Iterator[Replayed]:
    """Publish letters again, page by page; a page is removed once the broker has its messages.

    Ended in between, what it published is replayed once more by the next one, which changes nothing in
    the index: versions decide. What was first seen before `oldest` is refused: the delete that would outvote
    it may be forgotten.

    Raises:
        BrokerUnavailable: the page in hand may be published in part, and is kept.
    """
    letters = iter(chosen)
    while page := list(islice(letters, PAGE)):
        done = Replayed()
        for letter in page:
            try:
                _check_age(letter, oldest)
                message = replay_message(letter)
            except InvalidEvent as error:
                done.refused[letter.id] = str(error)
                continue
            publish(app, message)
            done.published.append(letter.id)
        dead_letters.drop(done.published)
        yield done


def _check_age(letter: DeadLetter, oldest: datetime | None) -> None:
    is_job = ROUTES.get(letter.type) == CATALOG
    if oldest is None or is_job or datetime.fromisoformat(letter.first_seen) >= oldest:
        return
    raise InvalidEvent(
        "",
        f"first seen {letter.first_seen}, longer ago than LOOKALIKE_INDEX__TOMBSTONE_DAYS: it may bring back "
        "a product whose delete is forgotten; --force publishes it all the same",
    )


def replay_message(letter: DeadLetter) -> Message:
    """The message of the document that a letter holds, or of the whole message; it counts on.

    Raises:
        InvalidEvent: it holds neither, or not as it came.
    """
    if "\ufffd" in letter.document:
        raise InvalidEvent("", "it holds bytes that are no UTF-8")
    document = letter.parsed()
    if is_envelope(document):
        message = _of_envelope(document)
    elif letter.type not in ROUTES:
        raise InvalidEvent("", f"no task is called {letter.type!r}")
    elif isinstance(document, dict):
        message = event_message(letter.type, document, _queue(letter.type))
    elif isinstance(document, list) and len(document) == 3:
        args, kwargs = read_arguments(document)
        message = Message(letter.type, args, kwargs, _queue(letter.type))
    else:
        raise InvalidEvent("", "it holds no document and no message")
    return replace(message, headers={ATTEMPTS: letter.attempts, FIRST_SEEN: letter.first_seen})


def _queue(event_type: str) -> str:
    """Replays never delay what a shop publishes meanwhile."""
    return BULK if ROUTES[event_type] != CATALOG else CATALOG


def _of_envelope(envelope: dict[str, Any]) -> Message:
    """What a message said, as it lay in the broker; its count of deliveries starts over.

    Under an id of its own: the steps that a catalog job has done already are claimed by the old one.
    """
    headers, properties = envelope["headers"], envelope["properties"]
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise InvalidEvent("", "its message has no headers and properties")
    task = headers.get("task")
    if not isinstance(task, str) or task not in ROUTES:
        raise InvalidEvent("headers.task", f"no task is called {task!r}")
    info = properties.get("delivery_info")
    queue = info.get("routing_key") if isinstance(info, dict) else None
    args, kwargs = read_arguments(envelope)
    return Message(
        task,
        args,
        kwargs,
        queue=queue if queue in QUEUES and queue != QUARANTINE else None,
    )

"""A message of product events: each document on its own, good ones applied together."""

from typing import Any

from pydantic import ValidationError

from recommender.errors import InvalidEvent
from recommender.events import check_documents, parse_product_event
from worker.delivery import Delivery
from worker.jobs.dead_letters import DeadLetter
from worker.plan import EMBED, Embed, Event


def apply_products(delivery: Delivery) -> None:
    """Apply what can be, dead-letter what never can, publish again what may later.

    Raises:
        InvalidEvent: the argument is no list of documents.
        BrokerUnavailable: what is left to do could not be written down.
    """
    events, letters = _parsed(delivery)
    report = delivery.runtime.pipeline.apply(events)
    letters += [delivery.bury(_document(f.event), f.error, f.image or "") for f in report.failed]
    delivery.runtime.dead_letters.add(letters)
    if report.retry:
        documents = [_document(retry.event) for retry in report.retry]
        delivery.again([documents], type(report.retry[0].error).__name__)


def _parsed(delivery: Delivery) -> tuple[list[Event], list[DeadLetter]]:
    if delivery.kwargs or len(delivery.args) != 1:
        raise InvalidEvent("", "expected one positional argument, a list of documents")
    events: list[Event] = []
    letters: list[DeadLetter] = []
    for document in check_documents(delivery.args[0]):
        try:
            events.append(_parse(delivery.type, document))
        except InvalidEvent as error:
            letters.append(delivery.bury(document, error))
    return events, letters


def _parse(event_type: str, document: Any) -> Event:
    if event_type != EMBED:
        return parse_product_event(event_type, document)
    try:
        return Embed.model_validate(document)
    except ValidationError as error:
        raise InvalidEvent("", str(error)) from error


def _document(event: Event) -> dict[str, Any]:
    """The document as it came."""
    return event.model_dump(mode="json", exclude_unset=True)

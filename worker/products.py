"""A message of product events: each document on its own, good ones applied together."""

import logging
import time
from typing import Any

from pydantic import ValidationError

from recommender import metrics
from recommender.errors import InvalidEvent, ProcessLost
from recommender.events import check_documents, parse_product_event
from worker.delivery import Delivery
from worker.everywhere import apply_everywhere
from worker.jobs.dead_letters import DeadLetter
from worker.plan import EMBED, PURGE, Copy, Embed, Event, Purge
from worker.report import Report

log = logging.getLogger(__name__)
_OF_THE_SYSTEM: dict[str, type[Embed | Purge]] = {EMBED: Embed, PURGE: Purge}
STAGES = ("plan", "fetch", "decode", "embed", "write")


def apply_products(delivery: Delivery) -> None:
    """Apply what can be, dead-letter what never can, publish again what may later.

    Raises:
        InvalidEvent: the argument is no list of documents.
        BrokerUnavailable: what is left to do could not be written down.
        EncoderLost: this process can't embed any more.
    """
    events, letters = _parsed(delivery)
    report = apply_everywhere(delivery, events) if events else Report()
    _tell(delivery, report, failed=len(letters) + len({id(failure.event) for failure in report.failed}))
    letters += [delivery.bury(document_of(f.event), f.error, f.image or "") for f in report.failed]
    delivery.runtime.dead_letters.add(letters)
    publish_what_is_left(delivery, report)


def publish_what_is_left(delivery: Delivery, report: Report) -> None:
    """Publish what is to be tried again, and what was not begun; the rest is done with."""
    lost = [retry for retry in report.retry if isinstance(retry.error, ProcessLost)]
    for retry in lost:  # one by one: each is alone with its own image
        delivery.isolate([[document_of(retry.event)]], ProcessLost.__name__)
    later = [retry for retry in report.retry if not isinstance(retry.error, ProcessLost)]
    if later:
        documents = [document_of(retry.event) for retry in later]
        delivery.again([documents], type(later[0].error).__name__)
    if report.rest:
        delivery.leave([[document_of(event) for event in report.rest]])


def _tell(delivery: Delivery, report: Report, *, failed: int) -> None:
    """One line a message: what became of its products, and what the stages took, in all indexes together."""
    for outcome in ("applied", "stale", "unchanged", "retry"):
        metrics.EVENTS.labels(outcome).inc(len(getattr(report, outcome)))
    metrics.EVENTS.labels("failed").inc(failed)
    traces = {event.trace_id for event in (*report.applied, *report.unchanged) if event.trace_id}
    log.info(
        "message_applied",
        extra={
            "task": delivery.type,
            "id": delivery.id,
            "deliveries": delivery.deliveries,
            "applied": len(report.applied),
            "stale": len(report.stale),
            "unchanged": len(report.unchanged),
            "failed": failed,
            "retry": len(report.retry),
            "rest": len(report.rest),
            "images": report.images,
            "embedded": report.embedded,
            **{f"{stage}_ms": round(report.took_s[stage] * 1000, 1) for stage in STAGES},
            "total_ms": round((time.monotonic() - delivery.begun_at) * 1000, 1),
            "trace_ids": sorted(traces)[:16],
        },
    )


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
    if event_type not in _OF_THE_SYSTEM:
        return parse_product_event(event_type, document)
    try:
        return _OF_THE_SYSTEM[event_type].model_validate(document)
    except ValidationError as error:
        raise InvalidEvent("", str(error)) from error


def document_of(event: Event) -> dict[str, Any]:
    """The document as it came."""
    document = event.asked if isinstance(event, Copy) else event
    return document.model_dump(mode="json", exclude_unset=True)

"""A message of product events: each document on its own, good ones applied together."""

import logging
import time
from typing import Any

from pydantic import ValidationError

from recommender import metrics
from recommender.errors import InvalidEvent, ProcessLost
from recommender.events import check_documents, parse_product_event
from worker.delivery import Delivery
from worker.jobs.dead_letters import DeadLetter
from worker.plan import EMBED, Embed, Event
from worker.report import Report

log = logging.getLogger(__name__)
STAGES = ("plan", "fetch", "decode", "embed", "write")


def apply_products(delivery: Delivery) -> None:
    """Apply what can be, dead-letter what never can, publish again what may later.

    Raises:
        InvalidEvent: the argument is no list of documents.
        BrokerUnavailable: what is left to do could not be written down.
        EncoderLost: this process can't embed any more.
    """
    events, letters = _parsed(delivery)
    runtime = delivery.runtime
    with runtime.resources.serving.lease() as pair:
        report = runtime.pipelines.of(pair).apply(
            events,
            images=delivery.image_stage(pair),
            may_go_on=delivery.may_go_on,
            must_end=lambda: runtime.watchdog.is_shutting_down,
            progress=delivery.watch.progress,
        )
    failed = {failure.event.id for failure in report.failed}
    metrics.EVENTS.labels("failed").inc(len(letters) + len(failed))
    _tell(delivery, report, failed=len(letters) + len(failed))
    letters += [delivery.bury(_document(f.event), f.error, f.image or "") for f in report.failed]
    delivery.runtime.dead_letters.add(letters)
    _publish_what_is_left(delivery, report)


def _publish_what_is_left(delivery: Delivery, report: Report) -> None:
    lost = [retry for retry in report.retry if isinstance(retry.error, ProcessLost)]
    for retry in lost:  # one by one: each is alone with its own image
        delivery.isolate([[_document(retry.event)]], ProcessLost.__name__)
    later = [retry for retry in report.retry if not isinstance(retry.error, ProcessLost)]
    if later:
        documents = [_document(retry.event) for retry in later]
        delivery.again([documents], type(later[0].error).__name__)
    if report.rest:
        delivery.leave([[_document(event) for event in report.rest]])


def _tell(delivery: Delivery, report: Report, *, failed: int) -> None:
    """One line a message: what became of its products, and what the stages took."""
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
    if event_type != EMBED:
        return parse_product_event(event_type, document)
    try:
        return Embed.model_validate(document)
    except ValidationError as error:
        raise InvalidEvent("", str(error)) from error


def _document(event: Event) -> dict[str, Any]:
    """The document as it came."""
    return event.model_dump(mode="json", exclude_unset=True)

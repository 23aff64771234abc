"""`products.backfill`: what the old index knows of products is brought into the new one, and embedded there.

The state is joined to what the new index has, so that a backfill that is late, or comes twice, takes nothing
back. Events that come meanwhile go to both indexes by themselves.
"""

import logging
import time
from collections.abc import Sequence

from pydantic import ValidationError

from recommender import metrics
from recommender.errors import InvalidEvent, PairMissing
from recommender.events import check_documents
from recommender.serving import Pair
from worker.delivery import Delivery
from worker.everywhere import apply_to
from worker.jobs.dead_letters import DeadLetter
from worker.plan import Backfill, Copy
from worker.products import document_of, publish_what_is_left
from worker.report import Failure, Report

log = logging.getLogger(__name__)


def apply_backfill(delivery: Delivery) -> None:
    """Bring in what can be, dead-letter images that only the new index lacks, publish again what may later.

    Raises:
        InvalidEvent: the argument is no list of documents.
        PairMissing: the swap's pairs are not open here yet.
        BrokerUnavailable: what is left to do could not be written down.
        EncoderLost: this process can't embed any more.
    """
    asked, letters = _parsed(delivery)
    swap = delivery.runtime.swaps.read()
    wanted = [one for one in asked if swap is not None and one.swap == swap.id]
    if wanted and swap is not None:
        report = _copy(delivery, wanted, swap.old, swap.new)
        letters += [delivery.bury(document_of(f.event), f.error, f.image or "") for f in _news(report)]
    else:
        report = Report()
    _tell(delivery, report, outdated=len(asked) - len(wanted), letters=len(letters))
    delivery.runtime.dead_letters.add(letters)
    publish_what_is_left(delivery, report)


def _parsed(delivery: Delivery) -> tuple[list[Backfill], list[DeadLetter]]:
    if delivery.kwargs or len(delivery.args) != 1:
        raise InvalidEvent("", "expected one positional argument, a list of documents")
    asked: list[Backfill] = []
    letters: list[DeadLetter] = []
    for document in check_documents(delivery.args[0]):
        try:
            asked.append(Backfill.model_validate(document))
        except ValidationError as error:
            letters.append(delivery.bury(document, InvalidEvent("", str(error))))
    return asked, letters


def _copy(delivery: Delivery, asked: Sequence[Backfill], old: str, new: str) -> Report:
    with delivery.runtime.resources.serving.lease_all() as opened:
        pairs = {pair.fingerprint: pair for pairs in opened for pair in pairs}
        source, target = _pair(pairs, old), _pair(pairs, new)
        stored = source.index.read([one.id for one in asked])
        copies = [Copy(one, stored[one.id]) for one in asked if one.id in stored]
        return apply_to(delivery, target, copies)


def _pair(pairs: dict[str, Pair], fingerprint: str) -> Pair:
    if fingerprint not in pairs:
        raise PairMissing(f"{fingerprint} is not open in this process yet")
    return pairs[fingerprint]


def _news(report: Report) -> list[Failure]:
    """The failures of images that the old index has; those that neither has are dead letters already."""
    return [
        failure
        for failure in report.failed
        if isinstance(failure.event, Copy)
        and any(image.uri == failure.image and image.row is not None for image in failure.event.stored.images)
    ]


def _tell(delivery: Delivery, report: Report, *, outdated: int, letters: int) -> None:
    counts = {
        "copied": len(report.applied),
        "unchanged": len(report.unchanged),
        "failed": letters,
        "retry": len(report.retry),
        "rest": len(report.rest),
        "outdated": outdated,
    }
    for outcome in ("copied", "unchanged", "failed", "retry", "outdated"):
        metrics.BACKFILLED.labels(outcome).inc(counts[outcome])
    took_ms = round((time.monotonic() - delivery.begun_at) * 1000, 1)
    extra = {"id": delivery.id, **counts, "embedded": report.embedded, "total_ms": took_ms}
    log.info("backfill_applied", extra=extra)

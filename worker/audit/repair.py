"""What mends findings, as events: published to `bulk`, where all that the system gives itself waits."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from celery import Celery
from redis import Redis

from config.settings import Settings
from recommender.events import MAX_DOCUMENTS
from worker.audit.census import Census
from worker.audit.feed import ComparedFeed
from worker.audit.findings import Findings
from worker.audit.kinds import DELETE, ORPHANED, OVERDUE, UPSERT, Event, Kind
from worker.broker import broker_errors
from worker.celery import BULK
from worker.hashes import hash_of
from worker.jobs.steps import BULK_AT_MOST
from worker.plan import EMBED, PURGE
from worker.publish import event_message, publish

Documents = Iterable[dict[str, Any]]


@dataclass(slots=True)
class Published:
    """How many products a kind of event was published for, and in how many messages."""

    event: Event
    products: int = 0
    messages: int = 0


class Repair:
    """Publishes; what was not, and why, is in `left`.

    Every method may raise `BrokerUnavailable`: what was published until then does no harm, and the rest is
    found again. `say` is told when it waits for the workers.
    """

    def __init__(self, app: Celery, client: Redis, settings: Settings, say: Callable[[str], None]) -> None:
        self.left: list[str] = []
        self._app = app
        self._client = client
        self._settings = settings
        self._say = say
        self._upserts: list[dict[str, Any]] = []
        self._published = {event: Published(event) for event in (UPSERT, DELETE, EMBED, PURGE)}

    @property
    def published(self) -> list[dict[str, Any]]:
        """As `Published`, where there was something."""
        return [asdict(one) for one in self._published.values() if one.products]

    def upsert(self, document: dict[str, Any]) -> None:
        """Publish a document of the feed, together with others."""
        self._upserts.append(document)
        if len(self._upserts) == MAX_DOCUMENTS:
            self._send_upserts()

    def finish(self, census: Census, findings: Findings, compared: ComparedFeed | None) -> None:
        """Publish what is left of the documents, and all else that was found and can be mended."""
        self._send_upserts()
        self._send_all(EMBED, _embeds(findings))
        if compared is not None and self._may_delete(census, findings, compared):
            self._send_all(DELETE, _with_versions(census, findings, ORPHANED))
        if findings[OVERDUE].count and self._may_purge():
            self._send_all(PURGE, _with_versions(census, findings, OVERDUE))

    def _may_delete(self, census: Census, findings: Findings, compared: ComparedFeed) -> bool:
        orphaned, live = findings[ORPHANED].count, int(census.live.sum())
        if not orphaned:
            return False
        most = self._settings.feed.max_gone
        refusal = ""
        if compared.made_at is None:
            refusal = (
                "its store does not say when it was made: products that are newer look as if they were gone"
            )
        elif compared.nameless:
            refusal = (
                f"{compared.nameless} of its records have no id that can be read: any may be one of them"
            )
        elif orphaned > most * live:
            refusal = (
                f"they are {orphaned / live:.1%} of the index, where LOOKALIKE_FEED__MAX_GONE allows "
                f"{most:.1%}; if the feed is whole and they are gone indeed, raise it for this command"
            )
        if refusal:
            self.left.append(f"{orphaned} products that are not in the feed were not deleted: {refusal}")
        return not refusal

    def _may_purge(self) -> bool:
        with broker_errors():
            swapping = bool(self._client.exists(f"{self._settings.catalog}:swap"))
        if swapping:
            self.left.append("tombstones were not purged: a model swap runs, and compares both collections")
        return not swapping

    def _send_upserts(self) -> None:
        if self._upserts:
            self._send(UPSERT, self._upserts)
            self._upserts = []

    def _send_all(self, event: Event, documents: Documents) -> None:
        batch: list[dict[str, Any]] = []
        for document in documents:
            batch.append(document)
            if len(batch) == MAX_DOCUMENTS:
                self._send(event, batch)
                batch = []
        if batch:
            self._send(event, batch)

    def _send(self, event: Event, documents: list[dict[str, Any]]) -> None:
        self._wait_for_room()
        counted = self._published[event]
        counted.messages += publish(self._app, event_message(event, documents, BULK))
        counted.products += len(documents)

    def _wait_for_room(self) -> None:
        """Don't fill Redis, as catalog jobs don't."""
        said = False
        while self._waiting() > BULK_AT_MOST:
            if not said:
                self._say(f"more than {BULK_AT_MOST} messages wait in {BULK}: waiting for the workers")
                said = True
            time.sleep(1)

    def _waiting(self) -> int:
        with broker_errors():
            waiting: Any = self._client.llen(f"{self._settings.redis.key_prefix or ''}{BULK}")
        return int(waiting)


def _embeds(findings: Findings) -> Documents:
    """Each product once, whatever was found of it."""
    seen: set[int] = set()
    for found in findings:
        if found.kind.repair != EMBED:
            continue
        for product in found.ids:
            if (own := hash_of(product)) not in seen:
                seen.add(own)
                yield {"id": product, "only_changed": True}


def _with_versions(census: Census, findings: Findings, kind: Kind) -> Documents:
    """A delete or purge at the very version that the census has: what came since wins."""
    for product in findings[kind].ids:
        place = census.place(product)
        assert place is not None, "it was found in the census"
        yield {"id": product, "version": int(census.products["version"][place])}

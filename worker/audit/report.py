"""An audit as plain data: what is printed as JSON, and what the page is made of."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from worker.audit.census import DELETED, STUB
from worker.audit.findings import Example, Found
from worker.audit.run import Audit

Report = dict[str, Any]
Describe = Callable[[str], Mapping[str, Any] | None]
"""What the index says of a live product; None where there is none of this id."""


def report_of(audit: Audit, catalog: str, describe: Describe) -> Report:
    """All of it; the examples with what the index knows of them."""
    repair = audit.repair
    return {
        "catalog": catalog,
        "encoder": audit.census.encoder,
        "made_at": datetime.fromtimestamp(audit.began_at, UTC).isoformat(timespec="seconds"),
        "took_s": round(audit.took_s, 1),
        "clean": audit.findings.is_clean,
        "compared": _compared(audit),
        "not_looked_at": audit.findings.not_looked_at,
        "findings": [_finding(found, describe) for found in audit.findings],
        "repair": None if repair is None else {"published": repair.published, "left": repair.left},
    }


def _compared(audit: Audit) -> Report:
    census, feed = audit.census, audit.compared
    status = census.products["status"]
    return {
        "products": int(census.live.sum()),
        "pictures": int(census.images_of_live.sum()),
        "tombstones": int((status == DELETED).sum()),
        "stubs": int((status == STUB).sum()),
        "buckets": dict(audit.listed.buckets),
        "feed": None
        if feed is None
        else {
            "uri": feed.uri,
            "records": feed.records,
            "index_is_newer": feed.ahead,
            "not_in_it_yet": feed.not_in_it_yet,
        },
    }


def _finding(found: Found, describe: Describe) -> Report:
    kind = found.kind
    return {
        "kind": kind.name,
        "title": kind.title,
        "count": found.count,
        "why": kind.why,
        "what_to_do": kind.what_to_do,
        "repair": kind.repair,
        "reasons": dict(found.reasons.most_common()),
        "examples": list(_examples(found.examples, describe)),
    }


def _examples(examples: Iterable[Example], describe: Describe) -> Iterable[Report]:
    for example in examples:
        known = describe(example.id) if example.id else None
        category = known["category"] if known else None
        yield {
            "id": example.id,
            "title": (known or {}).get("title") or example.title,
            "category": [category] if isinstance(category, str) else category,
            "image": example.image,
            "detail": example.detail,
            "also": list(example.also),
        }

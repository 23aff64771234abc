"""What the index shows by itself: who made its rows, what can't be found and why, what is past its time."""

import numpy as np

from worker.audit.census import DELETED, IMAGELESS, SEARCHABLE, STUB, Census, Flags
from worker.audit.feed import ComparedFeed
from worker.audit.findings import Example, Findings, Found
from worker.audit.kinds import INVISIBLE, OVERDUE, UNFINISHED, UNREAD, WRONG_ENCODER


def check_rows(census: Census, findings: Findings) -> None:
    """Rows that another encoder has made."""
    searchable = census.products["status"] == SEARCHABLE
    for at in np.flatnonzero(searchable & census.products["foreign"]).tolist():
        findings[WRONG_ENCODER].add(Example(census.ids[at]))


def check_visible(census: Census, findings: Findings, gone: Flags) -> None:
    """Products that no search finds, and pictures that none does; `gone` (I,) are told of elsewhere."""
    images, status = census.images, census.products["status"][census.images["product"]]
    _tell_reasons(findings[INVISIBLE], census, status == IMAGELESS)
    failed = (images["row"] < 0) | (images["reason"] >= 0)
    _tell_reasons(findings[UNREAD], census, (status == SEARCHABLE) & failed & ~gone)


def check_tombstones(census: Census, findings: Findings, before: float) -> None:
    """Tombstones that were written before that time, in seconds since 1970."""
    products = census.products
    for at in np.flatnonzero((products["status"] == DELETED) & (products["written_at"] < before)).tolist():
        findings[OVERDUE].add(Example(census.ids[at], f"deleted at version {products['version'][at]}"))


def check_stubs(census: Census, findings: Findings, compared: ComparedFeed | None) -> None:
    """Ids that only patches have named; those in the feed are told of as missing."""
    stubs = census.products["status"] == STUB
    if compared is not None:
        stubs &= ~compared.named
    for at in np.flatnonzero(stubs).tolist():
        detail = f"a change of version {census.products['version'][at]}"
        findings[UNFINISHED].add(Example(census.ids[at], detail))


def _tell_reasons(found: Found, census: Census, chosen: Flags) -> None:
    for product, images in census.by_product(chosen):
        reasons = list(dict.fromkeys(census.reason(image) for image in images))
        more = f" (and {len(images) - 1} more pictures)" if len(images) > 1 else ""
        found.add(Example(census.ids[product], reasons[0] + more, census.uris[images[0]]))
        for reason in reasons:
            found.because(reason)

"""The same picture on many products: placeholders, size charts, logos."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.copies import find_copies
from recommender.looks import Looks
from worker.audit.buckets import Listed
from worker.audit.census import Census
from worker.audit.findings import Example, Findings, Found
from worker.audit.kinds import ALIKE, SHARED
from worker.hashes import Hashes

ALIKE_FROM = 0.999
"""Cosine from which two pictures can't be told apart."""
_ALSO = 5
Numbers = NDArray[np.int64]


def check_shared(census: Census, listed: Listed, findings: Findings, more_than: int) -> Hashes:
    """Pictures that more than so many families have, by URI or ETag.

    Returns (I,): which picture each image is.
    """
    pictures = _pictures(census, listed)
    chosen = np.flatnonzero(census.images_of_live)
    _tell(census, findings[SHARED], pictures[chosen], chosen, more_than)
    return pictures


def check_alike(
    census: Census,
    looks: Looks,
    ids: Sequence[str],
    pictures: Hashes,
    *,
    findings: Findings,
    more_than: int,
    advance: Callable[[int], None],
) -> None:
    """Pictures of different bytes that more than so many families have.

    `ids[i]` is product i of the looks; `pictures` as `check_shared` returns it.
    """
    labels = find_copies(looks, min_score=ALIKE_FROM, advance=advance)
    images = _images_of_rows(census, looks, ids)
    known = images >= 0  # what was written since the census is left out
    labels, images = labels[known], images[known]
    several = _with_several(labels, pictures[images])
    chosen = np.isin(labels, several)
    _tell(census, findings[ALIKE], labels[chosen].astype(np.uint64), images[chosen], more_than)


def _pictures(census: Census, listed: Listed) -> Hashes:
    """What is the same for the same bytes: the ETag, as the bucket has it or was embedded, else the URI."""
    etags = np.zeros(len(listed.uris), np.uint64)
    etags[listed.place] = census.images["etag"]
    etags = np.where(listed.etags > 1, listed.etags, etags)
    picture: Hashes = np.where(etags != 0, etags, listed.uris)[listed.place]
    return picture


def _tell(census: Census, found: Found, labels: Hashes, images: Numbers, more_than: int) -> None:
    """`labels` (N,) says which picture each of `images` (N,) is; a family counts once."""
    products = census.images["product"][images].astype(np.int64)
    order = np.argsort(labels, kind="stable")
    bounds = np.flatnonzero(np.diff(labels[order])) + 1
    groups = (
        group
        for group in np.split(order, bounds)
        if len(group) > more_than and len(np.unique(census.products["family"][products[group]])) > more_than
    )
    for group in sorted(groups, key=len, reverse=True):
        those = np.unique(products[group])
        families = len(np.unique(census.products["family"][those]))
        first = images[group[0]]
        also = [census.ids[at] for at in those[: _ALSO + 1] if at != products[group[0]]][:_ALSO]
        detail = f"on {len(those)} products" + (f" of {families} families" if families < len(those) else "")
        owner = census.ids[int(products[group[0]])]
        found.add(Example(owner, detail, census.uris[int(first)], tuple(also)))


def _images_of_rows(census: Census, looks: Looks, ids: Sequence[str]) -> Numbers:
    """(R,): the image of the census that each row is of; -1 where it knows none."""
    found = np.full(len(looks.vectors), -1, np.int64)
    begins = np.searchsorted(census.images["product"], np.arange(len(census.products) + 1))
    for product, name in enumerate(ids):
        place = census.place(name)
        if place is None:
            continue
        first = looks.starts[product]
        own = np.arange(begins[place], begins[place + 1])
        rows = census.images["row"][own]
        fits = (rows >= 0) & (rows < looks.starts[product + 1] - first)
        found[first + rows[fits]] = own[fits]
    return found


def _with_several(labels: Numbers, pictures: Hashes) -> Numbers:
    """The labels under which there are several pictures: one alone is told of as shared."""
    pairs = np.unique(np.stack([labels.astype(np.uint64), pictures], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    return found[counts > 1].astype(np.int64)

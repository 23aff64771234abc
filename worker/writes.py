"""What is to be written for a plan, once the outcomes of its images are known. Pure: no I/O."""

from collections.abc import Mapping

import numpy as np

from recommender.errors import ImageError
from recommender.index.protocol import IndexedImage, Vectors, Write
from worker.embedding import Embedded, Outcome
from worker.plan import ImageKey, Plan

Outcomes = Mapping[ImageKey, Outcome]


def write_of(plan: Plan, outcomes: Outcomes, dimension: int) -> Write:
    """The compare-and-swap of one product, against the revision that was read.

    A purged one has a state of which nothing is known: its point is removed.
    """
    rev = plan.stored.rev if plan.stored else None
    flag = plan.duplicate_of
    if plan.images:
        images, rows = _with_rows(plan, outcomes)
        if rows is None:
            return Write(plan.group.id, rev, plan.state, images, None, flag)
        # The flag is about the photos: it stays where they are but embedded again, or by another encoder.
        kept = flag if plan.forced or plan.copies else None
        return Write(plan.group.id, rev, plan.state, images, _stacked(rows, dimension), kept)
    if plan.stored is not None and not plan.state.deleted:
        return Write(plan.group.id, rev, plan.state, plan.stored.images, None, flag)
    return Write(plan.group.id, rev, plan.state, (), _stacked([], dimension))


def _with_rows(plan: Plan, outcomes: Outcomes) -> tuple[tuple[IndexedImage, ...], list[Vectors] | None]:
    """The images as they will be, and their rows; None where the stored rows stay as they are."""
    images: list[IndexedImage] = []
    rows: list[Vectors] = []
    kept: dict[str, IndexedImage] = {}
    for key in plan.images:
        outcome, known = outcomes[key], plan.known.get(key.uri)
        if isinstance(outcome, Embedded):
            images.append(IndexedImage(key.uri, outcome.etag, len(rows)))
            rows.append(outcome.row)
            continue
        error = str(outcome) if isinstance(outcome, ImageError) else None
        # A repair takes nothing away: what can't be embedded again stays as it was.
        if known is not None and known.row is not None and (error is None or plan.forced):
            assert plan.stored is not None
            assert plan.stored.vectors is not None
            kept[key.uri] = IndexedImage(key.uri, known.etag, known.row, error)
            images.append(IndexedImage(key.uri, known.etag, len(rows), error))
            rows.append(plan.stored.vectors[known.row])
        else:
            images.append(IndexedImage(key.uri, error=error))
    stored_rows = sum(image.row is not None for image in plan.known.values())
    if plan.stored is not None and len(kept) == len(rows) == stored_rows:
        return tuple(kept.get(image.uri, image) for image in images), None
    return tuple(images), rows


def _stacked(rows: list[Vectors], dimension: int) -> Vectors:
    return np.stack(rows) if rows else np.empty((0, dimension), np.float32)

"""How far a refresh is, and what it has counted: all that its record keeps between two parts."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from worker.feeds.record import Place
from worker.jobs.steps import Position

Phase = Literal["scanning", "listing", "comparing", "retiring", "ended"]
MOST_REASONS = 32
"""Reasons that are counted apart; any further one counts as `other`."""


class Counts(BaseModel):
    """What was found so far. Products, but for what is said to be images."""

    model_config = ConfigDict(frozen=True)

    points: NonNegativeInt = 0
    """Of the index, tombstones and stubs included."""
    listed: NonNegativeInt = 0
    """Objects that buckets listed, whether an image is known of them or not."""
    unlisted: dict[str, str] = {}
    """Folders that could not be listed, and why."""
    moved: NonNegativeInt = 0
    vanished: NonNegativeInt = 0
    """Images; see `Suspects`."""
    records: NonNegativeInt = 0
    new: NonNegativeInt = 0
    changed: NonNegativeInt = 0
    unchanged: NonNegativeInt = 0
    older: NonNegativeInt = 0
    """They differ, and the index has heard all that they say, or newer."""
    looked: NonNegativeInt = 0
    """Their images are looked at again."""
    unchanged_images: NonNegativeInt = 0
    failed: dict[str, int] = {}
    """Records that are no products, by reason."""
    nameless: NonNegativeInt = 0
    """Those of them of which not even the id can be read."""
    gone: NonNegativeInt = 0

    def of_the_index(self) -> Self:
        """Without what the feed was counted for."""
        kept = {"points", "listed", "unlisted", "moved", "vanished"}
        return type(self)(**self.model_dump(include=kept))

    def plus(self, **counted: int) -> Self:
        """With so many more of each."""
        return self.model_copy(update={name: getattr(self, name) + more for name, more in counted.items()})

    def with_failures(self, reasons: list[str]) -> Self:
        """With these reasons counted."""
        failed = dict(self.failed)
        for reason in reasons:
            known = reason in failed or len(failed) < MOST_REASONS
            name = reason if known else "other"
            failed[name] = failed.get(name, 0) + 1
        return self.model_copy(update={"failed": failed})


class RefreshPosition(Position):
    """Where a refresh goes on. The numbers of parts say how many each phase has noted."""

    phase: Phase = "scanning"
    run: NonNegativeInt = 0
    """How often it began anew, since its notes were lost."""
    started_at: float = 0
    scanned: NonNegativeInt = 0
    listed: NonNegativeInt = 0
    compared: NonNegativeInt = 0
    cursor: str = ""
    """Of the index's census, or the key after which a folder's listing goes on."""
    folder: NonNegativeInt = 0
    passed: NonNegativeInt = 0
    """Points that the retirement has gone through."""
    reading: NonNegativeInt = 0
    """How often the feed was read from its start since it had changed."""
    place: Place = Place()
    """In the feed."""
    counts: Counts = Counts()

    def to(self, **changes: Any) -> Self:
        """Another position."""
        return self.model_copy(update=changes)

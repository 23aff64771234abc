"""What the phases of a refresh work with, and what they know of the index."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from config.settings import Settings
from recommender.images.source import ImageSource
from recommender.index.protocol import ProductIndex
from worker.jobs.dead_letters import DeadLetters
from worker.jobs.steps import Job
from worker.refresh.known import Known, Suspects, suspects_of
from worker.refresh.notes import Notes
from worker.refresh.position import RefreshPosition


@dataclass(frozen=True, slots=True)
class Run:
    """One step's means. `publish` hands product events of one type to the broker, in full messages."""

    feed: str
    max_gone: float
    settings: Settings
    index: ProductIndex
    source: ImageSource
    dead_letters: DeadLetters
    notes: Notes
    job: Job
    publish: Callable[[str, Sequence[dict[str, Any]]], None]

    def known(self, position: RefreshPosition) -> Known:
        """What the scan noted.

        Raises:
            NotesLost: a part of it is gone.
        """
        return _known(self.notes, position.scanned)

    def suspects(self, position: RefreshPosition) -> Suspects:
        """The products whose images may have changed, once the buckets are listed.

        Raises:
            NotesLost: a part of the notes is gone.
        """
        complete = not position.counts.unlisted
        return _suspects(self.notes, position.scanned, position.listed, complete)

    def folders(self, position: RefreshPosition) -> set[str]:
        """The folders that the scan noted.

        Raises:
            NotesLost: a part of them is gone.
        """
        return {
            folder for noted in self.notes.get("folders", position.scanned) for folder in json.loads(noted)
        }


def forget() -> None:
    """Let go of what this process has kept in memory from step to step."""
    _known.cache_clear()
    _suspects.cache_clear()


# One refresh at a time is kept; where several take turns, each reads its notes once more a step.
@lru_cache(maxsize=1)
def _known(notes: Notes, parts: int) -> Known:
    return Known.of(notes.get("products", parts), notes.get("images", parts))


@lru_cache(maxsize=1)
def _suspects(notes: Notes, scanned: int, listed: int, complete: bool) -> Suspects:
    return suspects_of(_known(notes, scanned), notes.get("listed", listed), complete=complete)

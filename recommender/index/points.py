"""What an engine must be able to do with points, so that `PointIndex` can keep products in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from config.settings import Storage
from recommender.index.filters import Where
from recommender.index.protocol import Vectors
from recommender.index.strategy import Strategy

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A point to write whole; an array of no rows makes it vectorless."""

    id: str
    payload: Payload
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Insert:
    """Write these points where they are missing; leave those that exist alone."""

    points: tuple[NewPoint, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """Write each point where it exists with the `rev` that was read, `revs[i]`; leave the others alone."""

    points: tuple[NewPoint, ...]
    revs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OverwritePayload:
    """Replace the whole payload of a point that still has this `rev`; its vectors stay."""

    id: str
    rev: int
    payload: Payload


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove each point that still has the `rev` that was read, `revs[i]`; leave the others alone."""

    ids: tuple[str, ...]
    revs: tuple[int, ...]


Operation = Insert | Replace | OverwritePayload | Remove


def points_of(operation: Operation) -> list[str]:
    """The ids of the points that an operation names."""
    if isinstance(operation, OverwritePayload):
        return [operation.id]
    if isinstance(operation, Remove):
        return list(operation.ids)
    return [point.id for point in operation.points]


@dataclass(frozen=True, slots=True)
class FoundPoint:
    """A point as it was read: the payload fields and vectors that were asked for.

    `vectors` has no rows where the point has none, and is None where they were not asked for;
    `score` is 0 outside of searches.
    """

    payload: Payload
    vectors: Vectors | None = None
    score: float = 0.0


class PointStore(Protocol):
    """The points of one collection. Thread-safe.

    Raises `IndexUnavailable` when the engine fails, `ShuttingDown` after `close`.
    """

    dimension: int
    has_graph: bool
    """Whether a search has a graph to walk; without one it compares all that passes."""
    storage: Storage

    def retrieve(
        self, ids: Sequence[str], *, fields: Sequence[str] | None = None, vectors: bool = False
    ) -> list[FoundPoint]:
        """Read the points that exist, in any order; `fields` None reads the whole payload."""
        ...

    def apply(self, operations: Sequence[Operation]) -> set[str]:
        """Apply the operations, of which each point has one at most; return the ids written or removed.

        Each is atomic and durable on return, all of them are not. Every payload of one call has the
        same `write_id`, which no other call has.
        """
        ...

    def nearest(
        self, rows: Vectors, where: Where, strategy: Strategy, *, limit: int, vectors: bool = False
    ) -> list[list[FoundPoint]]:
        """For each of the (Q, D) rows the best points, best first, by the cosine of their best row."""
        ...

    def facet(self, field: str, where: Where, *, limit: int) -> dict[str, int]:
        """Count matching points by value, most frequent first."""
        ...

    def count(self, where: Where, *, exact: bool = True) -> int:
        """Count matching points; from the payload indexes' statistics alone where not `exact`."""
        ...

    def scroll(
        self,
        where: Where,
        *,
        limit: int,
        start: str | None,
        fields: Sequence[str] | None = None,
        vectors: bool = False,
    ) -> tuple[list[FoundPoint], str | None]:
        """Read matching points in the order of their ids, from `start` on; and the next start.

        `fields` None reads the whole payload.
        """
        ...

    def ping(self) -> None:
        """Return if the engine answers."""
        ...

    def close(self) -> None:
        """Let go; safe to call twice."""
        ...

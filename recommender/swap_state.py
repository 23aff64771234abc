"""What all processes of a catalog know of a model swap, and of each other. Kept in Redis.

A swap lies in `CATALOG:swap` from before its new collection is filled until one of the two is dropped. Every
process says in the hash `CATALOG:processes` which pairs it has open, every few seconds; who is silent is
forgotten. So whoever runs a swap knows that everybody follows before it takes the next step:

- To begin: `begin`, then wait until every process has `swap` and names the new pair among its `pairs`. From
  then on whatever a worker acknowledges is in both collections.
- To flip: promote the collection, then wait until every process is `serving` it.
- To drop one: `end`, wait until no process names it among its `pairs`, then drop it. A process names a pair
  for as long as a query or a message uses it.
"""

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, cast

from redis import Redis

from recommender.encoders.recipe import Recipe
from recommender.errors import BrokerUnavailable
from recommender.redis_client import broker_errors

Phase = Literal["preparing", "backfilling", "catching-up", "judging", "flipping", "flipped", "rolled-back"]
Kind = Literal["worker", "api"]
REPORT_S = 2.0
FORGOTTEN_S = 15.0

# KEYS: the swap's. ARGV: the id that it must have, and what to store, or nothing to remove it.
_CHANGE = """
local stored = redis.call('GET', KEYS[1])
if not stored or cjson.decode(stored).id ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class SwapState:
    """A swap: from one collection to another, both named by their fingerprints."""

    id: str
    old: str
    new: str
    recipe: Recipe
    """That of the new one."""
    phase: Phase

    @property
    def fingerprints(self) -> tuple[str, str]:
        """Both collections."""
        return self.old, self.new

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `as_json`."""
        said = json.loads(text)
        recipe = Recipe.from_json(said["recipe"])
        return cls(said["id"], said["from"], said["to"], recipe, said["phase"])

    def as_json(self) -> str:
        """As it is stored."""
        return json.dumps(
            {
                "id": self.id,
                "from": self.old,
                "to": self.new,
                "recipe": self.recipe.as_json(),
                "phase": self.phase,
            }
        )


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What one process says of itself.

    `error` says why a pair that it should have is not open, beginning with the pair's fingerprint.
    """

    kind: Kind
    pairs: tuple[str, ...]
    """Fingerprints of those that are open, or still in use."""
    serving: str
    """That which new queries use."""
    swap: str | None
    """The id of the swap that it acts on."""
    error: str | None = None
    at: float = 0.0
    """Seconds since 1970, by Redis's clock."""


class SwapBook:
    """The swap of one catalog, and the processes that follow it. Thread-safe.

    Every method may raise `BrokerUnavailable`.
    """

    def __init__(self, client: Redis, catalog: str) -> None:
        self._client = client
        self._swap = f"{catalog}:swap"
        self._processes = f"{catalog}:processes"
        # Containers share hosts' names and numbers of processes.
        self.own_name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"

    def read(self) -> SwapState | None:
        """Return the swap that runs, or may still be rolled back; None without one."""
        with broker_errors():
            text = self._client.get(self._swap)
        try:
            return None if text is None else SwapState.from_json(str(text))
        except (ValueError, KeyError, TypeError) as error:
            raise BrokerUnavailable(f"{self._swap} holds no swap: {error!r}") from error

    def begin(self, swap: SwapState) -> bool:
        """Make it known, unless there is one already; returns whether this one is there now."""
        with broker_errors():
            begun = self._client.set(self._swap, swap.as_json(), nx=True)
        return bool(begun) or self.read() == swap

    def advance(self, swap: SwapState, phase: Phase) -> SwapState | None:
        """Put the swap into another phase; None where it is not there any more."""
        advanced = replace(swap, phase=phase)
        return advanced if self._change(swap.id, advanced.as_json()) else None

    def end(self, swap_id: str) -> bool:
        """Forget the swap; False where it was not there any more."""
        return self._change(swap_id, "")

    def report(self, report: ProcessReport) -> None:
        """Say what this process has open, and forget who is silent."""
        with broker_errors():
            said = replace(report, at=self._now())
            self._client.hset(self._processes, self.own_name, json.dumps(asdict(said)))
        self.processes()

    def leave(self) -> None:
        """Forget this process, which ends."""
        with broker_errors():
            self._client.hdel(self._processes, self.own_name)

    def processes(self) -> dict[str, ProcessReport]:
        """Return what every process said last, by its name; who is silent is forgotten."""
        with broker_errors():
            now = self._now()
            said = cast("dict[str, str]", self._client.hgetall(self._processes))
            reports = {name: _report(text) for name, text in said.items()}
            silent = [name for name, report in reports.items() if now - report.at > FORGOTTEN_S]
            if silent:
                self._client.hdel(self._processes, *silent)
        return {name: report for name, report in reports.items() if name not in silent}

    def _change(self, swap_id: str, text: str) -> bool:
        with broker_errors():
            return bool(self._client.eval(_CHANGE, 1, self._swap, swap_id, text))

    def _now(self) -> float:
        seconds, microseconds = self._client.time()
        return seconds + microseconds / 1e6


def _report(text: str) -> ProcessReport:
    said: dict[str, Any] = json.loads(text)
    return ProcessReport(**{**said, "pairs": tuple(said["pairs"])})

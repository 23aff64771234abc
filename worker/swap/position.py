"""How far a model swap is, and what its phases share."""

import time
from collections.abc import Generator
from dataclasses import dataclass

from recommender.encoders.recipe import Recipe
from recommender.errors import JobStopped, PairMissing
from recommender.serving import Pair
from recommender.swap_state import Phase, SwapState
from worker.delivery import Delivery
from worker.jobs.steps import Job
from worker.runtime import Runtime
from worker.swap.dropping import DropPosition

LOOK_S = 1.0
"""How often what is waited for is looked at."""


class SwapPosition(DropPosition):
    """A place in a swap. `cursor` is that of the walk over the old collection in this phase."""

    phase: Phase = "preparing"
    old: str = ""
    new: str = ""
    dimension: int = 0
    since: float = 0.0
    """When the phase began, in seconds since 1970."""
    begun: bool = False
    """Whether what the phase does once is done: the walk, the flip."""
    cursor: str | None = None
    products: int = 0
    """How many the walk has passed."""
    tries: int = 0


Parts = Generator[SwapPosition, None, None]


@dataclass(frozen=True, slots=True)
class Swap:
    """What a phase works with: the message in hand, its job, and the recipe of the new encoder."""

    delivery: Delivery
    job: Job
    recipe: Recipe
    drop_old: bool

    @property
    def runtime(self) -> Runtime:
        """This process's."""
        return self.delivery.runtime

    def state(self) -> SwapState:
        """The swap as every process knows it.

        Raises:
            JobStopped: it is not there any more.
        """
        state = self.runtime.swaps.read()
        if state is None or state.id != self.job.id:
            raise JobStopped("the swap was ended meanwhile, by someone else")
        return state

    def enter(self, place: SwapPosition, phase: Phase) -> SwapPosition:
        """Let every process know of the next phase, and note how long this one took.

        Raises:
            JobStopped: the swap is not there any more.
        """
        if self.runtime.swaps.advance(self.state(), phase) is None:
            self.state()
        took = self.job.report.setdefault("seconds", {})
        took[place.phase] = round(time.time() - place.since, 1)
        return SwapPosition(phase=phase, old=place.old, new=place.new, since=time.time())

    def pair(self, fingerprint: str) -> Pair:
        """One of the two. It stays open while the swap is there; after that it fails with `ShuttingDown`.

        Raises:
            PairMissing: it is not open in this process yet.
        """
        for pair in self.runtime.resources.serving.pairs():
            if pair.fingerprint == fingerprint:
                return pair
        raise PairMissing(f"{fingerprint} is not open in this process yet")

"""What one call of the pipeline gathers: its images on their way, and its report."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait

from recommender import metrics
from recommender.errors import ImageError
from worker.embedding import Embedded, ImageStage, Looked, Outcome
from worker.plan import ImageKey, Plan
from worker.report import Failure, Report, covered_s

_LOOK_S = 1.0


class Batch:
    """What one call of `apply` gathers, over all its slices and rounds. Its callers take turns by it."""

    def __init__(
        self,
        images: ImageStage,
        may_go_on: Callable[[], bool],
        must_end: Callable[[], bool],
        progress: Callable[[], None],
    ) -> None:
        self._images = images
        self._may_go_on = may_go_on
        self._must_end = must_end
        self.progress = progress
        self._begun = False
        self._products: list[Sequence[ImageKey]] = []
        self._looking: dict[ImageKey, Future[Looked]] = {}
        self.report = Report()
        self.outcomes: dict[ImageKey, Outcome] = {}
        self._embedding: list[tuple[float, float]] = []

    def goes_on(self) -> bool:
        """Whether another slice may be begun; the first one always may."""
        if self.report.rest or (self._begun and not self._may_go_on()):
            return False
        self._begun = True
        return True

    def look(self, images: Sequence[ImageKey]) -> None:
        """Send a product's images on their way; each once, however many products share it."""
        self._products.append(images)
        for key in images:
            if key not in self._looking:
                self._looking[key] = self._images.embed(key, self, self.progress)

    def wait(self, images: Iterable[ImageKey]) -> None:
        """Block until it is known what became of these images, or they were given up.

        All at once: a thread that woke up for each would take the interpreter's lock from those at work.
        """
        waiting = {self._looking[key] for key in images if key not in self.outcomes}
        while waiting:
            wait(waiting, _LOOK_S)
            waiting = {future for future in waiting if not future.done()}  # `wait` overlooks cancelled ones
            if waiting:
                self._images.check_alive()
                if self._must_end():
                    self._give_up()

    def outcome(self, key: ImageKey) -> Outcome | None:
        """What became of an image that was waited for; None if it was given up."""
        if key not in self.outcomes:
            if self._looking[key].cancelled():
                return None
            looked = self._looking[key].result()
            self.outcomes[key] = looked.outcome
            self.report.took_s["fetch"] += looked.fetch_s
            self.report.took_s["decode"] += looked.decode_s
            if looked.embedding:
                self._embedding.append(looked.embedding)
        return self.outcomes[key]

    def _give_up(self) -> None:
        """Leave the products that nothing was done for: their images are looked at in order."""
        for first, *others in filter(None, reversed(self._products)):
            if self._looking[first].cancel():
                for key in others:
                    self._looking[key].cancel()

    def settle(self, plan: Plan) -> None:
        """Report a group that needs nothing more."""
        self.report.applied += plan.applied
        self.report.stale += plan.stale
        self.report.unchanged += plan.repeated
        for key in plan.images:
            outcome = self.outcomes[key]
            if isinstance(outcome, ImageError):
                self.report.failed.append(Failure(plan.names_images, outcome, key.uri))

    def count(self) -> None:
        """Tell the metrics."""
        report = self.report
        if self._embedding:
            report.took_s["embed"] = covered_s(self._embedding)
        report.images = len(self.outcomes)
        report.embedded = sum(isinstance(outcome, Embedded) for outcome in self.outcomes.values())
        for stage, took in report.took_s.items():
            metrics.STAGE_SECONDS.labels(stage).observe(took)
        metrics.IMAGES_EMBEDDED.inc(report.embedded)
        metrics.IMAGES_FAILED.inc(sum(isinstance(found, ImageError) for found in self.outcomes.values()))

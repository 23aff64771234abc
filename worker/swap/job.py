"""`catalog.reindex` with another encoder than the one that serves: a model swap."""

from collections.abc import Generator

from recommender.encoders.recipe import Recipe
from recommender.errors import InvalidEvent
from recommender.events import Reindex
from worker.delivery import Delivery
from worker.jobs.book import job_scope
from worker.jobs.steps import Job, job_of, run_job
from worker.swap.estimate import recipe_for
from worker.swap.others import end_abandoned
from worker.swap.phases import parts
from worker.swap.position import Swap, SwapPosition


def swap_recipe(delivery: Delivery, wanted: Reindex) -> Recipe | None:
    """The recipe of the encoder that this message swaps to; None where it is the one that serves.

    A message of a job that has begun says what it said at first: once the alias is flipped, the encoder that
    it names serves.

    Raises:
        InvalidEvent: there is no such encoder.
        BrokerUnavailable: Redis could not be asked.
    """
    if wanted.encoder is None:
        return None
    recipe = recipe_for(wanted.encoder, delivery.runtime.settings.encoder)
    begun = delivery.runtime.jobs.get(job_of(delivery))
    if begun is not None:
        return recipe if begun.position.keys() >= SwapPosition.model_fields.keys() else None
    with delivery.runtime.resources.serving.lease() as pair:
        return None if Recipe.of(pair.settings) == recipe else recipe


def swap_job(delivery: Delivery, wanted: Reindex, recipe: Recipe) -> None:
    """Do a step of a swap; a swap whose job ends before the flip is ended with it.

    Raises:
        InvalidEvent: a scope was given.
        TransientError: the index or the broker failed; this step may be tried again.
    """
    if wanted.scope is not None:
        raise InvalidEvent(
            "scope",
            f"a collection holds the vectors of one encoder, so that a swap to {recipe.name} takes the whole "
            "catalog: leave out the scope; or the encoder, to embed the scope with the one that serves",
        )

    def work(place: SwapPosition, job: Job) -> Generator[SwapPosition, None, None]:
        yield from parts(Swap(delivery, job, recipe, wanted.drop_old), place)

    try:
        run_job(delivery, job_scope(wanted), SwapPosition(), work)
    finally:
        end_abandoned(delivery.runtime)
        delivery.on_burial.append(lambda _: end_abandoned(delivery.runtime))  # the job has failed by then

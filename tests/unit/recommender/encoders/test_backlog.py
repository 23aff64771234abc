"""What waits is told for all encoders of a process together."""

from prometheus_client import REGISTRY

from recommender.encoders.backlog import Backlog, Call, Item


def depth() -> float | None:
    return REGISTRY.get_sample_value("lookalike_encode_queue_depth", {"priority": "ordinary"})


def test_the_depth_is_that_of_every_encoder_and_of_none_that_is_gone() -> None:
    before = depth()
    assert before is not None
    backlogs = [Backlog(), Backlog()]
    for backlog in backlogs:
        backlog.put("ordinary", "caller", Item("image", None, Call()))
    assert depth() == before + 2
    del backlog
    backlogs.pop()
    assert depth() == before + 1

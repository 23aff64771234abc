"""The metrics against trec_eval's, on the same rankings."""

from typing import Any

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from recommender.quality.rankings import DEPTH, METRICS, judge, measure, together

THEIRS = ("success_1", "success_10", "recip_rank", "ndcg_cut_10")
candidates = st.lists(
    st.tuples(st.integers(-3, 3), st.sampled_from([0, 0, 0, 1, 1, 2, 5])), min_size=1, max_size=40
)


def names(gains: list[int]) -> list[str]:
    """Ids of the candidates: trec_eval takes equal scores by descending id, we the least gain first."""
    return [f"{9 - gain}-{place:03d}" for place, gain in enumerate(gains)]


def by_trec_eval(questions: list[list[tuple[int, int]]]) -> Any:
    judged, run = {}, {}
    for number, question in enumerate(questions):
        ids = names([gain for _, gain in question])
        judged[str(number)] = {name: gain for name, (_, gain) in zip(ids, question, strict=True)}
        run[str(number)] = {name: float(score) for name, (score, _) in zip(ids, question, strict=True)}
    found = pytrec_eval.RelevanceEvaluator(judged, {"success", "recip_rank", "ndcg_cut"}).evaluate(run)
    return [[found[str(number)][name] for name in THEIRS] for number in range(len(questions))]


def by_us(questions: list[list[tuple[int, int]]]) -> Any:
    parts = [
        judge(np.array([[s for s, _ in one]], np.float32), np.array([[g for _, g in one]], np.float32))
        for one in questions
    ]
    return measure(together(parts))


@given(st.lists(candidates, min_size=1, max_size=4))
def test_they_are_those_of_trec_eval_ties_included(questions: list[list[tuple[int, int]]]) -> None:
    np.testing.assert_allclose(by_us(questions), by_trec_eval(questions), atol=1e-9)


def test_they_are_those_of_trec_eval_on_a_large_catalog() -> None:
    rng = np.random.default_rng(2)
    scores, gains = (
        rng.integers(-500, 500, (20, 3000)),
        rng.choice([0, 1, 3], (20, 3000), p=[0.99, 0.008, 0.002]),
    )
    questions = [list(zip(s.tolist(), g.tolist(), strict=True)) for s, g in zip(scores, gains, strict=True)]
    ours = measure(judge(scores.astype(np.float32), gains.astype(np.float32)))
    np.testing.assert_allclose(ours, by_trec_eval(questions), atol=1e-9)
    assert 0 < ours[:, METRICS.index("ndcg@10")].mean() < 1


def test_an_encoder_to_which_all_looks_alike_is_not_lucky() -> None:
    gains = np.eye(1, 20, dtype=np.float32)
    ours = dict(zip(METRICS, measure(judge(np.ones((1, 20), np.float32), gains))[0], strict=True))
    assert ours == {"r@1": 0, "r@10": 0, "mrr": 1 / 20, "ndcg@10": 0}


def test_scores_that_float32_can_not_tell_apart_are_equal() -> None:
    gains = np.array([[1, 0]], np.float32)
    assert judge(np.array([[0.8 + 1e-7, 0.8]], np.float32), gains).first == [2]
    assert judge(np.array([[0.8 + 1e-4, 0.8]], np.float32), gains).first == [1]


def test_what_is_no_candidate_is_neither_right_nor_wrong() -> None:
    judged = judge(np.array([[-np.inf, 0.5, 0.1]], np.float32), np.array([[1, 0, 1]], np.float32))
    assert judged.first == [2]
    assert judged.ideal.sum() == 1
    assert judged.answers[0].tolist() == [1, 2, *[-1] * (DEPTH - 2)]


def test_answers_are_the_candidates_best_first() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permutation(50).astype(np.float32)[None]
    judged = judge(scores, np.zeros((1, 50), np.float32))
    assert judged.answers[0].tolist() == np.argsort(-scores[0])[:DEPTH].tolist()
    assert measure(judged).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("questions", [0, 2])
def test_no_candidates_no_answers(questions: int) -> None:
    judged = judge(np.empty((questions, 0), np.float32), np.empty((questions, 0), np.float32))
    assert measure(judged).shape == (questions, len(METRICS))
    assert (judged.answers == -1).all()

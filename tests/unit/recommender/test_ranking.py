from dataclasses import replace
from itertools import islice

import numpy as np

from recommender.events import Upsert
from recommender.index.protocol import Hit, StoredProduct, Vectors
from recommender.merge import UNKNOWN, merge
from recommender.ranking import at_most_a_brand, diversified, one_a_family, without_those_nearer_to


def rows(*angles: float) -> Vectors:
    """Unit vectors of the plane at these angles, in degrees."""
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def hit(product_id: str, score: float, *angles: float, **fields: object) -> Hit:
    event = Upsert.model_validate(
        {"id": product_id, "version": 1, "images": ["s3://b/k"], "category": "c", **fields}
    )
    return Hit(StoredProduct(product_id, 1, merge(UNKNOWN, event), (), rows(*angles)), score)


def ids(hits: "list[Hit]") -> str:
    return "".join(hit.stored.id for hit in hits)


def test_a_family_answers_with_its_best() -> None:
    hits = [
        hit("a", 0.9, 0, group_id="x"),
        hit("b", 0.8, 0),
        hit("c", 0.7, 0, group_id="x"),
        hit("d", 0.6, 0, group_id="y"),
        hit("e", 0.5, 0),
    ]
    assert ids(list(one_a_family(hits))) == "abde"


def test_a_brand_fills_no_more_than_its_cap() -> None:
    hits = [
        hit("a", 0.9, 0, brand="x"),
        hit("b", 0.8, 0),
        hit("c", 0.7, 0, brand="x"),
        hit("d", 0.6, 0, brand="y"),
        hit("e", 0.5, 0, brand="x"),
        hit("f", 0.4, 0),
    ]
    assert ids(list(at_most_a_brand(1, hits))) == "abdf"
    assert ids(list(at_most_a_brand(2, hits))) == "abcdf"


def test_what_is_nearer_to_a_negative_is_dropped_by_its_best_pair() -> None:
    # The positive is at 60; the second row of b, at 10, is what condemns it.
    hits = [hit("a", 0.9, 40), hit("b", 0.9, 40, 10), hit("c", 0.8, 25)]
    assert ids(list(without_those_nearer_to(rows(0), rows(60), hits))) == "a"
    assert ids(list(without_those_nearer_to(rows(0, 180), rows(60), hits[:1]))) == "a"
    assert ids(list(without_those_nearer_to(rows(45, 180), rows(60), hits[:1]))) == ""


def test_a_weight_is_what_a_cosine_counts_for() -> None:
    hits = [hit("a", 0.9, 20), hit("b", 0.9, 45)]
    assert ids(list(without_those_nearer_to(rows(0), rows(60), hits))) == "b"
    assert ids(list(without_those_nearer_to(0.7 * rows(0), rows(60), hits))) == "ab"
    assert ids(list(without_those_nearer_to(rows(0), 0.7 * rows(60), hits))) == ""


def test_no_diversity_keeps_the_order() -> None:
    hits = [hit("a", 0.9, 0), hit("b", 0.9, 0), hit("c", 0.1, 90)]
    assert ids(list(diversified(hits, 0.0))) == "abc"


def test_diversity_passes_over_a_double() -> None:
    hits = [hit("a", 0.90, 0), hit("b", 0.89, 1), hit("c", 0.70, 80)]
    assert ids(list(diversified(hits, 0.5))) == "acb"


def test_diversity_looks_at_the_best_pair_of_images() -> None:
    # c shows another side too, but its second image is the double of a's.
    hits = [hit("a", 0.90, 0), hit("b", 0.80, 50), hit("c", 0.85, 90, 0)]
    assert ids(list(diversified(hits, 0.5))) == "abc"


def test_all_diversity_starts_from_the_best_and_goes_farthest() -> None:
    hits = [hit("a", 0.9, 0), hit("b", 0.8, 10), hit("c", 0.2, 170)]
    assert ids(list(islice(diversified(hits, 1.0), 2))) == "ac"


def test_nothing_to_diversify() -> None:
    assert list(diversified([], 0.5)) == []


def test_a_hit_of_less_weight_is_less_relevant() -> None:
    light = replace(hit("a", 0.9, 0), weight=0.5)
    assert ids(list(diversified([hit("b", 0.8, 90), light], 0.1))) == "ba"


def test_mmr_equals_its_definition_on_random_rows() -> None:
    random = np.random.default_rng(7)
    hits = [hit(str(n), float(s), *random.uniform(0, 360, 3)) for n, s in enumerate(random.uniform(0, 1, 30))]
    hits.sort(key=lambda h: -h.score)

    def likeness(one: Hit, other: Hit) -> float:
        assert one.stored.vectors is not None
        assert other.stored.vectors is not None
        return float((one.stored.vectors @ other.stored.vectors.T).max())

    taken: list[Hit] = []
    while len(taken) < 12:
        left = [h for h in hits if h not in taken]
        taken.append(
            max(left, key=lambda h: 0.6 * h.score - 0.4 * max([likeness(h, t) for t in taken] or [0]))
        )
    assert ids(list(islice(diversified(hits, 0.4), 12))) == ids(taken)

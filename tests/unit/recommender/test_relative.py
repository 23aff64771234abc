from typing import Any

import pytest

from recommender.catalog import Filter, Product
from recommender.errors import InvalidQuery
from recommender.question import Question
from recommender.relative import relative_to


def seed(product_id: str = "a", **fields: Any) -> Product:
    document = {"id": product_id, "version": 1, "images": ["s3://b/k"], "category": "c", **fields}
    return Product.model_validate(document)


CHEAP = seed("cheap", price=40.0, currency="EUR", brand="Acme", group_id="g")
DEAR = seed("dear", price=100.0, currency="EUR", brand="Zeta")


def relative(*seeds: Product, **question: Any) -> Filter | None:
    return relative_to(seeds, Question(positive=tuple(s.id for s in seeds), **question))


@pytest.mark.parametrize(
    ("seeds", "question", "expected"),
    [
        ((CHEAP,), {}, Filter()),
        ((CHEAP,), {"price_within": 0.25}, Filter(price_min=30, price_max=50, currency="EUR")),
        ((CHEAP,), {"price_within": 2}, Filter(price_min=0, price_max=120, currency="EUR")),
        ((CHEAP, DEAR), {"price_within": 0.5}, Filter(price_min=20, price_max=150, currency="EUR")),
        ((CHEAP, DEAR), {"not_dearer": True}, Filter(price_max=100, currency="EUR")),
        (
            (CHEAP,),
            {"price_within": 0.5, "not_dearer": True, "where": Filter(price_min=30)},
            Filter(price_min=30, price_max=40, currency="EUR"),
        ),
        ((CHEAP,), {"not_dearer": True, "where": Filter(price_max=10)}, Filter(price_max=10, currency="EUR")),
        ((seed(price=8.0),), {"not_dearer": True}, Filter(price_max=8)),
        ((CHEAP, DEAR), {"seed_brand": "same"}, Filter(brand=("Acme", "Zeta"))),
        ((CHEAP,), {"seed_brand": "same", "where": Filter(brand=("Acme", "Bolt"))}, Filter(brand=("Acme",))),
        ((CHEAP, DEAR), {"seed_brand": "other"}, Filter(exclude_brands=("Acme", "Zeta"))),
        ((CHEAP, DEAR), {"exclude_family": True}, Filter(exclude_groups=("g",))),
        ((CHEAP, DEAR), {"group": True}, Filter(exclude_groups=("g",))),
    ],
)
def test_what_the_seeds_add(seeds: tuple[Product, ...], question: dict[str, Any], expected: Filter) -> None:
    assert relative(*seeds, **question) == expected


@pytest.mark.parametrize(
    "question",
    [
        {"seed_brand": "same", "where": Filter(brand=("Bolt",))},
        {"price_within": 0.1, "where": Filter(price_min=90)},
        {"not_dearer": True, "where": Filter(price_min=41)},
        {"not_dearer": True, "where": Filter(currency="USD")},
    ],
)
def test_what_contradicts_the_filter_leaves_nothing(question: dict[str, Any]) -> None:
    assert relative(CHEAP, **question) is None


@pytest.mark.parametrize(
    ("seeds", "question", "parameter"),
    [
        ((seed(),), {"price_within": 0.1}, "price_within"),
        ((CHEAP, seed()), {"not_dearer": True}, "not_dearer"),
        ((seed(),), {"seed_brand": "other"}, "seed_brand"),
        ((CHEAP, seed(price=1.0, currency="USD")), {"not_dearer": True}, "not_dearer"),
        ((CHEAP, seed(price=1.0)), {"price_within": 0.1}, "price_within"),
    ],
)
def test_what_can_not_be_compared_is_named(
    seeds: tuple[Product, ...], question: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(InvalidQuery) as caught:
        relative(*seeds, **question)
    assert caught.value.parameter == parameter

import pytest
from pydantic import ValidationError

from recommender.api.parameters import ListParameters, SimilarParameters, SimilarRequest
from recommender.catalog import Filter
from recommender.errors import InvalidQuery
from recommender.question import Weighted


def test_flat_parameters_become_a_filter() -> None:
    parameters = SimilarParameters.model_validate(
        {
            "category": ["women/shoes", "men"],
            "brand": ["Acme"],
            "price_min": "5",
            "in_stock": "true",
            "attr.colour": ["black", "brown"],
            "attr.size": "38",
        }
    )
    assert parameters.where() == Filter(
        category=("women/shoes", "men"),
        brand=("Acme",),
        price_min=5.0,
        in_stock=True,
        attributes={"colour": ("black", "brown"), "size": ("38",)},
    )


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(
        InvalidQuery, match="color: unknown parameter; known are price_within, not_dearer"
    ) as caught:
        SimilarParameters.model_validate({"color": "black"}).where()
    assert caught.value.parameter == "color"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("offset", "-1"),
        ("price_min", "-1"),
        ("price_max", "nan"),
        ("price_max", "inf"),
        ("in_stock", "maybe"),
        ("min_score", "2"),
        ("diversity", "nan"),
        ("category", ["a//b"]),
    ],
)
def test_a_value_out_of_bounds_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        SimilarParameters.model_validate({name: value})
    assert caught.value.errors()[0]["loc"][0] == name


def test_a_cursor_is_one_of_ours() -> None:
    with pytest.raises(ValidationError):
        ListParameters.model_validate({"cursor": "../../etc"})


def test_a_json_question_takes_one_or_many() -> None:
    question = SimilarRequest.model_validate(
        {
            "positive": "a",
            "negative": ["b", "c"],
            "filter": {
                "category": "women",
                "attributes": {"colour": "black", "size": [38, "39"], "new": True},
            },
            "limit": 3,
            "group": True,
        }
    ).question()
    assert (question.liked, question.disliked) == ((Weighted("a"),), (Weighted("b"), Weighted("c")))
    assert (question.limit, question.group) == (3, True)
    assert question.where == Filter(
        category=("women",), attributes={"colour": ("black",), "size": (38, "39"), "new": (True,)}
    )


@pytest.mark.parametrize(
    "body",
    [
        {"positve": ["a"]},
        {"positive": ["a"], "filter": {"colour": "black"}},
        {"positive": [""]},
        {"positive": ["a"] * 33},
        {"positive": ["a"], "filter": {"attributes": {"size": {"gte": 3}}}},
        {"positive": ["a"], "filter": {"attributes": {"size": []}}},
        {"positive": ["a"], "filter": {"attributes": {"size": "x" * 4097}}},
    ],
)
def test_a_wrong_json_question_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SimilarRequest.model_validate(body)

"""The recommender's answers, from the real engine; which product looks like which is drawn."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recommender.catalog import Answer, Filter, Match, Relaxation
from recommender.encoders.batcher import DynamicBatcher
from recommender.errors import (
    ImageNotAllowed,
    ImageNotDecodable,
    InvalidQuery,
    ProductNotFound,
    ProductNotSearchable,
    TextNotSupported,
)
from recommender.events import Delete, Patch
from recommender.index.protocol import Write
from recommender.merge import UNKNOWN, merge
from recommender.question import Question, Weighted
from recommender.similar import Recommender
from tests.pixels import ReadingEncoder
from tests.shop import COLOURS, Shop, asking, draw, filled_shop


@pytest.fixture(scope="module")
def catalog(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for the tests that only ask."""
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def own_shop(s3_endpoint: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop for a test that changes it."""
    with filled_shop(s3_endpoint, tmp_path) as shop:
        yield shop


def ids(answer: Answer) -> list[str]:
    return [item.product.id for item in answer.items]


def ask(shop: Shop, **question: Any) -> list[str]:
    return ids(shop.recommender.similar(Question(**question)))


def test_the_likest_come_first_and_the_asked_product_never(catalog: Shop) -> None:
    answer = catalog.recommender.similar(Question(positive=("round-red-0",), limit=100))
    assert ids(answer)[0] == "round-red-1"
    assert len(answer.items) == 23
    assert "round-red-0" not in ids(answer)
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert answer.encoder == "pixels-000000000000"


def test_the_answer_holds_the_merged_product(own_shop: Shop) -> None:
    stored = own_shop.index.read(["round-red-1"])["round-red-1"]
    state = merge(stored.state, Patch(id="round-red-1", version=9, title="Now on sale", price=1.0))
    assert not own_shop.index.write([Write(stored.id, stored.rev, state, stored.images, None)])
    product = own_shop.recommender.similar(Question(positive=("round-red-0",))).items[0].product
    assert (product.title, product.price, product.brand) == ("Now on sale", 1.0, "Acme")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(category=("shapes/tall",)), {"tall"}),
        (Filter(category=("shapes/tall", "shapes/square")), {"tall", "square"}),
        (Filter(category=("shap",)), set()),
    ],
)
def test_filters_apply_inside_the_search(catalog: Shop, where: Filter, expected: set[str]) -> None:
    found = ask(catalog, positive=("round-red-0",), where=where, limit=8)
    assert {product_id.split("-")[0] for product_id in found} == expected
    assert len(found) == (8 if expected else 0)


def test_every_filter_holds_at_once(catalog: Shop) -> None:
    where = Filter(
        brand=("Acme",), in_stock=True, price_min=20, price_max=31, attributes={"colour": ("red", "gold")}
    )
    assert set(ask(catalog, positive=("round-red-0",), where=where)) == {"square-red-0", "tall-red-0"}


def test_several_products_are_answered_by_the_best_of_them(catalog: Shop) -> None:
    found = ask(catalog, positive=("round-red-0", "tall-blue-0"), limit=2)
    assert set(found) == {"round-red-1", "tall-blue-1"}


def test_what_is_nearer_to_a_negative_is_dropped(catalog: Shop) -> None:
    without = ask(catalog, positive=("round-red-0",), limit=100)
    found = ask(catalog, positive=("round-red-0",), negative=("square-red-0",), limit=100)
    assert "square-red-1" in without
    assert "square-red-1" not in found
    assert "square-red-0" not in found
    assert found[0] == "round-red-1"
    assert found == [product_id for product_id in without if product_id in found]


def test_a_group_answers_once_and_the_asked_one_not_at_all(catalog: Shop) -> None:
    found = ask(catalog, positive=("round-red-0",), group=True, limit=100)
    families = [product_id.rpartition("-")[0] for product_id in found]
    assert len(families) == len(set(families)) == 11
    assert "round-red" not in families


def test_a_crowded_family_does_not_crowd_out_the_rest(own_shop: Shop) -> None:
    picture = draw("round", "red", shift=1)
    own_shop.add_all([(f"copy-{n}", (picture,), {"group_id": "copies"}) for n in range(150)])
    found = ask(own_shop, positive=("round-red-0",), group=True, limit=5)
    assert len(found) == 5
    assert sum(product_id.startswith("copy") for product_id in found) == 1


def test_min_score_cuts_the_tail(catalog: Shop) -> None:
    answer = catalog.recommender.similar(Question(positive=("round-red-0",), limit=100))
    threshold = answer.items[4].score
    for diversity in (0.0, 0.3):
        cut = catalog.recommender.similar(
            Question(positive=("round-red-0",), limit=100, min_score=threshold, diversity=diversity)
        )
        assert set(ids(cut)) == set(ids(answer)[: len(cut.items)])
        assert 5 <= len(cut.items) < 23


def test_diversity_brings_in_what_else_there_is(catalog: Shop) -> None:
    plain = ask(catalog, positive=("round-red-0",), limit=6)
    varied = ask(catalog, positive=("round-red-0",), limit=6, diversity=0.7)

    def styles(found: list[str]) -> int:
        return len({product_id.rpartition("-")[0] for product_id in found})

    assert plain[0] == varied[0]
    assert styles(varied) > styles(plain)


@pytest.mark.parametrize("rules", [{}, {"diversity": 0.6}, {"group": True}, {"negative": ("square-red-0",)}])
def test_pages_join_to_the_whole(catalog: Shop, rules: dict[str, Any]) -> None:
    question = Question(positive=("round-red-0",), limit=3, **rules)
    pages = [ids(catalog.recommender.similar(replace(question, offset=offset))) for offset in (0, 3, 6)]
    joined = [product_id for page in pages for product_id in page]
    assert len(set(joined)) == 9
    if not rules.get("diversity"):
        assert joined == ask(catalog, positive=("round-red-0",), limit=9, **rules)


def test_an_uploaded_image_finds_what_it_shows(catalog: Shop) -> None:
    assert ask(catalog, image=draw("tall", "gold", file_format="WEBP"), limit=1)[0].startswith("tall-gold")


def test_an_image_by_its_address_goes_through_the_allow_list(catalog: Shop) -> None:
    uri = catalog.store.put("query.png", draw("square", "blue", file_format="PNG"))
    assert ask(catalog, image_url=uri, limit=1)[0].startswith("square-blue")
    with pytest.raises(ImageNotAllowed):
        ask(catalog, image_url="s3://elsewhere/query.png")
    with pytest.raises(ImageNotAllowed):
        ask(catalog, image_url="https://evil.example/query.png")


def test_products_and_an_image_are_answered_together(catalog: Shop) -> None:
    found = ask(catalog, positive=("round-red-0",), image=draw("tall", "blue"), limit=3)
    assert "round-red-1" in found
    assert any(product_id.startswith("tall-blue") for product_id in found)


def test_what_is_no_image_is_said(catalog: Shop) -> None:
    with pytest.raises(ImageNotDecodable):
        ask(catalog, image=b"<html>")


@pytest.fixture(scope="module")
def reading(catalog: Shop) -> Iterator[Shop]:
    """The same shop, asked with an encoder that reads."""
    with closing(DynamicBatcher(ReadingEncoder(), 4)) as batcher:
        resources = catalog.resources
        recommender = Recommender(resources.index, batcher, resources.source, catalog.settings)
        yield asking(catalog, recommender)


def test_a_text_is_answered_by_what_it_says(reading: Shop) -> None:
    for colour in COLOURS:
        answer = reading.recommender.similar(Question(text=colour, limit=2))
        assert {item.product.attributes["colour"] for item in answer.items} == {colour}
        assert {(item.match.asked, item.match.asked_image) for item in answer.items} == {(None, None)}


def test_a_text_moves_products_and_photos_towards_it(reading: Shop) -> None:
    positive = ("round-red-0",)
    plain = ask(reading, positive=positive, limit=23)
    assert ask(reading, positive=positive, text="gold", text_weight=0, limit=23) == plain
    steered = ask(reading, positive=positive, text="gold", text_weight=0.6, limit=23)
    assert steered.index("square-gold-0") < plain.index("square-gold-0")
    only = ask(reading, positive=positive, text="gold", text_weight=1, limit=23)
    assert only == [one for one in ask(reading, text="gold", limit=24) if one != "round-red-0"]
    photo = ask(reading, image=draw("tall", "blue"), text="green", negative=("tall-blue-0",), limit=23)
    assert "tall-blue-1" not in photo


def test_a_text_needs_a_text_tower(catalog: Shop) -> None:
    with pytest.raises(TextNotSupported):
        ask(catalog, text="red boots")


def test_an_undeclared_attribute_is_named(catalog: Shop) -> None:
    with pytest.raises(InvalidQuery, match=r"weight.*colour, sizes"):
        ask(catalog, positive=("round-red-0",), where=Filter(attributes={"weight": (2,)}))


def test_crossed_prices_are_named(catalog: Shop) -> None:
    with pytest.raises(InvalidQuery, match="price_min"):
        ask(catalog, positive=("round-red-0",), where=Filter(price_min=2, price_max=1))


def test_products_that_can_not_be_asked_about(own_shop: Shop) -> None:
    own_shop.add("blind", draw("round", "red"), broken=True)
    state = merge(UNKNOWN, Delete(id="gone", version=1))
    rows = own_shop.resources.batcher.embed_images([])
    assert not own_shop.index.write([Write("gone", None, state, (), rows)])
    with pytest.raises(ProductNotSearchable, match="blind"):
        ask(own_shop, positive=("blind",))
    for unknown in ("gone", "never-was"):
        for asked in ({"positive": (unknown,)}, {"positive": ("round-red-0",), "negative": (unknown,)}):
            with pytest.raises(ProductNotFound, match=unknown):
                ask(own_shop, **asked)
        with pytest.raises(ProductNotFound, match=unknown):
            own_shop.recommender.product(unknown)
    assert own_shop.recommender.product("blind").id == "blind"


def test_categories_count_what_is_below_them(catalog: Shop) -> None:
    assert catalog.recommender.categories() == {
        "shapes": 24,
        "shapes/round": 8,
        "shapes/square": 8,
        "shapes/tall": 8,
    }


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"price_within": 0.0}, {"round-red"}),
        ({"price_within": 0.15}, {"round-red", "round-green"}),
        ({"not_dearer": True}, {"round-red"}),
        ({"not_dearer": True, "where": Filter(currency="USD")}, set()),
        ({"seed_brand": "same", "where": Filter(category=("shapes/round",))}, {"round-red", "round-blue"}),
        ({"seed_brand": "same", "where": Filter(brand=("Bolt",))}, set()),
        (
            {"seed_brand": "other", "where": Filter(category=("shapes/round",))},
            {"round-green", "round-gold"},
        ),
        (
            {"exclude_family": True, "where": Filter(category=("shapes/round",))},
            {"round-green", "round-blue", "round-gold"},
        ),
    ],
)
def test_answers_are_compared_with_the_seed(catalog: Shop, rules: dict[str, Any], expected: set[str]) -> None:
    found = ask(catalog, positive=("round-red-0",), limit=100, **rules)
    assert {product_id.rpartition("-")[0] for product_id in found} == expected


def test_a_brand_fills_no_more_than_its_cap(catalog: Shop) -> None:
    for rules in ({}, {"diversity": 0.4}):
        answer = catalog.recommender.similar(
            Question(positive=("round-red-0",), brand_cap=3, limit=20, **rules)
        )
        assert Counter(item.product.brand for item in answer.items) == {"Acme": 3, "Bolt": 3}


def test_a_weight_decides_between_those_that_are_liked(catalog: Shop) -> None:
    liked = (Weighted("round-red-0", 1.0), Weighted("tall-blue-0", 0.5))
    found = ask(catalog, positive=liked, limit=24)
    assert found[0] == "round-red-1"
    answer = catalog.recommender.similar(Question(positive=liked, limit=24))
    relevance = [item.score * {"round-red-0": 1.0}.get(item.match.asked or "", 0.5) for item in answer.items]
    assert relevance == sorted(relevance, reverse=True)
    assert ask(catalog, positive=(liked[0], Weighted("tall-blue-0", 1.0)), limit=24) != found


def test_a_light_dislike_drops_less(catalog: Shop) -> None:
    heavy = ask(catalog, positive=("round-red-0",), negative=("square-red-0",), limit=100)
    light = ask(catalog, positive=("round-red-0",), negative=(Weighted("square-red-0", 0.5),), limit=100)
    assert set(heavy) < set(light)


def test_the_answer_says_which_image_is_like_which(own_shop: Shop) -> None:
    own_shop.add("seed", draw("tall", "gold"), draw("square", "blue"))
    own_shop.add("found", draw("round", "green"), draw("round", "red"), draw("square", "blue", shift=1))
    answer = own_shop.recommender.similar(Question(positive=("seed",), limit=100))
    matches = {item.product.id: item.match for item in answer.items}
    assert matches["found"] == Match("seed", 1, 2)
    assert matches["tall-gold-0"] == Match("seed", 0, 0)
    by_photo = own_shop.recommender.similar(Question(image=draw("round", "red"), limit=3)).items
    assert {item.product.id: item.match for item in by_photo}["found"] == Match(None, None, 1)
    for rules in ({"diversity": 0.2}, {"negative": ("tall-red-0",)}):
        asked = Question(positive=("seed",), limit=100, **rules)
        found = {item.product.id: item.match for item in own_shop.recommender.similar(asked).items}
        assert found["found"] == Match("seed", 1, 2)


def test_the_filter_is_relaxed_step_by_step_until_a_page_is_full(catalog: Shop) -> None:
    strict = Filter(category=("shapes/round",), attributes={"colour": ("red",)}, price_max=11)
    question = Question(positive=("round-red-0",), where=strict, relax=("attributes", "price", "category"))
    few = catalog.recommender.similar(replace(question, limit=1))
    assert (ids(few), few.relaxed) == (["round-red-1"], ())
    more = catalog.recommender.similar(replace(question, limit=3))
    assert more.relaxed == (Relaxation("attributes", dropped=("colour",)),)
    assert {item.product.price for item in more.items} <= {10.0, 11.0}
    most = catalog.recommender.similar(replace(question, limit=100))
    assert [step.step for step in most.relaxed] == ["attributes", "price", "category"]
    assert {item.product.category for item in most.items} == {("shapes/round",)}
    assert len(most.items) == 7  # up to 13.75
    pages = [
        ids(catalog.recommender.similar(replace(question, limit=3, offset=offset))) for offset in (0, 3, 6)
    ]
    assert pages[0] == ids(more)
    assert len({one for page in pages for one in page}) == sum(map(len, pages)) == 3


def test_many_questions_are_one_call_and_each_fails_alone(catalog: Shop) -> None:
    questions = [
        Question(positive=("round-red-0",), limit=2),
        Question(positive=("nobody",)),
        Question(positive=("tall-blue-0",), limit=0),
        Question(image=draw("tall", "gold"), limit=1),
    ]
    first, unknown, wrong, photo = catalog.recommender.similar_many(questions)
    assert isinstance(first, Answer)
    assert ids(first) == ask(catalog, positive=("round-red-0",), limit=2)
    assert isinstance(unknown, ProductNotFound)
    assert isinstance(wrong, InvalidQuery)
    assert isinstance(photo, Answer)
    assert ids(photo)[0].startswith("tall-gold")
    for count in (0, 101):
        with pytest.raises(InvalidQuery, match="questions"):
            catalog.recommender.similar_many([questions[0]] * count)


def test_facets_count_what_the_filter_leaves(catalog: Shop) -> None:
    where = Filter(category=("shapes/tall",), in_stock=True)
    assert catalog.recommender.facet("brand", where) == {"Acme": 2, "Bolt": 2}
    assert catalog.recommender.facet("attr.colour", where) == dict.fromkeys(COLOURS, 1)
    assert catalog.recommender.facet("category", where) == {"shapes": 4, "shapes/tall": 4}
    assert catalog.recommender.count(where) == 4
    for field in ("attr.weight", "price", ""):
        with pytest.raises(InvalidQuery):
            catalog.recommender.facet(field, where)

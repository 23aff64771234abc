import pytest

from recommender.catalog import Filter
from recommender.encoders.recipe import Recipe
from recommender.errors import EncoderMismatch, ShuttingDown
from recommender.index.open import open_serving_index
from recommender.index.protocol import Collection, IndexEngine, ProductIndex
from tests.integration.index.builders import DIMENSION, first, rows
from tests.integration.index.conftest import FINGERPRINT, OpenShop

OTHER = "resnet50-ba9876543210"


def test_an_empty_engine_has_and_serves_nothing(engine: IndexEngine) -> None:
    assert engine.fingerprints() == []
    assert engine.serving() is None
    with pytest.raises(KeyError):
        engine.open(FINGERPRINT)
    with pytest.raises(KeyError):
        engine.promote(FINGERPRINT)


def test_creating_again_keeps_what_is_there(engine: IndexEngine, index: ProductIndex) -> None:
    index.write([first("a", rows(1))])
    engine.create(FINGERPRINT, DIMENSION)
    assert engine.fingerprints() == [FINGERPRINT]
    assert engine.open(FINGERPRINT).count(Filter()) == 1


def test_a_collection_keeps_the_recipe_it_was_created_with(open_shop: OpenShop) -> None:
    recipe, engine = Recipe("compact", "/weights/own.pt", "int8", "/photos"), open_shop()
    engine.create(FINGERPRINT, DIMENSION, recipe)
    engine.create(FINGERPRINT, DIMENSION, Recipe("another"))
    engine.create(OTHER, DIMENSION)
    engine.open(FINGERPRINT)
    assert engine.recipe(FINGERPRINT) == open_shop().recipe(FINGERPRINT) == recipe
    assert engine.recipe(OTHER) is None
    engine.drop(OTHER)
    with pytest.raises(KeyError):
        engine.recipe(OTHER)


def test_a_collection_is_described_and_left_as_it_is(open_shop: OpenShop) -> None:
    open_shop(attributes=("colour",)).create(FINGERPRINT, DIMENSION)
    engine = open_shop(attributes=("colour", "sizes"))
    for _ in range(2):
        missing = ("attributes.sizes", "numbers.sizes")
        assert engine.describe(FINGERPRINT) == Collection(0, DIMENSION, "cosine", missing)
    engine.open(FINGERPRINT).write([first("a", rows(1))])
    assert engine.describe(FINGERPRINT) == Collection(1, DIMENSION, "cosine", ())
    with pytest.raises(KeyError):
        engine.describe(OTHER)


def test_collections_of_two_encoders_hold_their_own(engine: IndexEngine, index: ProductIndex) -> None:
    engine.create(OTHER, 2 * DIMENSION)
    other = engine.open(OTHER)
    index.write([first("a", rows(1))])
    assert engine.fingerprints() == [FINGERPRINT, OTHER]
    assert (index.fingerprint, other.fingerprint) == (FINGERPRINT, OTHER)
    assert (index.count(Filter()), other.count(Filter())) == (1, 0)


def test_catalogs_are_apart_even_when_a_name_begins_like_another(open_shop: OpenShop) -> None:
    shop, shop_eu = open_shop("shop"), open_shop("shop-eu")
    shop_eu.create(FINGERPRINT, DIMENSION)
    shop_eu.promote(FINGERPRINT)
    assert shop.fingerprints() == []
    assert shop.serving() is None


def test_promotion_switches_the_alias_and_the_serving_collection_can_not_be_dropped(
    open_shop: OpenShop, engine: IndexEngine, index: ProductIndex
) -> None:
    index.write([first("a", rows(1))])
    engine.create(OTHER, DIMENSION)
    engine.promote(FINGERPRINT)
    assert engine.serving() == FINGERPRINT
    with pytest.raises(ValueError, match="serving"):
        engine.drop(FINGERPRINT)
    engine.promote(OTHER)
    assert engine.serving() == OTHER
    engine.promote(OTHER)
    assert open_shop().serving() == OTHER
    engine.drop(FINGERPRINT)
    engine.drop(FINGERPRINT)
    assert engine.fingerprints() == [OTHER]
    with pytest.raises(KeyError):
        engine.open(FINGERPRINT)
    engine.create(FINGERPRINT, DIMENSION)
    assert engine.open(FINGERPRINT).read(["a"]) == {}


def test_the_first_process_creates_and_promotes_and_the_next_finds_it(open_shop: OpenShop) -> None:
    engine = open_shop()
    open_serving_index(engine, FINGERPRINT, DIMENSION).write([first("a", rows(1))])
    engine.close()
    again = open_shop()
    assert again.serving() == FINGERPRINT
    assert open_serving_index(again, FINGERPRINT, DIMENSION).count(Filter()) == 1


def test_a_process_with_another_encoder_refuses_and_says_which_is_which(open_shop: OpenShop) -> None:
    open_serving_index(open_shop(), FINGERPRINT, DIMENSION).close()
    with pytest.raises(EncoderMismatch) as refused:
        open_serving_index(open_shop(), OTHER, DIMENSION)
    assert f"this process has the encoder {OTHER}" in str(refused.value)
    assert f"filled by {FINGERPRINT}" in str(refused.value)
    assert open_shop().fingerprints() == [FINGERPRINT]


def test_what_was_written_is_there_after_closing_and_opening(open_shop: OpenShop) -> None:
    engine = open_shop()
    engine.create(FINGERPRINT, DIMENSION)
    engine.open(FINGERPRINT).write([first("a", rows(2), brand="Acme")])
    engine.close()
    index = open_shop().open(FINGERPRINT)
    assert index.count(Filter(brand=("Acme",))) == 1
    assert [hit.stored.id for hit in index.search(rows(1), Filter(), limit=5)] == ["a"]


def test_an_attribute_declared_later_finds_products_written_before(open_shop: OpenShop) -> None:
    engine = open_shop(attributes=())
    engine.create(FINGERPRINT, DIMENSION)
    engine.open(FINGERPRINT).write([first("a", rows(1), attributes={"colour": "red"})])
    engine.close()
    index = open_shop(attributes=("colour",)).open(FINGERPRINT)
    assert index.facet("attributes.colour", Filter(attributes={"colour": ("red",)})) == {"red": 1}


def test_closing_twice_is_safe_and_a_closed_index_says_so(engine: IndexEngine, index: ProductIndex) -> None:
    index.ping()
    index.close()
    index.close()
    for ask in (index.ping, lambda: index.read(["a"]), lambda: index.count(Filter())):
        with pytest.raises(ShuttingDown):
            ask()
    with pytest.raises(ShuttingDown):
        index.write([first("a", rows(1))])
    engine.open(FINGERPRINT).ping()
    engine.close()
    engine.close()

import numpy as np
import pytest

from recommender.catalog import Filter, Range
from recommender.errors import InvalidQuery
from recommender.index.protocol import ProductIndex, Write
from tests.integration.index.builders import DIMENSION, first, rows, upserted, write

EVERYTHING = Filter()

SHOP: list[Write] = [
    first(
        "boot",
        rows(2, seed=1),
        category="women/shoes/boots",
        brand="Acme",
        price=89.9,
        currency="EUR",
        group_id="style-1",
        attributes={"colour": "black", "sizes": ["38", "39"], "vegan": True, "heel-mm": 40},
    ),
    first(
        "boot-brown",
        rows(1, seed=2),
        category="women/shoes/boots",
        brand="Acme",
        price=99.0,
        group_id="style-1",
        in_stock=False,
        attributes={"colour": "brown", "sizes": ["39"], "vegan": False, "heel-mm": 40.0},
    ),
    first(
        "sandal",
        rows(1, seed=3),
        category=["women/shoes/sandals", "sale"],
        brand="Zeta",
        price=20,
        attributes={"colour": "black", "heel-mm": 5.5},
    ),
    first("hat", rows(3, seed=4), category="men/hats", attributes={"secret": "x"}),
    first("shoe", rows(1, seed=5), category="women/shoe", price=0.0, group_id="style-2"),
]

FILTERS: list[tuple[Filter, set[str]]] = [
    (Filter(), {"boot", "boot-brown", "sandal", "hat", "shoe"}),
    (Filter(category=("women",)), {"boot", "boot-brown", "sandal", "shoe"}),
    (Filter(category=("women/shoes",)), {"boot", "boot-brown", "sandal"}),
    (Filter(category=("women/shoes/boots",)), {"boot", "boot-brown"}),
    (Filter(category=("shoes",)), set()),
    (Filter(category=("men", "sale")), {"hat", "sandal"}),
    (Filter(brand=("Acme",)), {"boot", "boot-brown"}),
    (Filter(brand=("Zeta", "Acme")), {"boot", "boot-brown", "sandal"}),
    (Filter(price_min=89.9), {"boot", "boot-brown"}),
    (Filter(price_max=89.9), {"boot", "sandal", "shoe"}),
    (Filter(price_min=20, price_max=90), {"boot", "sandal"}),
    (Filter(price_max=0.0), {"shoe"}),
    (Filter(in_stock=True), {"boot", "sandal", "hat", "shoe"}),
    (Filter(in_stock=False), {"boot-brown"}),
    (Filter(attributes={"colour": ("black",)}), {"boot", "sandal"}),
    (Filter(attributes={"colour": ("brown", "red")}), {"boot-brown"}),
    (Filter(attributes={"sizes": ("38",)}), {"boot"}),
    (Filter(attributes={"sizes": ("39",)}), {"boot", "boot-brown"}),
    (Filter(attributes={"vegan": (True,)}), {"boot"}),
    (Filter(attributes={"vegan": ("false",)}), {"boot-brown"}),
    (Filter(attributes={"heel-mm": (40,)}), {"boot", "boot-brown"}),
    (Filter(attributes={"heel-mm": ("5.5",)}), {"sandal"}),
    (Filter(attributes={"colour": ("black",), "sizes": ("39",)}), {"boot"}),
    (Filter(exclude_ids=("boot", "hat", "unknown")), {"boot-brown", "sandal", "shoe"}),
    (Filter(ranges={"heel-mm": Range(5, 6)}), {"sandal"}),
    (Filter(ranges={"heel-mm": Range(low=40)}), {"boot", "boot-brown"}),
    (Filter(ranges={"sizes": Range(38.5, 39)}), {"boot", "boot-brown"}),
    (Filter(ranges={"sizes": Range(high=38)}, attributes={"colour": ("black",)}), {"boot"}),
    (Filter(ranges={"colour": Range(0, 1)}), set()),
    (Filter(currency="EUR"), {"boot"}),
    (Filter(currency="USD", price_max=1000), set()),
    (Filter(exclude_groups=("style-1",)), {"sandal", "hat", "shoe"}),
    (Filter(exclude_brands=("Acme",)), {"sandal", "hat", "shoe"}),
    (Filter(category=("women",), brand=("Acme",), in_stock=True, exclude_ids=("boot",)), set()),
]


@pytest.fixture
def shop(index: ProductIndex) -> ProductIndex:
    assert index.write(SHOP) == set()
    return index


def best_pairs(query: np.ndarray, products: list[Write]) -> list[tuple[str, float]]:
    scores = {w.id: float((w.vectors @ query.T).max()) for w in products if w.vectors is not None}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[str(n) for n in range(len(FILTERS))])
def test_every_condition_holds_in_search_count_and_scroll(
    shop: ProductIndex, where: Filter, expected: set[str]
) -> None:
    assert {hit.stored.id for hit in shop.search(rows(1), where, limit=10)} == expected
    assert shop.count(where) == len(expected)
    assert {product.id for product in shop.scroll(where).products} == expected


def test_rows_of_a_query_count_for_what_they_weigh(index: ProductIndex) -> None:
    products = [first(f"p{n:02}", rows(1 + n % 3, seed=n)) for n in range(60)]
    index.write(products)
    query, weights = rows(3, seed=101), [1.0, 0.3, 0.6]
    expected = []
    for product in products:
        assert product.vectors is not None
        best = product.vectors @ query.T
        row = int((best.max(0) * weights).argmax())
        expected.append((float(best.max(0)[row]) * weights[row], product.id, row, float(best.max(0)[row])))
    expected.sort(key=lambda found: (-found[0], found[1]))
    hits = index.search(query, EVERYTHING, limit=20, weights=weights)
    assert [(hit.stored.id, hit.asked_row) for hit in hits] == [found[1:3] for found in expected[:20]]
    np.testing.assert_allclose([hit.score for hit in hits], [f[3] for f in expected[:20]], atol=1e-5)
    np.testing.assert_allclose([hit.relevance for hit in hits], [f[0] for f in expected[:20]], atol=1e-5)
    least = expected[5][0] - 1e-6
    assert len(index.search(query, EVERYTHING, limit=20, weights=weights, min_score=least)) == 6


def test_the_score_is_the_cosine_of_the_best_pair(index: ProductIndex) -> None:
    products = [first(f"p{n:02}", rows(1 + n % 4, seed=n)) for n in range(60)]
    index.write(products)
    for query in (rows(1, seed=100), rows(3, seed=101), products[3].vectors):
        assert query is not None
        hits = index.search(query, EVERYTHING, limit=15)
        expected = best_pairs(query, products)[:15]
        assert [hit.stored.id for hit in hits] == [product_id for product_id, _ in expected]
        np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-5)
    assert index.search(products[3].vectors, EVERYTHING, limit=1)[0].score == pytest.approx(1.0)


def test_scores_stay_within_minus_one_and_one(index: ProductIndex) -> None:
    products = [first(f"p{n}", rows(4, seed=n)) for n in range(20)]
    index.write([*products, first("opposite", -rows(1, seed=0))])
    for product in products:
        assert product.vectors is not None
        scores = [hit.score for hit in index.search(product.vectors, EVERYTHING, limit=30)]
        assert max(scores) <= 1.0
        assert min(scores) >= -1.0
    assert index.search(rows(1, seed=0), EVERYTHING, limit=30)[-1].score == pytest.approx(-1.0)


def test_pages_continue_where_the_last_one_ended(index: ProductIndex) -> None:
    index.write([first(f"p{n:02}", rows(2, seed=n)) for n in range(30)])
    query = rows(2, seed=99)
    whole = [hit.stored.id for hit in index.search(query, EVERYTHING, limit=30)]
    pages = [index.search(query, EVERYTHING, limit=7, offset=offset) for offset in range(0, 35, 7)]
    assert [hit.stored.id for page in pages for hit in page] == whole
    assert len(whole) == 30


def test_ties_are_broken_by_product_id_across_pages(index: ProductIndex) -> None:
    names = [f"same-{n:02}" for n in range(40)]
    index.write([first(name, rows(1)) for name in reversed(names)] + [first("other", rows(1, seed=9))])
    for offset in range(0, 40, 5):
        hits = index.search(rows(1), EVERYTHING, limit=5, offset=offset)
        assert [hit.stored.id for hit in hits] == names[offset : offset + 5]


def test_min_score_is_inclusive_and_limit_bounds(shop: ProductIndex) -> None:
    every = shop.search(rows(1), EVERYTHING, limit=10)
    third = every[2].score
    assert [h.score for h in shop.search(rows(1), EVERYTHING, limit=10, min_score=third)] == [
        h.score for h in every[:3]
    ]
    assert len(shop.search(rows(1), EVERYTHING, limit=2)) == 2
    assert shop.search(rows(1), EVERYTHING, limit=0) == []
    assert shop.search(rows(1), EVERYTHING, limit=10, offset=5) == []
    assert shop.search(rows(1)[:0], EVERYTHING, limit=10) == []


def test_hits_carry_the_product_and_vectors_only_if_asked(shop: ProductIndex) -> None:
    plain = shop.search(rows(1, seed=3), EVERYTHING, limit=1)[0].stored
    assert plain.state == upserted(
        "sandal",
        category=["women/shoes/sandals", "sale"],
        brand="Zeta",
        price=20,
        attributes={"colour": "black", "heel-mm": 5.5},
    )
    assert plain.vectors is None
    asked = shop.search(rows(1, seed=4), EVERYTHING, limit=1, with_vectors=True)[0].stored
    np.testing.assert_allclose(asked.vectors, rows(3, seed=4), atol=1e-6)


@pytest.mark.parametrize(
    "query", [np.full((1, DIMENSION), np.nan, np.float32), np.ones((1, DIMENSION - 1), np.float32)]
)
def test_a_query_that_is_no_vector_is_refused(shop: ProductIndex, query: np.ndarray) -> None:
    with pytest.raises(ValueError, match="the query"):
        shop.search(query, EVERYTHING, limit=1)


def test_an_undeclared_attribute_is_refused_by_name(shop: ProductIndex) -> None:
    where = Filter(attributes={"secret": ("x",)})
    for ask in (
        lambda: shop.search(rows(1), where, limit=1),
        lambda: shop.count(where),
        lambda: shop.scroll(where),
        lambda: shop.facet("category", where),
    ):
        with pytest.raises(InvalidQuery, match=r"attributes\.secret"):
            ask()


def test_facets_count_products_by_value(shop: ProductIndex) -> None:
    assert shop.facet("category", EVERYTHING) == {
        "women": 4,
        "women/shoes": 3,
        "women/shoes/boots": 2,
        "women/shoes/sandals": 1,
        "women/shoe": 1,
        "sale": 1,
        "men": 1,
        "men/hats": 1,
    }
    assert shop.facet("brand", EVERYTHING) == {"Acme": 2, "Zeta": 1}
    assert shop.facet("brand", Filter(in_stock=True)) == {"Acme": 1, "Zeta": 1}
    assert shop.facet("attributes.sizes", EVERYTHING) == {"38": 1, "39": 2}
    assert shop.facet("attributes.vegan", EVERYTHING) == {"true": 1, "false": 1}
    assert shop.facet("attributes.heel-mm", Filter(brand=("Acme",))) == {"40": 2}
    assert list(shop.facet("category", EVERYTHING, limit=2)) == ["women", "women/shoes"]


@pytest.mark.parametrize("field", ["price", "attributes.secret", "attributes", "state", ""])
def test_other_facets_are_refused_by_name(shop: ProductIndex, field: str) -> None:
    with pytest.raises(InvalidQuery, match=r"secret|attributes|field"):
        shop.facet(field, EVERYTHING)


def test_a_scroll_reads_every_product_once_whatever_is_written_meanwhile(index: ProductIndex) -> None:
    names = {f"p{n:02}" for n in range(25)}
    index.write([first(name, rows(1)) for name in names])
    seen: list[str] = []
    cursor = None
    while True:
        page = index.scroll(EVERYTHING, limit=10, cursor=cursor, vectors=True)
        assert all(product.vectors is not None for product in page.products)
        seen += [product.id for product in page.products]
        index.write([write(i, stored.rev, upserted(i, 9), None) for i, stored in index.read(seen).items()])
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(names)

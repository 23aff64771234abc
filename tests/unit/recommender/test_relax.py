from recommender.catalog import Filter, Range, Relaxation
from recommender.relax import ladder

STRICT = Filter(
    category=("women/shoes/boots", "women/shoes/heels", "men"),
    price_min=40.0,
    price_max=80.0,
    in_stock=True,
    attributes={"colour": ("red",)},
    ranges={"heel": Range(2, 4)},
)


def test_each_step_widens_what_the_one_before_left() -> None:
    filters = list(ladder(STRICT, ("attributes", "price", "category")))
    assert filters[0] == (STRICT, ())
    assert [relaxed[-1] for _, relaxed in filters[1:]] == [
        Relaxation("attributes", dropped=("colour", "heel")),
        Relaxation("price", price_min=30.0, price_max=100.0),
        Relaxation("category", category=("women/shoes", "men")),
    ]
    widest, relaxed = filters[-1]
    assert len(relaxed) == 3
    assert widest == Filter(category=("women/shoes", "men"), price_min=30.0, price_max=100.0, in_stock=True)


def test_a_step_that_is_named_twice_is_taken_twice_as_far_as_it_goes() -> None:
    filters = [where.category for where, _ in ladder(Filter(category=("a/b/c",)), ("category",) * 4)]
    assert filters == [("a/b/c",), ("a/b",), ("a",)]


def test_what_there_is_nothing_of_is_not_relaxed() -> None:
    assert list(ladder(Filter(brand=("Acme",)), ("attributes", "price", "category"))) == [
        (Filter(brand=("Acme",)), ())
    ]


def test_one_bound_stays_open() -> None:
    (_, (_, (relaxed,))) = ladder(Filter(price_max=8.0), ("price",))
    assert (relaxed.price_min, relaxed.price_max) == (None, 10.0)

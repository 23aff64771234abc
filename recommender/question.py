"""What is asked, and within which bounds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from recommender.catalog import Filter, Range
from recommender.errors import InvalidQuery

MAX_LIMIT = 100
POOL = 1000  # candidates that rules are applied to, and beyond which there is no page
MAX_PRODUCTS = 32  # asked about in one question: each brings up to 16 query vectors
MAX_QUESTIONS = 100  # in one call
MAX_PRICE_WITHIN = 10.0

Step = Literal["attributes", "price", "category"]


@dataclass(frozen=True, slots=True)
class Weighted:
    """A product that is liked or disliked, and how much its cosines count: 0 < weight <= 1."""

    id: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: products and images (an answer is like any of them), a text, or both.

    With both, every image is moved towards the text by `text_weight`, 0 to 1. A product that is more like one
    of `negative` than like the positives is not answered. `price_within`, `not_dearer`, `seed_brand` and
    `exclude_family` compare with the positive products: a price within that share of theirs, none above
    theirs, the same brand or another, none of their variant families.

    `diversity`, 0 to 1, trades likeness for variety. `group` answers one product a variant family at most,
    and none of the families that were asked about; `brand_cap` so many a brand. `relax` names the steps by
    which the filter is widened, one after the other, while fewer than `limit` products are found.
    """

    positive: tuple[str | Weighted, ...] = ()
    negative: tuple[str | Weighted, ...] = ()
    image: bytes | None = None
    image_url: str | None = None
    text: str | None = None
    text_weight: float = 0.5
    where: Filter = field(default_factory=Filter)
    price_within: float | None = None
    not_dearer: bool = False
    seed_brand: Literal["same", "other"] | None = None
    exclude_family: bool = False
    limit: int = 12
    offset: int = 0
    min_score: float | None = None
    diversity: float = 0.0
    group: bool = False
    brand_cap: int | None = None
    relax: tuple[Step, ...] = ()

    @property
    def liked(self) -> tuple[Weighted, ...]:
        """The positive products."""
        return _weighted(self.positive)

    @property
    def disliked(self) -> tuple[Weighted, ...]:
        """The negative products."""
        return _weighted(self.negative)

    @property
    def ids(self) -> list[str]:
        """All products that are named, once each."""
        return list(dict.fromkeys(named.id for named in (*self.liked, *self.disliked)))

    @property
    def by_image(self) -> bool:
        """Whether there is an image to compare with: of a product, uploaded, or by its address."""
        return bool(self.positive) or self.image is not None or self.image_url is not None


def check_question(question: Question) -> None:
    """Compare with the bounds.

    Raises:
        InvalidQuery: a parameter is out of its bounds, or does not go with the others; it is named.
    """
    _check_page(question.limit, question.offset)
    _check_numbers(question)
    _check_asked(question)
    _check_relative(question)


def check_limit(limit: int) -> None:
    """Compare the size of a page with its bounds.

    Raises:
        InvalidQuery: it is outside.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidQuery("limit", f"must be 1 to {MAX_LIMIT}")


def check_filter(where: Filter, declared: Sequence[str]) -> None:
    """Compare a filter with the attributes that are declared, and its bounds with each other.

    Raises:
        InvalidQuery: it is named.
    """
    for name in chain(where.attributes, where.ranges):
        if name not in declared:
            raise InvalidQuery(
                f"attr.{name}",
                "this attribute is not declared as one to filter on; declared are: "
                f"{', '.join(sorted(declared)) or 'none'}",
            )
    bounds = {"price": Range(where.price_min, where.price_max)}
    bounds |= {f"attr.{name}": found for name, found in where.ranges.items()}
    for name, found in bounds.items():
        if found.low is not None and found.high is not None and found.low > found.high:
            low, high = ("price_min", "price_max") if name == "price" else (f"{name}.min", f"{name}.max")
            raise InvalidQuery(low, f"must not be greater than {high}")


def _weighted(named: Sequence[str | Weighted]) -> tuple[Weighted, ...]:
    return tuple(dict.fromkeys(one if isinstance(one, Weighted) else Weighted(one) for one in named))


def _check_page(limit: int, offset: int) -> None:
    check_limit(limit)
    if offset < 0 or offset + limit > POOL:
        raise InvalidQuery("offset", f"must be at least 0, and offset + limit at most {POOL}")


def _check_numbers(question: Question) -> None:
    if question.min_score is not None and not -1 <= question.min_score <= 1:
        raise InvalidQuery("min_score", "must be a cosine, -1 to 1")
    for name in ("diversity", "text_weight"):
        if not 0 <= getattr(question, name) <= 1:
            raise InvalidQuery(name, "must be 0 to 1")
    if question.brand_cap is not None and question.brand_cap < 1:
        raise InvalidQuery("brand_cap", "must be at least 1")


def _check_asked(question: Question) -> None:
    for name, named in (("positive", question.liked), ("negative", question.disliked)):
        if len(named) > MAX_PRODUCTS:
            raise InvalidQuery(name, f"must name at most {MAX_PRODUCTS} products")
        if len({one.id for one in named}) < len(named):
            raise InvalidQuery(name, "must give a product one weight")
        if not all(0 < one.weight <= 1 for one in named):
            raise InvalidQuery(name, "a weight must be greater than 0, and at most 1")
    if question.text is not None and not question.text.strip():
        raise InvalidQuery("text", "must not be empty")
    if question.text is None and not question.by_image:
        raise InvalidQuery("positive", "give at least one product, an image, an image_url or a text")
    if question.negative and not question.by_image:
        raise InvalidQuery(
            "negative", "needs a product or an image beside it: a text's cosines are on another scale"
        )


def _check_relative(question: Question) -> None:
    if question.price_within is not None and not 0 <= question.price_within <= MAX_PRICE_WITHIN:
        raise InvalidQuery("price_within", f"must be a share of the price, 0 to {MAX_PRICE_WITHIN:g}")
    relative = {
        "price_within": question.price_within is not None,
        "not_dearer": question.not_dearer,
        "seed_brand": question.seed_brand is not None,
        "exclude_family": question.exclude_family,
    }
    for name, asked in relative.items():
        if asked and not question.positive:
            raise InvalidQuery(name, "compares with the positive products: name at least one")

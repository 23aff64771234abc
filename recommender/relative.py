"""From the products that were asked about to the filter that compares with them. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from recommender.catalog import Filter, Product
from recommender.errors import InvalidQuery
from recommender.question import Question


def relative_to(seeds: Sequence[Product], question: Question) -> Filter | None:
    """The question's filter, and what its seeds add to it; None where the two contradict each other.

    With several seeds a price is compared with the cheapest and the dearest of them, and a brand is that of
    any.

    Raises:
        InvalidQuery: a seed has no price or brand to compare with, or their prices several currencies.
    """
    where = question.where
    if question.exclude_family or question.group:
        families = dict.fromkeys(seed.group_id for seed in seeds if seed.group_id)
        where = replace(where, exclude_groups=(*where.exclude_groups, *families))
    by_brand = where if question.seed_brand is None else _by_brand(where, _brands(seeds), question)
    return None if by_brand is None else _by_price(by_brand, seeds, question)


def _brands(seeds: Sequence[Product]) -> tuple[str, ...]:
    for seed in seeds:
        if seed.brand is None:
            raise InvalidQuery("seed_brand", f"product {seed.id!r} has no brand to compare with")
    return tuple(dict.fromkeys(seed.brand for seed in seeds if seed.brand is not None))


def _by_brand(where: Filter, brands: tuple[str, ...], question: Question) -> Filter | None:
    if question.seed_brand == "other":
        return replace(where, exclude_brands=(*where.exclude_brands, *brands))
    allowed = tuple(brand for brand in brands if not where.brand or brand in where.brand)
    return replace(where, brand=allowed) if allowed else None


def _by_price(where: Filter, seeds: Sequence[Product], question: Question) -> Filter | None:
    within = question.price_within
    if within is None and not question.not_dearer:
        return where
    cheapest, dearest, currency = _prices(seeds, "not_dearer" if within is None else "price_within")
    lows, highs = [where.price_min], [where.price_max]
    if within is not None:
        lows.append(max(0.0, cheapest * (1 - within)))
        highs.append(dearest * (1 + within))
    if question.not_dearer:
        highs.append(dearest)
    low = max((bound for bound in lows if bound is not None), default=None)
    high = min(bound for bound in highs if bound is not None)
    if (low is not None and low > high) or (currency and where.currency not in (None, currency)):
        return None
    return replace(where, price_min=low, price_max=high, currency=currency or where.currency)


def _prices(seeds: Sequence[Product], parameter: str) -> tuple[float, float, str | None]:
    """The lowest and the highest price of the seeds, and their currency."""
    for seed in seeds:
        if seed.price is None:
            raise InvalidQuery(parameter, f"product {seed.id!r} has no price to compare with")
    prices = [seed.price for seed in seeds if seed.price is not None]
    currencies = {seed.currency for seed in seeds}
    if len(currencies) > 1:
        said = ", ".join(sorted(currency or "none" for currency in currencies))
        raise InvalidQuery(parameter, f"prices of several currencies can't be compared: {said}")
    return min(prices), max(prices), currencies.pop()

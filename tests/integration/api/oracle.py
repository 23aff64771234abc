"""What the API should answer, worked out anew by brute force: no index, no filter and no rule of ours."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = Any
CATEGORIES = ["women/shoes/boots", "women/shoes/pumps", "women/bags", "men/shoes/boots", "men/belts"]
ANCESTORS = ["women", "women/shoes", "men", "men/shoes", "kids", *CATEGORIES]
BRANDS = ["Acme", "Bolt", "Zeta & Söhne", None]
COLOURS = ["black", "brown", "red"]


@dataclass(frozen=True, eq=False)
class Known:
    """A product, and its rows: (N, D) float32 of unit L2 norm, a row an image."""

    document: Mapping[str, Any]
    rows: NDArray[np.float32]

    @property
    def id(self) -> str:
        name: str = self.document["id"]
        return name

    def get(self, field: str) -> Any:
        return self.document.get(field)


def draw_catalog(chance: Random, *, count: int, dimension: int) -> list[Known]:
    """Products around common directions, so that scores spread."""
    numbers = np.random.default_rng(chance.randrange(2**32))
    centres = numbers.normal(size=(8, dimension))
    known = []
    for n in range(count):
        images = chance.randint(1, 3)
        rows = centres[chance.randrange(8)] + numbers.normal(size=(images, dimension))
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        known.append(Known(_document(chance, n, images), rows))
    return known


def _document(chance: Random, n: int, images: int) -> dict[str, Any]:
    several = chance.random() < 0.2
    return {
        "id": f"p/{n}" if n % 7 == 0 else f"p-{n}",  # some need their slash encoded
        "version": 1,
        "images": [f"s3://shop-images/{n}/{image}.jpg" for image in range(images)],
        "category": chance.sample(CATEGORIES, 2) if several else chance.choice(CATEGORIES),
        "brand": chance.choice(BRANDS),
        "price": chance.choice([None, round(chance.uniform(5, 300), 2)]) if n % 4 else 50.0,
        "currency": chance.choice(["EUR", "EUR", "SEK"]),
        "in_stock": chance.random() < 0.7,
        "group_id": chance.choice([None, f"style-{n // 5}"]),
        "attributes": {
            "colour": chance.choice(COLOURS),
            "sizes": chance.sample(["37", "38", "39", "40"], 2),
            "heel": chance.randint(0, 12),
        },
    }


def draw_filter(chance: Random) -> dict[str, Any]:
    """Some conditions, as the JSON object `filter` has them."""
    low = chance.randint(0, 8)
    conditions: dict[str, Any] = {
        "category": chance.sample(ANCESTORS, chance.randint(1, 2)),
        "brand": chance.sample([brand for brand in BRANDS if brand], chance.randint(1, 2)),
        "price_min": chance.uniform(0, 100),
        "price_max": chance.uniform(100, 350),
        "currency": chance.choice(["EUR", "SEK"]),
        "in_stock": chance.random() < 0.7,
        "attributes": chance.choice(
            [
                {"colour": chance.sample(COLOURS, chance.randint(1, 2))},
                {"sizes": [chance.choice(["37", "38"])], "colour": [chance.choice(COLOURS)]},
                {"heel": {"min": low, "max": low + 4}},
                {"heel": {"min": low}},
            ]
        ),
        "exclude_ids": [f"p-{chance.randrange(300)}" for _ in range(5)],
        "exclude_brands": [chance.choice(["Acme", "Bolt"])],
    }
    return {
        name: conditions[name] for name in chance.sample(sorted(conditions), chance.choice([0, 1, 1, 2, 3]))
    }


def draw_question(chance: Random, known: Sequence[Known]) -> dict[str, Any]:
    """A valid body of `POST /v1/similar`, which compares with prices and brands only where there are any."""
    seeds = chance.sample(known, chance.choice([1, 1, 1, 2, 3]))
    question: dict[str, Any] = {
        "positive": [seed.id for seed in seeds],
        "filter": draw_filter(chance),
        "limit": chance.choice([1, 5, 12, 100]),
        "offset": chance.choice([0, 0, 3, 40]),
    }
    rules = {
        "min_score": chance.uniform(-0.2, 0.6),
        "group": True,
        "brand_cap": chance.randint(1, 3),
        "exclude_family": True,
    }
    question |= {name: rules[name] for name in chance.sample(sorted(rules), chance.choice([0, 0, 1, 2]))}
    if chance.random() < 0.2:
        question["negative"] = [one.id for one in chance.sample(known, 2) if one not in seeds]
    if all(seed.get("brand") for seed in seeds) and chance.random() < 0.3:
        question["seed_brand"] = chance.choice(["same", "other"])
    if all(seed.get("price") for seed in seeds) and len({seed.get("currency") for seed in seeds}) == 1:
        question |= chance.choice([{}, {"price_within": chance.uniform(0.05, 1)}, {"not_dearer": True}])
    return question


def flat(question: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same as query parameters, without the products."""
    said = {name: value for name, value in question.items() if name not in {"positive", "negative", "filter"}}
    said |= question.get("filter", {})
    pairs: list[tuple[str, Any]] = []
    for name, value in said.pop("attributes", {}).items():
        bounds = isinstance(value, dict)
        pairs += [(f"attr.{name}.{k}", v) for k, v in value.items()] if bounds else [(f"attr.{name}", value)]
    pairs += [
        ({"exclude_ids": "exclude_id", "exclude_brands": "exclude_brand"}.get(n, n), v)
        for n, v in said.items()
    ]
    return [
        (name, _text(one)) for name, value in pairs for one in (value if isinstance(value, list) else [value])
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def passes(product: Known, where: Mapping[str, Any]) -> bool:
    """Whether a product is within a filter."""
    price = product.get("price")
    return (
        ("category" not in where or _within(product.get("category"), where["category"]))
        and ("brand" not in where or product.get("brand") in where["brand"])
        and ("price_min" not in where or (price is not None and price >= where["price_min"]))
        and ("price_max" not in where or (price is not None and price <= where["price_max"]))
        and ("currency" not in where or product.get("currency") == where["currency"])
        and ("in_stock" not in where or product.get("in_stock") == where["in_stock"])
        and product.id not in where.get("exclude_ids", ())
        and product.get("brand") not in where.get("exclude_brands", ())
        and all(
            _has(product.get("attributes")[name], said) for name, said in where.get("attributes", {}).items()
        )
    )


def _within(paths: str | Sequence[str], asked: Sequence[str]) -> bool:
    own = [paths] if isinstance(paths, str) else paths
    return any(path == one or path.startswith(f"{one}/") for path in own for one in asked)


def _has(value: Any, said: Any) -> bool:
    if isinstance(said, dict):
        return bool(said.get("min", value) <= value <= said.get("max", value))
    values = value if isinstance(value, list) else [value]
    return any(one in said for one in values)


def expected(question: Mapping[str, Any], known: Sequence[Known]) -> list[dict[str, Any]]:
    """Id, score and match of every item of the answer, best first."""
    by_id = {one.id: one for one in known}
    seeds = [by_id[name] for name in question["positive"]]
    disliked = [by_id[name] for name in question.get("negative", ())]
    scored = []
    for product in known:
        if product in seeds or product in disliked or not passes(product, question.get("filter", {})):
            continue
        if not _fits(product, seeds, question):
            continue
        item = _scored(product, seeds)
        nearer = max((float((product.rows @ one.rows.T).max()) for one in disliked), default=-2.0)
        if nearer <= item["score"] and item["score"] >= question.get("min_score", -2):
            scored.append((item, product))
    scored.sort(key=lambda pair: (-pair[0]["score"], pair[0]["id"]))
    items = [item for item, _ in _ruled(scored, question)]
    return items[question.get("offset", 0) :][: question.get("limit", 12)]


def _scored(product: Known, seeds: Sequence[Known]) -> dict[str, Any]:
    pairs = [
        (float(cosine), seed.id, asked_image, image)
        for seed in seeds
        for asked_image, row in enumerate(seed.rows)
        for image, cosine in enumerate(product.rows @ row)
    ]
    score, asked, asked_image, image = max(pairs, key=lambda pair: pair[0])
    return {
        "id": product.id,
        "score": score,
        "match": {"asked": asked, "asked_image": asked_image, "image": image},
    }


def _fits(product: Known, seeds: Sequence[Known], question: Mapping[str, Any]) -> bool:
    """What compares a product with the seeds."""
    families = {seed.get("group_id") for seed in seeds} - {None}
    brands = {seed.get("brand") for seed in seeds}
    if (question.get("exclude_family") or question.get("group")) and product.get("group_id") in families:
        return False
    if question.get("seed_brand") == "same" and product.get("brand") not in brands:
        return False
    if question.get("seed_brand") == "other" and product.get("brand") in brands:
        return False
    share = question.get("price_within")
    if share is None and not question.get("not_dearer"):
        return True
    prices, price = [seed.get("price") for seed in seeds], product.get("price")
    low = 0 if share is None else min(prices) * (1 - share)
    high = max(prices) * (1 + (share or 0))
    return price is not None and low <= price <= high and product.get("currency") == seeds[0].get("currency")


def _ruled(
    scored: Iterable[tuple[dict[str, Any], Known]], question: Mapping[str, Any]
) -> Iterable[tuple[dict[str, Any], Known]]:
    families: set[str] = set()
    brands: Counter[str] = Counter()
    for item, product in scored:
        family, brand = product.get("group_id"), product.get("brand")
        if question.get("group") and family is not None:
            if family in families:
                continue
            families.add(family)
        if "brand_cap" in question and brand is not None:
            brands[brand] += 1
            if brands[brand] > question["brand_cap"]:
                continue
        yield item, product


def counts(known: Iterable[Known], field: str) -> dict[str, int]:
    """How many products have each value of a field; a category counts what is below it."""
    seen: Counter[str] = Counter()
    for product in known:
        if field == "category":
            paths = product.get("category")
            levels = [path.split("/") for path in ([paths] if isinstance(paths, str) else paths)]
            seen.update({"/".join(parts[: n + 1]) for parts in levels for n in range(len(parts))})
        elif field == "brand":
            seen.update({product.get("brand")} - {None})
        else:
            value = product.get("attributes")[field.removeprefix("attr.")]
            seen.update(value if isinstance(value, list) else [value])
    return dict(seen)

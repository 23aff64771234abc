"""The demo as a shop sees Lookalike: messages to a broker by stock Celery, questions over HTTP."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import httpx
from celery import Celery
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from config.settings import RedisSettings
from recommender.errors import TransientError
from worker.broker import open_redis
from worker.jobs.dead_letters import DeadLetter, DeadLetters
from worker.up import Stack

_TIMEOUT_S = 60
_DOCUMENTS_A_MESSAGE = 32


@dataclass(frozen=True, slots=True)
class Item:
    """One answer, as far as the demo looks at it."""

    id: str
    score: float
    category: str
    colour: str
    title: str


class Shop:
    """Publishes and asks; knows nothing of workers or indexes."""

    def __init__(self, stack: Stack, http: httpx.Client, catalog: str) -> None:
        self._stack = stack
        self._http = http
        self._catalog = catalog

    def publish(self, documents: Sequence[dict[str, Any]]) -> None:
        """Send `products.upsert` messages, as any backend with Celery would."""
        with Celery("demo-shop", broker=self._stack.redis_url, set_as_current=False) as producer:
            for at in range(0, len(documents), _DOCUMENTS_A_MESSAGE):
                batch = list(documents[at : at + _DOCUMENTS_A_MESSAGE])
                producer.send_task("products.upsert", args=[batch], queue="products")

    def searchable(self) -> int:
        """How many products can be found, counted by the index over its top categories."""
        counts: dict[str, int] = self._get("/v1/categories").json()["categories"]
        return sum(count for path, count in counts.items() if "/" not in path)

    def dead_letters(self) -> list[DeadLetter]:
        """What failed for good."""
        with open_redis(RedisSettings(url=SecretStr(self._stack.redis_url))) as client:
            return list(DeadLetters(client, self._catalog).all())

    def similar_to_product(self, identity: str, *, limit: int, category: str | None = None) -> list[Item]:
        """What looks like a product of the catalog."""
        only = {} if category is None else {"category": category}
        return _items(self._get(f"/v1/products/{identity}/similar", limit=limit, **only))

    def similar_to_photo(self, photo: bytes, *, limit: int) -> list[Item]:
        """What looks like an uploaded photo."""
        with _asking():
            answer = self._http.post(
                "/v1/similar/image", files={"file": ("photo", photo)}, data={"limit": str(limit)}
            ).raise_for_status()
        return _items(answer)

    def picture(self, identity: str, px: int) -> Image.Image:
        """The first picture of a product, within px x px."""
        return Image.open(BytesIO(self._get(f"/v1/products/{identity}/images/0", px=px).content))

    def encoder(self) -> tuple[str, str]:
        """The fingerprint of the encoder that answers, and its device."""
        for family in text_string_to_metric_families(self._get("/metrics").text):
            for sample in family.samples:
                if sample.name == "lookalike_encoder_info":
                    return sample.labels["encoder"], sample.labels["device"]
        raise TransientError("/metrics names no encoder")

    def _get(self, path: str, **parameters: str | int) -> httpx.Response:
        with _asking():
            return self._http.get(path, params=parameters).raise_for_status()


@contextmanager
def open_shop(stack: Stack, catalog: str) -> Iterator[Shop]:
    """A shop with a connection to the stack's API."""
    headers = {"X-API-Key": stack.api_key}
    with httpx.Client(base_url=stack.api_url, headers=headers, timeout=_TIMEOUT_S, trust_env=False) as http:
        yield Shop(stack, http, catalog)


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise TransientError(f"the API does not answer: {error}") from error


def _items(answer: httpx.Response) -> list[Item]:
    return [
        Item(item["id"], item["score"], item["category"], item["attributes"]["colour"], item["title"])
        for item in json.loads(answer.content)["items"]
    ]

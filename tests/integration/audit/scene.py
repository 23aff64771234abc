"""A small shop that an audit finds nothing in, and what a test may do to it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.settings import PREFIX
from recommender.events import parse_product_event
from recommender.index import schema
from recommender.index.protocol import IndexedImage, Vectors, Write
from recommender.merge import UNKNOWN, ProductState, merge
from tests.shop import Shop, served
from worker.cli import app
from worker.owner import Owner, leave_address, new_token

AN_HOUR_AGO = time.time() - 3600
FEED = "feeds/catalog.jsonl"
NONE: Vectors = np.empty((0, 192), np.float32)


def row(seed: int) -> Vectors:
    """(1, 192) float32, unit L2 norm; another seed's is unlike it."""
    drawn = np.random.default_rng(seed).normal(size=(1, 192)).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def state_of(kind: str, document: dict[str, Any], after: ProductState = UNKNOWN) -> ProductState:
    return merge(after, parse_product_event(f"products.{kind}", document))


class Scene:
    """`documents` are what the feed says; `index` holds the same of each until a test changes either."""

    def __init__(self, shop: Shop, patch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.documents: dict[str, dict[str, Any]] = {}
        self.lines: list[str] = []
        self._patch = patch
        for number in range(6):
            self.add(f"sku-{number}", seed=number, title=f"Boot {number}")

    @property
    def feed(self) -> str:
        return f"s3://{self.shop.store.bucket}/{FEED}"

    def document(self, product: str, *uris: str, version: int = 3, **fields: Any) -> dict[str, Any]:
        return {
            "id": product,
            "version": version,
            "images": list(uris),
            "category": "women/shoes",
            **fields,
        }

    def picture(self, key: str, data: bytes | None = None) -> tuple[str, str]:
        """Store an object; its URI and ETag."""
        uri = self.shop.store.put(f"images/{key}", key.encode() if data is None else data)
        head = self.shop.store.client.head_object(Bucket=self.shop.store.bucket, Key=f"images/{key}")
        return uri, head["ETag"]

    def add(
        self, product: str, *, seed: int, image: tuple[str, str] | None = None, **fields: Any
    ) -> IndexedImage:
        """A product in the feed and in the index, with one picture."""
        uri, etag = image or self.picture(f"{product}.jpg")
        self.documents[product] = self.document(product, uri, **fields)
        found = IndexedImage(uri, etag, 0)
        self.write(product, state_of("upsert", self.documents[product]), [found], row(seed))
        return found

    def write(
        self,
        product: str,
        state: ProductState,
        images: list[IndexedImage],
        rows: Vectors,
        *,
        at: float = AN_HOUR_AGO,
    ) -> None:
        """Write a point as if at that time, over what there was."""
        stored = self.shop.index.read([product]).get(product)
        self._patch.setattr(schema, "time", SimpleNamespace(time=lambda: at))
        write = Write(product, stored.rev if stored else None, state, tuple(images), rows)
        assert not self.shop.index.write([write])

    def lose(self, product: str) -> None:
        """Remove a point without a trace."""
        rev = self.shop.index.read([product])[product].rev
        assert not self.shop.index.write([Write(product, rev, UNKNOWN, (), None)])

    def publish_feed(self) -> None:
        lines = [json.dumps(document) for document in self.documents.values()]
        self.shop.store.put(FEED, "".join(f"{line}\n" for line in [*lines, *self.lines]).encode())

    def audit(self, *arguments: str, feed: bool = True) -> dict[str, Any]:
        """What the command says as JSON; its exit code fits what it says."""
        named = ()
        if feed:
            self.publish_feed()
            named = ("--feed", self.feed)
        result = typed(*named, *arguments, "--json")
        assert result.stdout, (result.stderr, result.exception)
        report: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (0 if report["clean"] else 1)
        return report


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def counts(report: dict[str, Any]) -> dict[str, int]:
    """What was found, by kind."""
    return {found["kind"]: found["count"] for found in report["findings"] if found["count"]}


def finding(report: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(found for found in report["findings"] if found["kind"] == kind)


def ids(report: dict[str, Any], kind: str) -> list[str]:
    return sorted(example["id"] for example in finding(report, kind)["examples"])


@contextmanager
def owned(shop: Shop, setenv: Callable[[str, str], None]) -> Iterator[httpx.Client]:
    """The shop's API as the owner of the index serves it, and the settings of a command beside it."""
    token = new_token()
    variables = {
        "DATA_DIR": str(shop.settings.data_dir),
        "S3__ENDPOINT_URL": str(shop.settings.s3.endpoint_url),
        "S3__BUCKETS": json.dumps(list(shop.settings.s3.buckets)),
        "FEED__ALLOWED": json.dumps([f"s3://{shop.store.bucket}/feeds/"]),
    }
    for name, value in variables.items():
        setenv(f"{PREFIX}{name}", value)
    with (
        served(shop, extra_keys=(token,)) as client,
        leave_address(shop.settings.data_dir, Owner(str(client.base_url).rstrip("/"), token, "", 1)),
    ):
        yield client

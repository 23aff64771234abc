"""A small drawn shop behind real parts: S3 over HTTP, the embedded index, the batcher, the API.

Only the encoder is a stand-in: its vectors are a coarse picture of the image itself, so that which
product looks like which is known from how it is drawn.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from PIL import Image, ImageDraw

from config.settings import Settings
from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from recommender.encoders.preprocess import to_input
from recommender.encoders.protocol import Encoder
from recommender.events import Upsert
from recommender.index.protocol import IndexedImage, ProductIndex, Vectors, Write
from recommender.merge import UNKNOWN, merge
from recommender.resources import Resources, open_resources
from recommender.serving import Serving
from recommender.similar import Recommender
from tests.conftest import ObjectStore, object_store
from tests.pixels import PixelEncoder
from tests.whole_image import decode

COLOURS = {"red": "#c0392b", "green": "#1e8449", "blue": "#2457a6", "gold": "#d4a017"}
SHAPES = ("round", "square", "tall")
Fields = Mapping[str, object]
Drawn = tuple[str, Sequence[bytes], Fields]
"""A product's id, pictures and fields."""


@lru_cache
def draw(shape: str, colour: str, *, shift: int = 0, size: int = 160, file_format: str = "JPEG") -> bytes:
    """A coloured shape on off-white; `shift` moves it, so that variants differ a little."""
    image = Image.new("RGB", (size, size), "#f4f1ea")
    pen = ImageDraw.Draw(image)
    low, high = size // 5 + shift, size - size // 5 + shift
    colour = COLOURS.get(colour, colour)
    if shape == "round":
        pen.ellipse((low, low, high, high), fill=colour)
    elif shape == "square":
        pen.rectangle((low, low, high, high), fill=colour)
    else:
        pen.rectangle(
            (size // 2 - size // 10 + shift, size // 12, size // 2 + size // 10 + shift, high), fill=colour
        )
    data = io.BytesIO()
    image.save(data, file_format)
    return data.getvalue()


@dataclass
class Shop:
    """What a test asks and changes."""

    settings: Settings
    resources: Resources
    store: ObjectStore

    @property
    def recommender(self) -> Recommender:
        return self.resources.recommender

    @property
    def index(self) -> ProductIndex:
        return self.resources.index

    def add(self, product_id: str, *pictures: bytes, broken: bool = False, **fields: object) -> None:
        """Store the pictures and write the product with their vectors, as the worker would."""
        self.add_all([(product_id, pictures, fields)], broken=broken)

    def add_all(self, products: Sequence[Drawn], *, broken: bool = False) -> None:
        pictures = [picture for _, drawn, _ in products for picture in drawn]
        preprocessing = self.resources.batcher.encoder.spec.preprocessing
        pixels = [to_input(decode(p, name="drawn", max_pixels=10**7), preprocessing) for p in pictures]
        rows = iter(self.resources.batcher.embed_images(pixels))
        writes = []
        for product_id, drawn, fields in products:
            own = np.stack([next(rows) for _ in drawn])
            writes.append(self._write(product_id, drawn, fields, own[:0] if broken else own))
        assert not self.index.write(writes)

    def _write(self, product_id: str, drawn: Sequence[bytes], fields: Fields, rows: Vectors) -> Write:
        folder = quote(product_id, safe="")
        uris = [self.store.put(f"{folder}/{n}", picture) for n, picture in enumerate(drawn)]
        document = {"id": product_id, "version": 1, "images": uris, "category": "things", **fields}
        images = tuple(
            IndexedImage(uri, None, n if n < len(rows) else None, None if n < len(rows) else "broken")
            for n, uri in enumerate(uris)
        )
        return Write(product_id, None, merge(UNKNOWN, Upsert.model_validate(document)), images, rows)


def asking(shop: Shop, recommender: Any) -> Shop:
    """The shop with another recommender in the place of its own."""
    pair = replace(shop.resources.serving.current, recommender=recommender)
    return replace(shop, resources=replace(shop.resources, serving=Serving(pair)))


@contextmanager
def opened_shop(
    store: ObjectStore, data_dir: Path, encoder: Callable[[], Encoder] = PixelEncoder, **values: Any
) -> Iterator[Shop]:
    """An empty shop; `values` are settings."""
    values = {"index": {"attributes": ["colour", "sizes"]}, **values}
    s3 = {"endpoint_url": store.endpoint_url, "buckets": [store.bucket]}
    settings = Settings(_env_file=None, data_dir=data_dir, s3=s3, **values)
    with open_resources(settings, load=lambda _: encoder()) as resources:
        yield Shop(settings, resources, store)


@contextmanager
def filled_shop(s3_endpoint: str, data_dir: Path, **values: Any) -> Iterator[Shop]:
    """A shop with the drawn catalog, in a bucket of its own."""
    with (
        object_store(s3_endpoint, f"shop-{token_hex(4)}") as store,
        opened_shop(store, data_dir, **values) as shop,
    ):
        fill(shop)
        yield shop


@contextmanager
def served(shop: Shop, *, extra_keys: tuple[str, ...] = ()) -> Iterator[httpx.Client]:
    """The API over HTTP, on a free port of loopback."""
    app = create_app(shop.resources, shop.settings, extra_keys=extra_keys)
    server = serve_in_thread(app, "127.0.0.1", 0)
    try:
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.stop()


def fill(shop: Shop) -> None:
    """Three shapes in four colours, two variants a style, under two category levels."""
    shop.add_all(
        [
            (
                f"{shape}-{colour}-{variant}",
                (draw(shape, colour, shift=3 * variant), draw(shape, colour, shift=-4, file_format="PNG")),
                {
                    "category": f"shapes/{shape}",
                    "title": f"{colour.capitalize()} {shape} thing, variant {variant}",
                    "brand": ("Acme", "Bolt")[m % 2],
                    "price": 10.0 * (n + 1) + m,
                    "currency": "EUR",
                    "in_stock": variant == 0,
                    "group_id": f"{shape}-{colour}",
                    "attributes": {"colour": colour, "sizes": ["38", "39"], "weight": 2},
                },
            )
            for n, shape in enumerate(SHAPES)
            for m, colour in enumerate(COLOURS)
            for variant in range(2)
        ]
    )

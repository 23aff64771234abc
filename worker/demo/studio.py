"""Draws the catalog and puts its pictures into the object store, on every core."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from worker.demo.catalog import DrawnProduct
from worker.demo.draw import draw, encode
from worker.demo.object_store import BUCKET, ObjectStore
from worker.demo.quality import colour_histogram

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Histogram = NDArray[np.float32]
_PRODUCTS_A_TASK = 8
_MAX_PROCESSES = 8
_client: "S3Client | None" = None  # of a drawing process; opened by _start


def shoot(
    products: Sequence[DrawnProduct], store: ObjectStore, on_product: Callable[[int], None]
) -> dict[str, Histogram]:
    """Draw and upload every view; returns the colour histogram of each product's first picture, by id.

    Blocks; calls `on_product` with how many more are done.
    """
    processes = min(_MAX_PROCESSES, os.cpu_count() or 1)
    batches = [products[at : at + _PRODUCTS_A_TASK] for at in range(0, len(products), _PRODUCTS_A_TASK)]
    histograms: dict[str, Histogram] = {}
    # spawn: the parent has threads, and a fork would copy their locks
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (store,)) as pool:
        for done in as_completed([pool.submit(_shoot, batch) for batch in batches]):
            histograms |= done.result()
            on_product(len(done.result()))
    return {product.id: histograms[product.id] for product in products}


def _start(store: ObjectStore) -> None:
    global _client  # noqa: PLW0603  # one client a process, which is what a pool's initializer is for
    _client = store.client()


def _shoot(products: Sequence[DrawnProduct]) -> dict[str, Histogram]:
    assert _client is not None
    histograms = {}
    for product in products:
        for view in product.views:
            picture = draw(product, view)
            if view is product.views[0]:
                histograms[product.id] = colour_histogram(picture)
            content_type = f"image/{view.file_format.lower()}"
            _client.put_object(
                Bucket=BUCKET, Key=view.key, Body=encode(picture, view), ContentType=content_type
            )
    return histograms

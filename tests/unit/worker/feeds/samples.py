"""The same products in every format that a feed may have."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq


def products(ids: Sequence[str]) -> list[dict[str, Any]]:
    """Documents whose titles have line breaks and quotes in them."""
    return [
        {
            "id": identity,
            "version": 1_732_350_000_000,
            "images": [f"s3://b/{identity}.jpg"],
            "category": ["women/shoes"],
            "title": f'"Ankle"\nboot, {identity}',
        }
        for identity in ids
    ]


def jsonl(documents: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


def comma_separated(documents: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["id", "version", "images", "category", "title"])
    for one in documents:
        lists = ["|".join(one["images"]), "|".join(one["category"])]
        writer.writerow([one["id"], one["version"], *lists, one["title"]])
    return text.getvalue().encode()


def parquet(documents: Sequence[dict[str, Any]]) -> bytes:
    schema = pa.schema(
        {
            "id": pa.string(),
            "version": pa.int64(),
            "images": pa.list_(pa.string()),
            "category": pa.list_(pa.string()),
            "title": pa.string(),
        }
    )
    into = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(documents), schema), into, row_group_size=4)
    return into.getvalue()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


FORMATS: dict[str, Callable[[Sequence[dict[str, Any]]], bytes]] = {
    "jsonl": jsonl,
    "jsonl.gz": lambda documents: gzip.compress(jsonl(documents)),
    "jsonl.zst": lambda documents: zstd(jsonl(documents)),
    "csv": comma_separated,
    "csv.gz": lambda documents: gzip.compress(comma_separated(documents)),
    "csv.zst": lambda documents: zstd(comma_separated(documents)),
    "parquet": parquet,
}
"""By the ending of a name."""

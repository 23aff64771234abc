"""The pipeline on an index that grows, its rows made up: what one more product costs besides its image.

It works in the worker's own slices, whose size is that of its device batches.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.settings import EncoderSettings, IndexSettings, Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.events import Upsert
from recommender.images.source import ImageSource
from recommender.index.open import open_engine, open_serving_index
from tests.benchmarks.contenders.encoder import load
from worker.bench.rows import StoredRows
from worker.pipeline import Pipeline

_MESSAGE = 256


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of our encoder, which says the dimension and the size of slices."""
    folder, encoder = Path(tempfile.mkdtemp()), load(options)
    batch = options.get("settings", {}).get("max_batch_size")
    settings = Settings(
        _env_file=None,
        data_dir=folder,
        index=IndexSettings(url=f"edge:{folder / 'index'}"),
        encoder=EncoderSettings() if batch is None else EncoderSettings(max_batch_size=batch),
    )
    engine = open_engine(settings)
    index = open_serving_index(engine, encoder.fingerprint, encoder.spec.dimension)
    stage, made = StoredRows(encoder.spec.dimension), 0
    batcher = DynamicBatcher(encoder, 1)
    source = ImageSource(settings.s3, settings.images)
    with Pipeline(index, batcher, source, settings) as pipeline:

        def answer(request: dict[str, Any]) -> dict[str, float]:
            """Grow to `products`, or by `more`: ms a product by the clock, of processor, in writes."""
            nonlocal made
            seconds = processor_s = write_s = 0.0
            begun_at = made
            target = request.get("products") or made + request["more"]
            while made < target:
                events = [_event(number) for number in range(made, made + _MESSAGE)]
                started, begun = time.perf_counter(), time.process_time()
                report = pipeline.apply(events, images=stage)
                seconds += time.perf_counter() - started
                processor_s += time.process_time() - begun
                write_s += report.took_s["write"]
                assert len(report.applied) == _MESSAGE, report
                made += _MESSAGE
            ms = 1000 / max(1, made - begun_at)
            return {
                "products": made,
                "ms": ms * seconds,
                "processor_ms": ms * processor_s,
                "write_ms": ms * write_s,
                "rss_mib": _rss_mib(),
            }

        yield answer
    batcher.close()
    engine.close()
    shutil.rmtree(folder)


def _event(number: int) -> Upsert:
    return Upsert.model_validate(
        {
            "id": f"sku-{number}",
            "version": 1,
            "images": [f"s3://bucket/{number}.jpg"],
            "category": f"a/{number % 10}/{number % 100}",
            "title": f"Product {number}",
            "brand": f"Brand {number % 50}",
            "price": number % 100,
        }
    )


def _rss_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024

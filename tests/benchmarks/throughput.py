"""The pipeline against the limit that this machine sets, in one interleaved run.

    python -m tests.benchmarks.throughput [--products 256] [--side 600] [--rounds 5]

F: bare forward of preloaded input, at the batch size of the settings. D: fetch, decode and resize
alone, with the pipeline's threads. Limit: 1 / (1/F + 1/D), since they share the cores. Ours: events to
searchable, by `Pipeline.apply` on the embedded engine, without Celery and Redis. Images are JPEG files
of random shapes; medians of the rounds, with the range.
"""

import argparse
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from config.settings import ImageSettings, IndexSettings, Settings
from recommender.encoders.preprocess import to_input
from recommender.events import Upsert
from recommender.images.decode import decode
from recommender.resources import Resources, open_resources
from worker.pipeline import Pipeline


def draw(folder: Path, count: int, side: int) -> list[str]:
    """Draw `count` square JPEGs of `side` px; return their URIs."""
    dice = random.Random(1)  # noqa: S311  # no secret
    uris = []
    for number in range(count):
        image = Image.effect_noise((side, side), 40).convert("RGB")
        pen = ImageDraw.Draw(image)
        for _ in range(12):
            x, y, size = (dice.randrange(side) for _ in range(3))
            pen.ellipse((x, y, x + size, y + size), fill=tuple(dice.randrange(256) for _ in range(3)))
        path = folder / f"{number}.jpg"
        image.save(path, quality=88)
        uris.append(f"file://{path}")
    return uris


def load(resources: Resources, uri: str, max_pixels: int) -> torch.Tensor:
    """Fetch, decode and resize one image: (3, S, S) uint8."""
    fetched = resources.source.fetch(uri)
    assert fetched is not None
    image = decode(fetched.data, name=uri, max_pixels=max_pixels)
    return to_input(image, resources.encoder.spec.preprocessing)


def images_per_s(count: int, work: Callable[[], object]) -> float:
    """Time one call that handles `count` images."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def measure(resources: Resources, settings: Settings, uris: list[str], rounds: int) -> dict[str, list[float]]:
    """Interleave the three measurements; one unmeasured round first."""
    rates: dict[str, list[float]] = {"F": [], "D": [], "ours": []}
    max_pixels, batch = settings.images.max_pixels, settings.encoder.max_batch_size
    with (
        ThreadPoolExecutor(settings.images.threads) as threads,
        Pipeline(resources.index, resources.batcher, resources.source, settings) as pipeline,
    ):

        def fetch_and_decode() -> list[torch.Tensor]:
            return list(threads.map(lambda uri: load(resources, uri, max_pixels), uris))

        pixels = torch.stack(fetch_and_decode())

        def forward() -> None:
            for chunk in pixels.split(batch):
                resources.encoder.encode_images(chunk)

        for number in range(rounds + 1):
            events = [
                Upsert.model_validate(
                    {"id": f"{number}-{row}", "version": 1, "images": [uri], "category": "drawn/shapes"}
                )
                for row, uri in enumerate(uris)
            ]

            def upsert(events: list[Upsert] = events) -> None:
                report = pipeline.apply(events)
                assert len(report.applied) == len(events), report

            one = {"F": forward, "D": fetch_and_decode, "ours": upsert}
            for name, work in one.items():
                rate = images_per_s(len(uris), work)
                if number:
                    rates[name].append(rate)
    return rates


def main() -> None:
    """Print F, D, the limit, ours and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--products", type=int, default=256)
    parser.add_argument("--side", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(
            _env_file=None,
            data_dir=folder,
            index=IndexSettings(url=f"edge:{folder / 'index'}"),
            images=ImageSettings(local_root=folder),
        )
        uris = draw(folder, arguments.products, arguments.side)
        with open_resources(settings) as resources:
            rates = measure(resources, settings, uris, arguments.rounds)
            encoder, batch = resources.encoder, settings.encoder.max_batch_size
            header = f"{encoder.fingerprint} on {encoder.device}, batch {batch}"
    median = {key: statistics.median(values) for key, values in rates.items()}
    limit = 1 / (1 / median["F"] + 1 / median["D"])
    sys.stdout.write(
        f"{header}; torch {torch.__version__}, {platform.processor() or platform.machine()}, "
        f"{torch.get_num_threads()} threads\n"
    )
    for key, values in rates.items():
        sys.stdout.write(f"{key:>5}: {median[key]:7.1f} images/s ({min(values):.1f} to {max(values):.1f})\n")
    sys.stdout.write(f"limit: {limit:7.1f} images/s\n ours / limit: {median['ours'] / limit:.3f}\n")


if __name__ == "__main__":
    main()

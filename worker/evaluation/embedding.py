"""The subjects' images, embedded in this process."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np

from config.settings import Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import Encoder
from recommender.errors import InvalidQuery
from recommender.index.protocol import Vectors
from recommender.looks import Places
from worker.evaluation.subjects import Subjects
from worker.progress import progress

_CHUNK = 64
"""Images that are read while no others are embedded: what is held is bounded."""


def embed(subjects: Subjects, encoder: Encoder, settings: Settings) -> tuple[Vectors, Places]:
    """The rows of all images that can be had, (N, D), and which of the subjects' rows these are, ascending.

    Blocks; shows how far it is. An image that has changed since it was indexed is left out.

    Raises:
        InvalidQuery: no image can be had.
        EncoderLost: a thread of the encoder died, or hangs.
    """
    total, p = len(subjects.images), encoder.spec.preprocessing
    found: list[Vectors] = []
    rows: list[int] = []
    with (
        closing(DynamicBatcher(encoder, settings.encoder.max_batch_size)) as batcher,
        ThreadPoolExecutor(settings.images.threads) as threads,
        progress("embedding", total) as advance,
    ):
        for begin in range(0, total, _CHUNK):
            chunk = range(begin, min(begin + _CHUNK, total))
            read = list(threads.map(lambda row: subjects.pixels(int(subjects.images[row]), p), chunk))
            there = [(row, pixels) for row, pixels in zip(chunk, read, strict=True) if pixels is not None]
            rows += [row for row, _ in there]
            found.append(batcher.embed_images([pixels for _, pixels in there]))
            advance(len(chunk))
    if not rows:
        raise InvalidQuery("images", f"none of {total} can be fetched and decoded")
    return np.concatenate(found), np.array(rows, np.int64)

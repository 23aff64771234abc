"""How fast this machine embeds, measured with the configured encoder, and the hours that a catalog takes."""

import resource
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from config.settings import Settings
from recommender.encoders.load import load_encoder
from recommender.encoders.protocol import Preprocessing
from recommender.images.fetched import Fetched
from recommender.images.source import ImageSource
from worker.bench import run, stages
from worker.embedding import Pixels, fetch, to_pixels
from worker.plan import ImageKey

_KIB = 1024
_ANY_INPUT = Preprocessing(64, 64, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)


@dataclass(frozen=True, slots=True)
class Rates:
    """What was measured. `process_bytes` is the most memory that this process has had.

    Without images `whole` is None: nothing is known but what the encoder could do if all else were free.
    """

    encoder: str
    dimension: int
    device: str
    device_images_per_s: float
    whole_images_per_s: float | None
    bound_by: str | None
    process_bytes: int
    device_bytes: int | None
    how: str

    @property
    def images_per_s(self) -> float:
        """What the hours are reckoned with."""
        return self.whole_images_per_s or self.device_images_per_s

    def hours(self, images: int) -> float:
        """That so many images take on one worker like this one."""
        return images / self.images_per_s / 3600


def of_images(settings: Settings, uris_of: run.Uris, seconds: float, say: run.Say) -> Rates:
    """Measure all stages with images, and the whole.

    Raises:
        ConfigurationError: there are no images, or the encoder can't be loaded as configured.
        LookalikeError: an image can't be read, or the index or the store does not answer.
    """
    measured = run.measure(settings, uris_of, seconds, say)
    device = next(stage for stage in measured.stages if stage.name == "device")
    return Rates(
        measured.encoder,
        measured.dimension,
        measured.device,
        device.images_per_s,
        measured.whole,
        measured.verdict.bound_by,
        *_memory(measured.device),
        "fetched, decoded, embedded and written to a scratch index, without Celery and Redis",
    )


def of_encoder(settings: Settings, seconds: float, say: run.Say) -> Rates:
    """Measure the encoder alone, on noise.

    Raises:
        ConfigurationError: the encoder can't be loaded as configured.
    """
    say("loading the encoder")
    encoder = load_encoder(settings.encoder)
    say("embedding")
    side, batch = encoder.spec.preprocessing.input_px, settings.encoder.max_batch_size
    noise = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    stage = stages.embedding(encoder, list(noise), batch, seconds)
    return Rates(
        encoder.fingerprint,
        encoder.spec.dimension,
        encoder.device,
        stage.images_per_s,
        None,
        None,
        *_memory(encoder.device),
        f"{stage.how}; fetching and decoding are not in it: name images (--images-from DIR)",
    )


def readable(settings: Settings, uris: Sequence[str], say: run.Say) -> list[str]:
    """Those of the index's images that can be fetched from here, and decoded."""
    say("looking at the index's own images")
    with closing(ImageSource(settings.s3, settings.images)) as source:
        return [uri for uri in uris if _is_readable(source, uri, settings.images.max_pixels)]


def _is_readable(source: ImageSource, uri: str, max_pixels: int) -> bool:
    found = fetch(source, ImageKey(uri, None))
    return isinstance(found, Fetched) and isinstance(
        to_pixels(found, ImageKey(uri, None), _ANY_INPUT, max_pixels), Pixels
    )


def _memory(device: str) -> tuple[int, int | None]:
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    return process, torch.cuda.max_memory_reserved() if device == "cuda" else None

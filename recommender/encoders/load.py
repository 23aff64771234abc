"""From the settings to an encoder that is ready: built, loaded, fingerprinted, warmed up."""

import logging
import time
from pathlib import Path

import numpy as np
import torch

from config.settings import PREFIX, ConfigurationError, EncoderSettings
from recommender import metrics
from recommender.encoders.fingerprint import fingerprint_of
from recommender.encoders.protocol import Encoder, EncoderSpec
from recommender.encoders.registry import spec_of
from recommender.encoders.sources.source import source_of
from recommender.encoders.torch_encoder import TorchEncoder
from recommender.encoders.weights import load_weights
from recommender.errors import WeightsUnavailable

log = logging.getLogger(__name__)


def load_encoder(settings: EncoderSettings) -> Encoder:
    """Load the encoder that the settings name; takes seconds, once a process.

    Sets the number of CPU threads of the whole process where the settings give one.

    Raises:
        UnknownEncoder: the name is not in the registry.
        WeightsUnavailable: the weights can't be fetched or read, or don't fit; the message has the ways out.
        ConfigurationError: cuda was asked for, and there is none.
    """
    started = time.monotonic()
    spec = spec_of(settings.name)
    device = _device(settings)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    source = source_of(spec)
    path = source.fetch(spec) if settings.weights is None else Path(settings.weights)
    towers = source.build(spec)
    load_weights(path, towers, source)
    encoder = TorchEncoder(spec, towers, device, fingerprint_of(spec, towers.network))
    _warm_up(encoder, spec, settings.max_batch_size)
    metrics.ENCODER_INFO.labels(encoder.fingerprint, device).set(1)
    log.info(
        "encoder_loaded",
        extra={
            "encoder": encoder.fingerprint,
            "weights": str(path),
            "device": device,
            "dimension": spec.dimension,
            "ms": round(1000 * (time.monotonic() - started)),
        },
    )
    return encoder


def _device(settings: EncoderSettings) -> str:
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(f"{PREFIX}ENCODER__DEVICE=cuda, but torch finds no GPU: use auto or cpu")
    return settings.device


def _warm_up(encoder: TorchEncoder, spec: EncoderSpec, max_batch_size: int) -> None:
    """Embed noise, so that the first caller pays for nothing; on cuda the largest batch too: it must fit."""
    side = spec.preprocessing.input_px
    for batch in (1, max_batch_size) if encoder.device == "cuda" else (1,):
        rows = encoder.encode_images(torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8))
        if rows.shape != (batch, spec.dimension) or not np.isfinite(rows).all():
            raise WeightsUnavailable(
                f"the weights of {spec.name!r} are broken: noise gives {rows.shape} with "
                f"{np.count_nonzero(~np.isfinite(rows))} values that are not finite; "
                f"expected ({batch}, {spec.dimension})"
            )

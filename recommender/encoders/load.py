"""From the settings to an encoder that is ready: built, loaded, fingerprinted, its runtime chosen."""

import logging
import time
from pathlib import Path

import torch

from config.settings import PREFIX, ConfigurationError, EncoderSettings
from recommender import metrics
from recommender.encoders.fingerprint import fingerprint_of
from recommender.encoders.local_encoder import LocalEncoder
from recommender.encoders.registry import spec_of
from recommender.encoders.runtimes.candidates import precision_of
from recommender.encoders.runtimes.open import open_runtime
from recommender.encoders.runtimes.runtime import ImageGraph
from recommender.encoders.sources.source import source_of
from recommender.encoders.weights import load_weights

log = logging.getLogger(__name__)


def load_encoder(settings: EncoderSettings) -> LocalEncoder:
    """Load the encoder that the settings name; takes seconds, once a process.

    Sets the number of CPU threads of the whole process where the settings give one.

    Raises:
        UnknownEncoder: the name is not in the registry.
        WeightsUnavailable: the weights can't be fetched or read, or don't fit; the message has the ways out.
        ConfigurationError: cuda was asked for, and there is none; or device, runtime and precision don't fit.
        RuntimeUnavailable: the runtime that was asked for does not answer what torch answers.
    """
    started = time.monotonic()
    spec = spec_of(settings.name)
    device = device_of(settings)
    precision = precision_of(settings, device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    source = source_of(spec)
    path = source.fetch(spec) if settings.weights is None else Path(settings.weights)
    towers = source.build(spec)
    load_weights(path, towers, source)
    fingerprint = fingerprint_of(spec, towers.network)
    graph = ImageGraph(towers, spec.preprocessing).to(device)
    runtime, fingerprint = open_runtime(
        settings, spec, graph, fingerprint=fingerprint, device=device, precision=precision
    )
    encoder = LocalEncoder(spec, device, fingerprint, runtime, towers.embed_texts)
    metrics.ENCODER_INFO.labels(fingerprint, device, runtime.name, precision).set(1)
    log.info(
        "encoder_loaded",
        extra={
            "encoder": fingerprint,
            "weights": str(path),
            "device": device,
            "runtime": runtime.name,
            "precision": precision,
            "dimension": spec.dimension,
            "ms": round(1000 * (time.monotonic() - started)),
        },
    )
    return encoder


def device_of(settings: EncoderSettings) -> str:
    """Resolve `auto`.

    Raises:
        ConfigurationError: cuda was asked for, and there is none.
    """
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(f"{PREFIX}ENCODER__DEVICE=cuda, but torch finds no GPU: use auto or cpu")
    return settings.device

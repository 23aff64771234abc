"""What every source of architectures offers; its modules keep this protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from recommender.encoders.protocol import EncoderSpec

StateDict = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Towers:
    """One architecture. Weights are loaded into `network`; the functions use it wherever it lies."""

    network: nn.Module
    embed_images: Callable[[Tensor], Tensor]
    """(B, 3, input_px, input_px) normalised float -> (B, D) float, not of unit norm."""
    embed_texts: Callable[[Sequence[str]], Tensor] | None = None
    """B texts -> (B, D) float, not of unit norm; None where there is no text tower."""
    convolutional: bool = False
    """Whether the network is faster with its channels last in memory."""


class Source(Protocol):
    """A library of architectures; the modules of this package are its implementations."""

    def build(self, spec: EncoderSpec) -> Towers:
        """Build the architecture on the host with random weights; needs no network."""
        ...

    def fetch(self, spec: EncoderSpec) -> Path:
        """Return the file of the registry's own weights, from a cache or the network.

        Raises:
            WeightsUnavailable: they are in no cache and can't be fetched.
        """
        ...

    def adapt(self, state: StateDict, towers: Towers) -> StateDict:
        """Rename or reshape what is known to differ in files for this architecture."""
        ...


def source_of(spec: EncoderSpec) -> Source:
    """Import the spec's source alone: torchvision takes seconds to import, and timm and open_clip need it."""
    source: Source
    match spec.source:
        case "built-in":
            from recommender.encoders.sources import built_in as source  # noqa: PLC0415
        case "torchvision":
            from recommender.encoders.sources import from_torchvision as source  # noqa: PLC0415
        case "open_clip":
            from recommender.encoders.sources import from_open_clip as source  # noqa: PLC0415
        case "timm":
            from recommender.encoders.sources import from_timm as source  # noqa: PLC0415
    return source

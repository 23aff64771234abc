"""The encoder in the box."""

from importlib import resources
from pathlib import Path

from recommender.encoders import compact
from recommender.encoders.compact.model import CompactResNet
from recommender.encoders.protocol import EncoderSpec
from recommender.encoders.sources.source import StateDict, Towers
from recommender.errors import WeightsUnavailable


def build(spec: EncoderSpec) -> Towers:  # noqa: ARG001  # there is one
    """Build the small ResNet."""
    network = CompactResNet()
    return Towers(network, network, convolutional=True)


def fetch(spec: EncoderSpec) -> Path:
    """Find the weights in the package."""
    path = Path(str(resources.files(compact).joinpath(spec.weights)))
    if not path.is_file():
        raise WeightsUnavailable(f"{path} is missing: this installation of lookalike is incomplete")
    return path


def adapt(state: StateDict, towers: Towers) -> StateDict:  # noqa: ARG001
    """There is one layout."""
    return state

"""Architectures of torchvision; weights from download.pytorch.org, or a fine-tuned ResNet of any recipe."""

import re
from pathlib import Path

import torchvision
from torch import nn

from recommender.encoders.protocol import EncoderSpec
from recommender.encoders.sources import fetch as fetching
from recommender.encoders.sources.source import StateDict, Towers

_RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
_NUMBERED_STEM = re.compile(r"(?P<prefix>(.*\.)?)0\.weight")


def build(spec: EncoderSpec) -> Towers:
    """Build the trunk: what feeds the classifier is the embedding."""
    network = torchvision.models.get_model(spec.architecture, weights=None)
    is_resnet = isinstance(network, torchvision.models.ResNet)
    setattr(network, "fc" if is_resnet else "heads", nn.Identity())
    return Towers(network, network, convolutional=is_resnet)


def fetch(spec: EncoderSpec) -> Path:
    """Fetch what torchvision publishes."""
    return fetching.from_url(spec, torchvision.models.get_weight(spec.weights).url)


def adapt(state: StateDict, towers: Towers) -> StateDict:
    """Name the children of a ResNet that was trained as `nn.Sequential(*resnet.children())`.

    SimCLR code often cuts the classifier off that way, which numbers what had names.
    """
    stems = [_NUMBERED_STEM.fullmatch(key) for key, tensor in state.items() if tensor.shape[1:] == (3, 7, 7)]
    prefix = next((stem["prefix"] for stem in stems if stem), None)
    if prefix is None or not towers.convolutional:
        return state

    def named(key: str) -> str:
        number, dot, rest = key.removeprefix(prefix).partition(".")
        if not key.startswith(prefix) or not number.isdigit() or int(number) >= len(_RESNET_CHILDREN):
            return key
        return f"{prefix}{_RESNET_CHILDREN[int(number)]}{dot}{rest}"

    return {named(key): tensor for key, tensor in state.items()}

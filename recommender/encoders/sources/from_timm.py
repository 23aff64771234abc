"""Architectures of timm; weights from the Hugging Face Hub."""

from pathlib import Path

import timm
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from recommender.encoders.protocol import EncoderSpec
from recommender.encoders.sources import fetch as fetching
from recommender.encoders.sources.source import StateDict, Towers


def build(spec: EncoderSpec) -> Towers:
    """Build the trunk, without a classifier."""
    network = timm.create_model(spec.architecture, pretrained=False, num_classes=0)
    return Towers(network, network)


def fetch(spec: EncoderSpec) -> Path:
    """Fetch what timm publishes."""
    return fetching.from_hub(spec, spec.weights, ("model.safetensors", "pytorch_model.bin"))


def adapt(state: StateDict, towers: Towers) -> StateDict:
    """Accept the files that Meta publishes: they hold the mask token of the training too."""
    if "mask_token" not in state or not isinstance(towers.network, VisionTransformer):
        return state
    return checkpoint_filter_fn(state, towers.network)

"""Image and text towers of open_clip; weights from the Hugging Face Hub."""

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor

from recommender.encoders.protocol import EncoderSpec
from recommender.encoders.sources import fetch as fetching
from recommender.encoders.sources.source import StateDict, Towers
from recommender.errors import WeightsUnavailable


def build(spec: EncoderSpec) -> Towers:
    """Build both towers from the configuration that open_clip ships."""
    config: dict[str, Any] = open_clip.get_model_config(spec.architecture)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    network = kind(**config)
    tokenizer = _Tokenizer(spec, config["text_cfg"])

    def embed_texts(texts: Sequence[str]) -> Tensor:
        tokens = tokenizer(texts).to(network.logit_scale.device)
        features: Tensor = network.encode_text(tokens)
        return features

    return Towers(network, network.encode_image, embed_texts)


def fetch(spec: EncoderSpec) -> Path:
    """Fetch what the hub holds in open_clip's layout."""
    names = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return fetching.from_hub(spec, spec.weights, names)


def adapt(state: StateDict, towers: Towers) -> StateDict:
    """Move the text tower to where the network has it: older files have it at the top."""
    if "positional_embedding" not in state or hasattr(towers.network, "positional_embedding"):
        return state
    adapted: StateDict = convert_to_custom_text_state_dict(state)
    return adapted


class _Tokenizer:
    """Texts to token ids; loaded at the first text, since it may need the network.

    What failed once stays failed in this process: the encoder's thread must not wait for the network
    at every question.
    """

    def __init__(self, spec: EncoderSpec, text_config: dict[str, Any]) -> None:
        self._spec = spec
        self._config = text_config

    def __call__(self, texts: Sequence[str]) -> Tensor:
        loaded = self._loaded
        if isinstance(loaded, WeightsUnavailable):
            raise WeightsUnavailable(str(loaded)) from loaded
        return loaded(list(texts))

    @cached_property
    def _loaded(self) -> Callable[[list[str]], Tensor] | WeightsUnavailable:
        try:
            return self._load()
        except WeightsUnavailable as failure:
            return failure

    def _load(self) -> Callable[[list[str]], Tensor]:
        length, options = self._config["context_length"], self._config.get("tokenizer_kwargs", {})
        repository = self._config.get("hf_tokenizer_name")
        tokenizer: Callable[[list[str]], Tensor]
        if repository is None:  # the byte-pair encoding of CLIP, which open_clip ships
            tokenizer = open_clip.SimpleTokenizer(context_length=length, **options)
            return tokenizer
        if find_spec("transformers") is None:
            raise WeightsUnavailable(
                f"the tokenizer of the encoder {self._spec.name!r} needs a package that is not installed: "
                "pip install 'lookalike[text]'"
            )
        fetching.from_hub(self._spec, repository, ("tokenizer.json", "spiece.model"))
        try:
            tokenizer = open_clip.tokenizer.HFTokenizer(repository, context_length=length, **options)
        except (OSError, ValueError) as exc:
            raise fetching.unavailable(self._spec, f"its tokenizer {repository}: {exc}") from exc
        return tokenizer

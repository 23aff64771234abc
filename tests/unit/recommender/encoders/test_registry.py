"""The data of the registry against the configurations that the libraries ship; nothing is downloaded."""

import dataclasses

import open_clip
import pytest
import timm
import torch
import torchvision
from torchvision.transforms import InterpolationMode

from recommender.encoders.protocol import EncoderSpec, Preprocessing
from recommender.encoders.registry import REGISTRY, spec_of
from recommender.encoders.sources.source import source_of
from recommender.errors import UnknownEncoder

ALL = pytest.mark.parametrize("spec", REGISTRY.values(), ids=list(REGISTRY))
FASHION = "marqo-fashionsiglip"  # open_clip knows its architecture, not its weights


def specs_of(source: str) -> list[EncoderSpec]:
    return [spec for spec in REGISTRY.values() if spec.source == source]


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(UnknownEncoder, match=r"'resnet5'.*compact, compact-128, resnet50"):
        spec_of("resnet5")


def test_specs_are_found_by_their_name() -> None:
    assert [spec_of(name).name for name in REGISTRY] == list(REGISTRY)


@ALL
def test_each_architecture_answers_the_dimension_of_its_spec(spec: EncoderSpec) -> None:
    side = spec.preprocessing.input_px
    with torch.device("meta"):  # shapes without memory or arithmetic
        towers = source_of(spec).build(spec)
        towers.network.eval()
        features = towers.embed_images(torch.empty(2, 3, side, side))
    assert features.shape == (2, spec.dimension)
    assert (towers.embed_texts is not None) == spec.text_tower


@pytest.mark.parametrize("spec", specs_of("torchvision"), ids=lambda spec: spec.name)
def test_torchvision_preprocessing(spec: EncoderSpec) -> None:
    transform = torchvision.models.get_weight(spec.weights).transforms()
    names = {InterpolationMode.BILINEAR: "bilinear", InterpolationMode.BICUBIC: "bicubic"}
    assert spec.preprocessing == Preprocessing(
        input_px=transform.crop_size[0],
        resize_px=transform.resize_size[0],
        resize="crop",
        interpolation=names[transform.interpolation],
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


@pytest.mark.parametrize("spec", specs_of("open_clip"), ids=lambda spec: spec.name)
def test_open_clip_preprocessing_and_weights(spec: EncoderSpec) -> None:
    tag = "openai" if spec.name.startswith("clip") else "webli"
    published = open_clip.get_pretrained_cfg(spec.architecture, tag)
    size = open_clip.get_model_config(spec.architecture)["vision_cfg"]["image_size"]
    assert spec.preprocessing == Preprocessing(
        input_px=size,
        resize_px=size,
        resize={"shortest": "crop", "squash": "squash"}[published["resize_mode"]],
        interpolation=published["interpolation"],
        mean=tuple(published["mean"]),
        std=tuple(published["std"]),
    )
    assert spec.name == FASHION or published["hf_hub"] == f"{spec.weights}/"
    assert published.get("quick_gelu", False) == open_clip.get_model_config(spec.architecture).get(
        "quick_gelu", False
    )


@pytest.mark.parametrize("spec", specs_of("timm"), ids=lambda spec: spec.name)
def test_timm_preprocessing_and_weights(spec: EncoderSpec) -> None:
    published = timm.get_pretrained_cfg(spec.architecture)
    assert published.crop_mode == "center"
    size = published.input_size[-1]
    assert spec.preprocessing == Preprocessing(
        input_px=size,
        resize_px=int(size / published.crop_pct),
        resize="crop",
        interpolation=published.interpolation,
        mean=published.mean,
        std=published.std,
    )
    assert published.license.casefold() == spec.licence.casefold()
    assert published.hf_hub_id == spec.weights


@ALL
def test_each_licence_is_one(spec: EncoderSpec) -> None:
    assert spec.licence in {"MIT", "Apache-2.0", "BSD-3-Clause"}


@ALL
def test_a_spec_is_frozen(spec: EncoderSpec) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.dimension = 3  # type: ignore[misc]

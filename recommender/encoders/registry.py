"""The encoders that can be named in the settings, as data."""

from dataclasses import replace

from recommender.encoders.compact.model import DIMENSION
from recommender.encoders.protocol import EncoderSpec, Preprocessing
from recommender.errors import UnknownEncoder

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)

_CLIP = Preprocessing(224, 224, "crop", "bicubic", _CLIP_MEAN, _CLIP_STD)
_SIGLIP = Preprocessing(224, 224, "squash", "bicubic", _HALF, _HALF)
_DINOV2 = Preprocessing(518, 518, "crop", "bicubic", _IMAGENET_MEAN, _IMAGENET_STD)

_COMPACT = EncoderSpec(
    name="compact",
    source="built-in",
    architecture="CompactResNet",
    weights="compact.safetensors",
    dimension=DIMENSION,
    preprocessing=Preprocessing(160, 160, "squash", "bicubic", _IMAGENET_MEAN, _IMAGENET_STD),
    licence="MIT",
)

_SPECS = (
    _COMPACT,
    replace(
        _COMPACT,
        name="compact-128",
        preprocessing=replace(_COMPACT.preprocessing, input_px=128, resize_px=128),
    ),
    EncoderSpec(
        name="resnet50",
        source="torchvision",
        architecture="resnet50",
        weights="ResNet50_Weights.IMAGENET1K_V2",
        dimension=2048,
        preprocessing=Preprocessing(224, 232, "crop", "bilinear", _IMAGENET_MEAN, _IMAGENET_STD),
        licence="BSD-3-Clause",
    ),
    EncoderSpec(
        name="vit-b-16",
        source="torchvision",
        architecture="vit_b_16",
        weights="ViT_B_16_Weights.IMAGENET1K_V1",
        dimension=768,
        preprocessing=Preprocessing(224, 256, "crop", "bilinear", _IMAGENET_MEAN, _IMAGENET_STD),
        licence="BSD-3-Clause",
    ),
    EncoderSpec(
        name="clip-vit-b-32",
        source="open_clip",
        architecture="ViT-B-32-quickgelu",
        weights="timm/vit_base_patch32_clip_224.openai",
        dimension=512,
        preprocessing=_CLIP,
        licence="MIT",
        text_tower=True,
    ),
    EncoderSpec(
        name="clip-vit-l-14",
        source="open_clip",
        architecture="ViT-L-14-quickgelu",
        weights="timm/vit_large_patch14_clip_224.openai",
        dimension=768,
        preprocessing=_CLIP,
        licence="MIT",
        text_tower=True,
    ),
    EncoderSpec(
        name="siglip",
        source="open_clip",
        architecture="ViT-B-16-SigLIP",
        weights="timm/ViT-B-16-SigLIP",
        dimension=768,
        preprocessing=_SIGLIP,
        licence="Apache-2.0",
        text_tower=True,
    ),
    EncoderSpec(
        name="marqo-fashionsiglip",
        source="open_clip",
        architecture="ViT-B-16-SigLIP",
        weights="Marqo/marqo-fashionSigLIP",
        dimension=768,
        preprocessing=_SIGLIP,
        licence="Apache-2.0",
        text_tower=True,
    ),
    EncoderSpec(
        name="dinov2-small",
        source="timm",
        architecture="vit_small_patch14_dinov2.lvd142m",
        weights="timm/vit_small_patch14_dinov2.lvd142m",
        dimension=384,
        preprocessing=_DINOV2,
        licence="Apache-2.0",
    ),
    EncoderSpec(
        name="dinov2-base",
        source="timm",
        architecture="vit_base_patch14_dinov2.lvd142m",
        weights="timm/vit_base_patch14_dinov2.lvd142m",
        dimension=768,
        preprocessing=_DINOV2,
        licence="Apache-2.0",
    ),
)

REGISTRY: dict[str, EncoderSpec] = {spec.name: spec for spec in _SPECS}
"""By name. `weights` names them where the source looks: a file in this package, an enum of torchvision, a
repository of the Hugging Face Hub.
"""


def spec_of(name: str) -> EncoderSpec:
    """Return the spec of that name.

    Raises:
        UnknownEncoder: there is none; the message lists the names.
    """
    if name not in REGISTRY:
        raise UnknownEncoder(f"unknown encoder {name!r}; the registry has: {', '.join(REGISTRY)}")
    return REGISTRY[name]

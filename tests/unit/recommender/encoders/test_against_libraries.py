"""Pixels and embeddings against each library's own transform, loader and forward pass.

With random weights all embeddings point nearly the same way, so a cosine near 1 would prove nothing: the
error is measured against the distance to the nearest other photo. Narrow or shallow relatives stand in
for the big architectures; that the registry's own build and fit their specs is in test_registry.py.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
import torchvision
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models._api import register_model

from config.settings import EncoderSettings
from recommender.encoders.compact.model import CompactResNet
from recommender.encoders.load import load_encoder
from recommender.encoders.preprocess import to_input
from recommender.encoders.protocol import Encoder, EncoderSpec
from recommender.encoders.registry import REGISTRY, spec_of
from recommender.errors import WeightsUnavailable

# Pillow 13 chooses by the shape which axis it resizes first, torch and older ones take the horizontal one:
# where an overshoot of the first pass is clipped, single pixels differ by more than rounding.
MEAN_LEVELS = 0.25
MAX_ERROR_OF_GAP = 0.05

Weights = Callable[[EncoderSpec], Path]
Rows = NDArray[np.float32]

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
TINY_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tiny-clip": {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 128, "patch_size": 32},
        "text_cfg": TEXT,
    },
    "tiny-siglip": {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 160,
            "timm_model_name": "test_vit",
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {**TEXT, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP", "no_causal_mask": True},
    },
}


@register_model()
def tiny_vit(**_: Any) -> nn.Module:
    return torchvision.models.VisionTransformer(
        image_size=224, patch_size=32, num_layers=2, num_heads=2, hidden_dim=64, mlp_dim=128
    )


def relative(name: str, architecture: str, dimension: int, px: int) -> EncoderSpec:
    """A spec of the registry with a cheaper architecture of the same library and kind."""
    spec = spec_of(name)
    p = replace(spec.preprocessing, input_px=px, resize_px=max(px, spec.preprocessing.resize_px))
    if p.resize == "squash":
        p = replace(p, resize_px=px)
    return replace(spec, name=f"tiny-{name}", architecture=architecture, dimension=dimension, preprocessing=p)


SPECS = {
    spec.name: spec
    for spec in (
        spec_of("compact"),
        relative("resnet50", "resnet18", 512, 224),
        relative("vit-b-16", "tiny_vit", 64, 224),
        relative("clip-vit-b-32", "tiny-clip", 32, 224),
        relative("siglip", "tiny-siglip", 64, 160),
        relative("dinov2-small", "test_vit", 64, 160),
    )
}


@pytest.fixture(autouse=True)
def _tiny_architectures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, config in TINY_ARCHITECTURES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [*open_clip.factory._MODEL_CONFIG_PATHS])
    open_clip.add_model_config(tmp_path)
    for name, spec in SPECS.items():
        monkeypatch.setitem(REGISTRY, name, spec)


def library_transform(spec: EncoderSpec) -> Callable[[Image.Image], Tensor]:
    """The transform that the library publishes for the weights, at the spec's size."""
    side = spec.preprocessing.input_px
    if spec.source == "torchvision":
        return torchvision.models.get_weight(spec.weights).transforms()
    if spec.source == "open_clip":
        known = ("ViT-B-16-SigLIP", "webli") if "siglip" in spec.name else ("ViT-B-32", "openai")
        published = open_clip.get_pretrained_cfg(*known)
        values = {key: published[key] for key in ("mean", "std", "interpolation", "resize_mode")}
        return image_transform_v2(PreprocessCfg(size=side, **values), is_train=False)
    if spec.source == "timm":
        published = timm.get_pretrained_cfg(spec.weights.removeprefix("timm/")).to_dict()
        config = timm.data.resolve_data_config(pretrained_cfg=published)
        if side != config["input_size"][-1]:
            config |= {"input_size": (3, side, side), "crop_pct": side / spec.preprocessing.resize_px}
        return timm.data.create_transform(**config)
    steps = torchvision.transforms
    return steps.Compose(
        [
            steps.Resize((side, side), steps.InterpolationMode.BICUBIC),
            steps.ToTensor(),
            steps.Normalize(spec.preprocessing.mean, spec.preprocessing.std),
        ]
    )


def library_network(spec: EncoderSpec, weights: Path) -> Callable[[Tensor], Tensor]:
    network: nn.Module
    if spec.source == "open_clip":
        network = open_clip.create_model(spec.architecture, pretrained=str(weights)).eval()
        return network.encode_image
    if spec.source == "timm":
        return timm.create_model(spec.architecture, num_classes=0, checkpoint_path=str(weights)).eval()
    if spec.source == "torchvision":
        network = torchvision.models.get_model(spec.architecture)
        missing, unexpected = network.load_state_dict(load_file(weights), strict=False)
        assert not unexpected
        assert all(name.startswith(("fc.", "heads.")) for name in missing)
        setattr(network, "fc" if "resnet" in spec.name else "heads", nn.Identity())
        return network.eval()
    network = CompactResNet()
    network.load_state_dict(load_file(weights))
    return network.eval()


def load(spec: EncoderSpec, weights: Path, runtime: str = "torch", graphs: Path | None = None) -> Encoder:
    return load_encoder(
        EncoderSettings(name=spec.name, weights=str(weights), device="cpu", runtime=runtime, graphs=graphs)
    )


def our_rows(encoder: Encoder, photos: Sequence[Image.Image]) -> Rows:
    images = [torch.from_numpy(np.array(photo)).permute(2, 0, 1) for photo in photos]
    return encoder.encode_images(
        torch.stack([to_input(image, encoder.spec.preprocessing) for image in images])
    )


@torch.inference_mode()
def library_rows(spec: EncoderSpec, weights: Path, photos: Sequence[Image.Image]) -> Rows:
    embed, transform = library_network(spec, weights), library_transform(spec)
    features = embed(torch.stack([transform(photo) for photo in photos]))
    rows: Rows = nn.functional.normalize(features, dim=1).numpy()
    return rows


def error_of_gap(ours: Rows, theirs: Rows) -> float:
    """The largest error, as a share of the same photo's distance to its nearest neighbour."""
    distances = np.linalg.norm(theirs[:, None] - theirs[None], axis=2) + 9 * np.eye(len(theirs))
    return float((np.linalg.norm(ours - theirs, axis=1) / distances.min(axis=1)).max())


@pytest.mark.parametrize("name", REGISTRY)
def test_pixels_are_those_of_the_library(name: str, photos: Sequence[Image.Image]) -> None:
    p = spec_of(name).preprocessing
    transform = library_transform(spec_of(name))
    for photo in photos[:6]:  # each of another size
        ours = to_input(torch.from_numpy(np.array(photo)).permute(2, 0, 1), p).float()
        theirs = transform(photo) * torch.tensor(p.std).view(3, 1, 1) + torch.tensor(p.mean).view(3, 1, 1)
        assert (ours - 255 * theirs).abs().mean() < MEAN_LEVELS
        assert (ours.roll(1, dims=2) - 255 * theirs).abs().mean() > 4 * MEAN_LEVELS  # one pixel off is seen


@pytest.mark.parametrize("name", SPECS)
def test_embeddings_are_those_of_the_library(
    name: str, random_weights: Weights, photos: Sequence[Image.Image]
) -> None:
    spec = SPECS[name]
    weights = random_weights(spec)
    ours = our_rows(load(spec, weights), photos[:8])
    theirs = library_rows(spec, weights, photos[:8])
    assert ours.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert error_of_gap(ours, theirs) < MAX_ERROR_OF_GAP


@pytest.mark.parametrize("name", [name for name in SPECS if name.startswith("tiny-")])
def test_exported_it_embeds_the_same(
    name: str, random_weights: Weights, photos: Sequence[Image.Image], tmp_path: Path
) -> None:
    spec = SPECS[name]
    weights = random_weights(spec)
    written = our_rows(load(spec, weights), photos[:8])
    for runtime in ("onnxruntime", "openvino"):
        exported = our_rows(load(spec, weights, runtime, tmp_path), photos[:8])
        assert error_of_gap(exported, written) < MAX_ERROR_OF_GAP


def test_neighbours_are_those_of_the_library(random_weights: Weights, photos: Sequence[Image.Image]) -> None:
    spec = spec_of("compact")
    weights = random_weights(spec)
    photos = photos[:24]
    both = our_rows(load(spec, weights), photos), library_rows(spec, weights, photos)
    nearest = [np.argsort(-(rows @ rows.T), axis=1)[:, 1:11] for rows in both]
    shared = [len({*mine} & {*reference}) for mine, reference in zip(*nearest, strict=True)]
    assert np.mean(shared) >= 9.9


def test_the_measure_tells_another_preprocessing(
    random_weights: Weights, photos: Sequence[Image.Image]
) -> None:
    spec = spec_of("compact")
    weights = random_weights(spec)
    photos = photos[:8]
    ours = our_rows(load(spec, weights), photos)
    trimmed = [photo.crop((0, 0, photo.width, int(0.97 * photo.height))) for photo in photos]
    assert error_of_gap(ours, library_rows(spec, weights, trimmed)) > 4 * MAX_ERROR_OF_GAP


def test_text_embeddings_are_those_of_the_library(random_weights: Weights) -> None:
    spec = SPECS["tiny-clip-vit-b-32"]
    weights = random_weights(spec)
    texts = ["a red ankle boot", "a green teapot", "boot " * 200]
    network = open_clip.create_model(spec.architecture, pretrained=str(weights)).eval()
    with torch.inference_mode():
        theirs = network.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts), normalize=True).numpy()
    ours = load(spec, weights).encode_texts(texts)
    assert error_of_gap(ours, theirs) < MAX_ERROR_OF_GAP


def test_a_tokenizer_that_cannot_be_had_is_missed_at_the_first_text(random_weights: Weights) -> None:
    way_out = r"(?s)'tiny-siglip'.*tokenizer.*Three ways out"
    if find_spec("transformers") is None:
        way_out = r"tokenizer.*'tiny-siglip'.*pip install 'lookalike\[text\]'"
    spec = SPECS["tiny-siglip"]
    encoder = load(spec, random_weights(spec))
    for _ in range(2):
        with pytest.raises(WeightsUnavailable, match=way_out):
            encoder.encode_texts(["a red ankle boot"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", SPECS)
def test_half_precision_on_cuda_keeps_the_neighbours(
    name: str, random_weights: Weights, photos: Sequence[Image.Image]
) -> None:
    spec = SPECS[name]
    weights = str(random_weights(spec))
    on_cuda = load_encoder(EncoderSettings(name=name, weights=weights, device="cuda"))
    on_cpu = load(spec, Path(weights))
    assert on_cuda.fingerprint == on_cpu.fingerprint
    both = our_rows(on_cuda, photos), our_rows(on_cpu, photos)
    assert both[0].dtype == np.float32
    nearest = [np.argsort(-(rows @ rows.T), axis=1)[:, 1:11] for rows in both]
    shared = [len({*mine} & {*reference}) for mine, reference in zip(*nearest, strict=True)]
    assert np.mean(shared) >= 9.5

"""What the shipped weights answer on each runtime and in each precision, on drawn photos of products."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from recommender.encoders.local_encoder import LocalEncoder
from tests.gates import recall_at_1, top10_overlap

Load = Callable[..., LocalEncoder]
RUNTIMES = ("torch", "onnxruntime", "openvino")
POINT = 0.01


def least_cosine(rows: np.ndarray, others: np.ndarray) -> float:
    return float(np.einsum("bd,bd->b", rows, others).min())


def views(pixels: Tensor) -> Tensor:
    """The photos, mirrored ones, and three crops of each: a point is less than one of the photos alone."""
    side = pixels.shape[-1]
    crops = [
        resize(pixels[:, :, at : at + part, at : at + part], [side, side])
        for part, at in ((9 * side // 10, side // 20), (side * 6 // 7, 0), (side * 6 // 7, side // 7))
    ]
    return torch.cat([pixels, pixels.flip(-1), *crops])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_image_has_the_same_row_in_any_batch(runtime: str, compact: Load, pixels: Tensor) -> None:
    encoder, pixels = compact(runtime), pixels[:40]
    alone = np.concatenate([encoder.encode_images(image[None]) for image in pixels])
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-5)
    for size in (3, 32):
        batched = np.concatenate([encoder.encode_images(batch) for batch in pixels.split(size)])
        assert least_cosine(batched, alone) >= 0.99999


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_runtimes_agree(runtime: str, compact: Load, pixels: Tensor) -> None:
    encoder, reference = compact(runtime), compact("torch")
    assert encoder.fingerprint == reference.fingerprint
    assert least_cosine(encoder.encode_images(pixels), reference.encode_images(pixels)) >= 0.99999


def test_half_precision_shares_the_index_of_float32(compact: Load, pixels: Tensor) -> None:
    half, full = compact("openvino", "half"), compact("torch")
    assert half.fingerprint == full.fingerprint
    rows, reference = half.encode_images(pixels), full.encode_images(pixels)
    assert least_cosine(rows, reference) >= 0.999
    assert not np.array_equal(rows, compact("openvino").encode_images(pixels)), "it was computed in float32"
    assert top10_overlap(rows, reference) >= 0.98


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_int8_finds_what_float32_finds(
    runtime: str, compact: Load, pixels: Tensor, products: Sequence[str]
) -> None:
    seen = views(pixels)
    rows, reference = (
        encoder.encode_images(seen) for encoder in (compact(runtime, "int8"), compact("torch"))
    )
    photos = len(pixels)
    recall, expected = (recall_at_1(found[:photos], products, found) for found in (rows, reference))
    assert abs(recall - expected) <= POINT
    assert top10_overlap(rows[:photos], reference[:photos]) >= 0.85


def test_int8_has_an_index_of_its_own(compact: Load) -> None:
    int8, full = compact("openvino", "int8"), compact("openvino")
    assert int8.fingerprint != full.fingerprint
    assert int8.fingerprint.startswith("compact-")
    assert int8.fingerprint == compact("onnxruntime", "int8").fingerprint


def test_int8_rows_of_both_runtimes_share_an_index(compact: Load, pixels: Tensor) -> None:
    rows, others = (compact(runtime, "int8").encode_images(pixels) for runtime in ("openvino", "onnxruntime"))
    assert least_cosine(rows, others) >= 0.99
    assert top10_overlap(rows, others) >= 0.95


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_callers_at_a_time_get_their_own_rows(runtime: str, compact: Load, pixels: Tensor) -> None:
    encoder = compact(runtime)
    expected = encoder.encode_images(pixels)
    places = torch.arange(len(pixels)).split(5)
    with ThreadPoolExecutor(2) as callers:
        for _ in range(3):
            answers = list(callers.map(encoder.encode_images, [pixels[part] for part in places]))
            assert least_cosine(np.concatenate(answers), expected) >= 0.99999

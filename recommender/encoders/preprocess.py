"""From any image to the encoder's input: decoded, resized and cropped, as uint8 on the host."""

import math

from torch import Tensor
from torch.nn.functional import interpolate

from recommender.encoders.protocol import Preprocessing
from recommender.images.decode import decoded

_LONGEST_RATIO = 32
"""Sides further apart than this are cut before they are resized: a 1 x 100,000 px image must not grow into
gigabytes when its shorter side does.
"""

_SHRINK_FACTOR = 2.25
"""How much larger than the input an image stays that is decoded at a fraction of its size; the rest is left
to the antialiased filter. From 2 down, fewer than 98% of the ten nearest neighbours stay the same.
"""


def input_of(data: bytes, *, name: str, p: Preprocessing, max_pixels: int) -> Tensor:
    """From an image file to (3, p.input_px, p.input_px) uint8 RGB on the host; blocks as `decoded` does.

    Raises:
        ImageTooLarge: it has more than `max_pixels`.
        ImageNotDecodable: it can't be decoded.
    """
    min_side_px = math.ceil(_SHRINK_FACTOR * p.resize_px)
    with decoded(data, name=name, max_pixels=max_pixels, min_side_px=min_side_px) as image:
        return to_input(image, p)


def to_input(image: Tensor, p: Preprocessing) -> Tensor:
    """Resize and crop (3, h, w) uint8 RGB to (3, p.input_px, p.input_px) uint8 RGB.

    Sizes and offsets are those of torchvision's Resize and CenterCrop, which torchvision, open_clip
    and timm all use. Pure and thread-safe.
    """
    if p.resize == "squash":
        return _resize(image, p.resize_px, p.resize_px, p).contiguous()
    _, height, width = image.shape
    longest = _LONGEST_RATIO * min(height, width)
    image = _middle(image, min(height, longest), min(width, longest))
    _, height, width = image.shape
    shorter = min(height, width)
    image = _resize(image, p.resize_px * height // shorter, p.resize_px * width // shorter, p)
    return _middle(image, p.input_px, p.input_px).contiguous()


def _resize(image: Tensor, height: int, width: int, p: Preprocessing) -> Tensor:
    if image.shape[1:] == (height, width):
        return image
    return interpolate(image[None], size=(height, width), mode=p.interpolation, antialias=True)[0]


def _middle(image: Tensor, height: int, width: int) -> Tensor:
    top = round((image.shape[1] - height) / 2)
    left = round((image.shape[2] - width) / 2)
    return image[:, top : top + height, left : left + width]

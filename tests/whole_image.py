"""An image as it is decoded, to look at."""

from torch import Tensor

from recommender.images.decode import decoded


def decode(data: bytes, *, name: str, max_pixels: int) -> Tensor:
    """Like `decoded`; once returned, its pixels no longer count."""
    with decoded(data, name=name, max_pixels=max_pixels) as pixels:
        return pixels

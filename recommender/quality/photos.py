"""The catalog's images, fetched once more, as an encoder takes them."""

from dataclasses import dataclass

from torch import Tensor

from recommender.encoders.preprocess import input_of
from recommender.encoders.protocol import Preprocessing
from recommender.errors import ImageError, TransientError
from recommender.images.source import ImageSource


@dataclass(frozen=True, slots=True)
class Photos:
    """Where images come from, and the most pixels that one may have. Thread-safe; blocks."""

    source: ImageSource
    max_pixels: int

    def pixels(self, uri: str, etag: str | None, p: Preprocessing) -> Tensor | None:
        """(3, p.input_px, p.input_px) uint8 RGB; None if it can't be had, or has another tag by now."""
        try:
            fetched = self.source.fetch(uri)
            if fetched is None or (etag is not None and fetched.etag != etag):
                return None
            return input_of(fetched.data, name=uri, p=p, max_pixels=self.max_pixels)
        except (ImageError, TransientError):
            return None

"""Whether the new index has what the old one has, product by product.

`ProductIndex` gives reads that see every write that was acknowledged before. So a product is through for good
once the new index is found to hold what the old one held before; what is written to the old one later is
written to the new one by the same message. docs/model-swap.md has the whole argument.
"""

from collections.abc import Sequence

from recommender.index.protocol import ProductIndex, StoredProduct
from recommender.merge import join


def behind(old: ProductIndex, new: ProductIndex, ids: Sequence[str]) -> list[str]:
    """The ids of the products that the new index is behind the old one in.

    Raises:
        IndexUnavailable: one of them does not answer.
    """
    before = old.read(ids)  # first: what reaches both in between is no reason to doubt the new one
    after = new.read(ids)
    return [product for product, stored in before.items() if not contains(after.get(product), stored)]


def contains(new: StoredProduct | None, old: StoredProduct) -> bool:
    """Whether `new` has every event that `old` has seen, and each of its document's images was looked at."""
    if new is None or join(new.state, old.state) != new.state:
        return False
    document = new.state.document
    known = {image.uri for image in new.images}
    return document is None or all(image.uri in known for image in document.images)

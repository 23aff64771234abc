"""Products grouped by their looks: k-means on unit vectors, each group named by its medoid. Pure: no I/O.

A product counts by the mean of its rows. The same products in the same order give the same groups, on any
number of cores. It holds the rows, the mean rows twice, and one number or two a product.
"""

import warnings
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

from recommender.errors import InvalidQuery
from recommender.index.protocol import Vectors
from recommender.looks import Looks, Places

MAX_K = 1000
CANDIDATES = (*range(2, 13), 16, 20, 24, 32, 40, 48, 64)
"""Numbers of groups to choose from."""
JUDGED = 2000
"""Products, at most, that a number of groups is judged by: silhouettes take the square of it."""
FITTED = 20_000
"""Products, at most, that the centres are fitted to; the others go to the nearest centre."""
T = TypeVar("T", bound=np.generic)
_SEED = 0
_STARTS = 4


@dataclass(frozen=True, slots=True)
class Cluster:
    """One group, by places: its medoid first, then the others as they are like it.

    The medoid is the product with the greatest mean cosine to all of the group. `likeness[i]` is the cosine
    of the i-th to it.
    """

    products: Places
    likeness: NDArray[np.float32]

    @property
    def medoid(self) -> int:
        """The most central product."""
        return int(self.products[0])


@dataclass(frozen=True, slots=True)
class Clusters:
    """The groups, largest first; fewer than were asked for where fewer looks differ.

    `silhouette` in [-1, 1] says how well they are apart, by `JUDGED` products at most (Rousseeuw, 1987);
    None where there is but one group, or one product each.
    """

    groups: tuple[Cluster, ...]
    silhouette: float | None


def group_by_looks(looks: Looks, k: int | None = None) -> Clusters:
    """Group products by looks.

    Args:
        looks: the products, one at least.
        k: groups, at most; None takes that of `CANDIDATES` with the greatest mean silhouette, of equals the
            least.

    Raises:
        InvalidQuery: k is not 1 to `MAX_K`, or there are fewer products.
    """
    most = min(MAX_K, len(looks))
    if k is not None and not 1 <= k <= most:
        raise InvalidQuery("k", f"must be 1 to {most}, of {len(looks)} products")
    centres = looks.centres
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Sums would be added in another order by other threads.
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer looks than groups: there are fewer groups
        judged = _sample(centres, JUDGED)
        labels = _labels(centres, k or _best_k(judged))
    groups = [_cluster(np.flatnonzero(labels == label), centres) for label in np.unique(labels)]
    groups.sort(key=lambda group: (-len(group.products), group.medoid))
    return Clusters(tuple(groups), _silhouette(judged, _sample(labels, JUDGED)))


def _best_k(judged: Vectors) -> int:
    scores = {k: _silhouette(judged, _labels(judged, k)) for k in CANDIDATES if k < len(judged)}
    known = {k: score for k, score in scores.items() if score is not None}
    return max(known, key=lambda k: known[k], default=1)


def _labels(centres: Vectors, k: int) -> NDArray[np.int32]:
    """(P,): the group of each product."""
    fitted = KMeans(k, n_init=_STARTS, random_state=_SEED).fit(_sample(centres, FITTED))
    labels: NDArray[np.int32] = fitted.predict(centres)
    return labels


def _silhouette(centres: Vectors, labels: NDArray[np.int32]) -> float | None:
    if not 1 < len(np.unique(labels)) < len(labels):
        return None
    return round(float(silhouette_score(centres, labels, metric="cosine")), 4)


def _sample(values: NDArray[T], size: int) -> NDArray[T]:
    """The same places of any array of one length, in ascending order."""
    if len(values) <= size:
        return values
    places = np.random.default_rng(_SEED).choice(len(values), size, replace=False)
    return values[np.sort(places)]


def _cluster(places: Places, centres: Vectors) -> Cluster:
    members = centres[places]
    # The mean cosine to all is the product with their mean: no n x n.
    central = (members @ members.mean(axis=0)).round(6)
    likeness = (members @ members[np.argmax(central)]).round(6).clip(-1, 1)
    likeness[np.argmax(central)] = np.inf  # first, even among copies
    order = np.argsort(-likeness, kind="stable")
    likeness[np.argmax(central)] = 1.0
    return Cluster(places[order], likeness[order])

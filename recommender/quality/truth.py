"""What is right: from the catalog itself, without anybody's labels, or from judged pairs. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.looks import Looks, Places
from recommender.quality.rankings import Floats


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of places, one after the other: list i is `members[starts[i] : starts[i + 1]]`."""

    members: Places
    starts: Places

    @classmethod
    def of(cls, lists: Sequence[Places]) -> Self:
        """One for each, in this order."""
        starts = np.cumsum([0, *(len(members) for members in lists)], dtype=np.int64)
        return cls(np.concatenate([*lists, np.empty(0, np.int64)]).astype(np.int64), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, place: int) -> Places:
        return self.members[self.starts[place] : self.starts[place + 1]]


@dataclass(frozen=True, slots=True)
class Truth:
    """Q questions about products of a `Looks`, and what is right for each.

    `subjects` is (Q,): the product that each is about. It asks by the rows `asked[q]`; the rows `hidden[q]`
    answer nothing. `right[q]` are the right products, none of which is hidden as a whole, and `gains[q]` says
    beside them, in one array for all, what each is worth.
    """

    subjects: Places
    asked: Lists
    hidden: Lists
    right: Lists
    gains: Floats

    def __len__(self) -> int:
        return len(self.subjects)

    def some(self, most: int, seed: int) -> "Truth":
        """At most so many of the questions, drawn by chance, in their order."""
        if len(self) <= most:
            return self
        places = sorted(Random(seed).sample(range(len(self)), most))  # noqa: S311  # chance without secrets
        worth = [np.array(list(self.worth(q).values())) for q in places]
        return Truth(
            self.subjects[places],
            Lists.of([self.asked[q] for q in places]),
            Lists.of([self.hidden[q] for q in places]),
            Lists.of([self.right[q] for q in places]),
            np.concatenate(worth),
        )

    def worth(self, question: int) -> dict[int, float]:
        """The gain of each right product."""
        gains = self.gains[self.right.starts[question] : self.right.starts[question + 1]]
        return dict(zip(self.right[question].tolist(), gains.tolist(), strict=True))


def other_images(looks: Looks, families: Places, photos: Places, rows: Iterable[int] | None = None) -> Truth:
    """Each image asks for the other images of its product, and for those of its variant family.

    The same photo under another product or number answers nothing: any encoder finds a copy. Rows for which
    nothing is right ask nothing.

    Args:
        looks: the products.
        families: (P,) the family of each, negative for none.
        photos: (R,) a number for each row; rows of one photo have the same.
        rows: those that ask; all, if None.
    """
    copies, kin = _members(photos), _members(families)
    of_rows = looks.products_of_rows
    subjects, asked, right = [], [], []
    for row in range(len(looks.vectors)) if rows is None else rows:
        product = int(of_rows[row])
        relatives = kin[families[product]] if families[product] >= 0 else np.array([product])
        shown = [one for one in relatives.tolist() if (_photos(looks, photos, one) != photos[row]).any()]
        if shown:
            subjects.append(product)
            asked.append(np.array([row]))
            right.append(np.array(shown))
    hidden = [copies[photos[int(row[0])]] for row in asked]
    return _truth(subjects, asked, hidden, [dict.fromkeys(found.tolist(), 1.0) for found in right])


def about_products(
    looks: Looks,
    right: Mapping[int, Mapping[int, float]],
    *,
    photos: Places | None = None,
) -> Truth:
    """Products ask by all of their images for those that `right` names, with gains; never for themselves.

    With `photos`, (R,) as above, copies of what is asked by answer nothing either.
    """
    copies = {} if photos is None else _members(photos)
    asked, hidden, wanted = [], [], []
    for product, gains in right.items():
        own = np.arange(looks.starts[product], looks.starts[product + 1])
        same = [] if photos is None else [copies[photo] for photo in np.unique(photos[own])]
        out = np.unique(np.concatenate([own, *same]))
        asked.append(own)
        hidden.append(out)
        lost = _wholly(looks, out)
        wanted.append({other: gain for other, gain in gains.items() if other not in lost})
    return _truth(list(right), asked, hidden, wanted)


def same_category(categories: Places, subjects: Iterable[int]) -> dict[int, dict[int, float]]:
    """For each subject all products of its category, (P,), as `about_products` takes them."""
    alike = _members(categories)
    return {one: dict.fromkeys(alike[categories[one]].tolist(), 1.0) for one in subjects}


def _truth(
    subjects: Sequence[int],
    asked: Sequence[Places],
    hidden: Sequence[Places],
    right: Sequence[Mapping[int, float]],
) -> Truth:
    gains = np.array([gain for wanted in right for gain in wanted.values()], np.float64)
    places = [np.array(list(wanted), np.int64) for wanted in right]
    return Truth(np.array(subjects, np.int64), Lists.of(asked), Lists.of(hidden), Lists.of(places), gains)


def _members(numbers: NDArray[np.int64]) -> dict[int, Places]:
    """The places of each number, ascending."""
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    return {int(numbers[places[0]]): places for places in np.split(order, cuts) if len(places)}


def _photos(looks: Looks, photos: Places, product: int) -> Places:
    return photos[looks.starts[product] : looks.starts[product + 1]]


def _wholly(looks: Looks, rows: Places) -> set[int]:
    """The products of which these are all rows."""
    counts: dict[int, int] = defaultdict(int)
    for product in looks.products_of_rows[rows].tolist():
        counts[product] += 1
    return {one for one, count in counts.items() if count == looks.starts[one + 1] - looks.starts[one]}

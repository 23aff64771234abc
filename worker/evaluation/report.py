"""What an evaluation says: JSON, a table, and pictures of the biggest changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.looks import Looks, Places
from recommender.quality.evaluation import NDCG, Scores, biggest_changes
from recommender.quality.intervals import LEVEL, Interval
from recommender.quality.rankings import METRICS, Judged, measure
from recommender.quality.truth import Truth
from worker.contact_sheet import ASKED, RIGHT, WRONG, Row, Tile
from worker.evaluation.subjects import Subjects

SHOWN = 6  # answers of one question


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer: its name, the rows that it shows, and its answers to the questions."""

    name: str
    looks: Looks
    judged: Judged


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was evaluated, by which truth, and what came out; `after` where two ways are compared."""

    subjects: Subjects
    truth: Truth
    by: str
    before: Way
    after: Way | None
    scores: Sequence[Scores]
    notes: Sequence[str]

    @property
    def changed(self) -> Places:
        """The questions whose answers changed for better or worse, most first."""
        if self.after is None:
            return np.empty(0, np.int64)
        return biggest_changes(self.before.judged, self.after.judged)

    def as_json(self, changes: int) -> dict[str, Any]:
        """As the command prints it, with so many of the changes."""
        return {
            "before": self.before.name,
            "after": self.after.name if self.after else None,
            "truth": self.by,
            "products": len(self.subjects.ids),
            "images": len(self.subjects.images),
            "questions": len(self.truth),
            "interval": LEVEL,
            "notes": list(self.notes),
            "scores": [scores.as_json() for scores in self.scores],
            "changed": len(self.changed),
            "changes": [self._change(int(question)) for question in self.changed[:changes]],
        }

    def summary(self) -> str:
        """One line about what was asked."""
        return (
            f"{len(self.truth)} questions about {len(self.subjects.ids)} products with "
            f"{len(self.subjects.images)} images; right is {self.by}; in brackets the {LEVEL:.0%} intervals"
        )

    def table(self) -> list[tuple[str, ...]]:
        """A row for all, then for each category."""
        return [
            (
                scores.name,
                str(scores.before[METRICS[0]].questions),
                *(_cell(scores, name) for name in METRICS),
            )
            for scores in self.scores
        ]

    def pictures(self, subject: tuple[int, Way]) -> Row:
        """How a question was answered one way: green frames are right answers, red ones wrong."""
        question, way = subject
        asked = int(self.truth.asked[question][0])
        worth = self.truth.worth(question)
        product = int(self.truth.subjects[question])
        tiles = []
        for place in way.judged.answers[question][:SHOWN].tolist():
            if place >= 0:
                row = _likest(way.looks, place, asked, self.truth.hidden[question])
                picture = self.subjects.picture(int(self.subjects.images[row]))
                frame = RIGHT if place in worth else WRONG
                tiles.append(Tile(picture, self.subjects.ids[place], self.subjects.titles[place], frame))
        picture = self.subjects.picture(int(self.subjects.images[asked]))
        asked_tile = Tile(picture, self.subjects.ids[product], "", ASKED)
        ndcg = measure(way.judged)[question, NDCG]
        return Row(f"{way.name}: nDCG {ndcg:.2f}", asked_tile, tiles)

    def _change(self, question: int) -> dict[str, Any]:
        assert self.after is not None, "there is a change"
        ways = {"before": self.before, "after": self.after}
        worth = self.truth.worth(question)
        return {
            "id": self.subjects.ids[int(self.truth.subjects[question])],
            "right": [self.subjects.ids[place] for place in worth],
            **{
                key: {
                    **dict(zip(METRICS, measure(way.judged)[question].round(4).tolist(), strict=True)),
                    "answers": [
                        self.subjects.ids[p] for p in way.judged.answers[question].tolist() if p >= 0
                    ],
                }
                for key, way in ways.items()
            },
        }


def _likest(looks: Looks, product: int, asked: int, hidden: Places) -> int:
    """The row of a product that answered."""
    rows = np.setdiff1d(np.arange(looks.starts[product], looks.starts[product + 1]), hidden)
    return int(rows[np.argmax(looks.vectors[rows] @ looks.vectors[asked])])


def _cell(scores: Scores, name: str) -> str:
    if scores.after is None or scores.change is None:
        return f"{scores.before[name].mean:.3f} {_bounds(scores.before[name])}"
    change = scores.change[name]
    return (
        f"{scores.before[name].mean:.3f} {_bounds(scores.before[name])}\n"
        f"{scores.after[name].mean:.3f} {_bounds(scores.after[name])}\n"
        f"{change.mean:+.3f} {_bounds(change)}"
    )


def _bounds(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f"[{interval.low:.3f}, {interval.high:.3f}]"

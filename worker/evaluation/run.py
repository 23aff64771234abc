"""An evaluation from end to end: subjects, truth, one way to answer or two."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.settings import EncoderSettings, Settings, Storage
from recommender.api.filters import FlatFilters
from recommender.catalog import Filter
from recommender.encoders.load import load_encoder
from recommender.encoders.protocol import Encoder
from recommender.errors import InvalidQuery
from recommender.images.source import ImageSource
from recommender.index.protocol import ProductIndex, Vectors
from recommender.index.strategy import Strategy
from recommender.looks import Looks, Places
from recommender.quality.by_index import rank_by_index, searching
from recommender.quality.evaluation import scores
from recommender.quality.exhaustive import rank
from recommender.quality.photos import Photos
from recommender.quality.rankings import Judged, within_depth
from recommender.quality.truth import Truth, about_products, other_images
from worker.cli.query import open_api
from worker.evaluation.embedding import embed
from worker.evaluation.judged_pairs import read_judged
from worker.evaluation.others import on_server, rows_in, stored_as, strategy_of
from worker.evaluation.report import Evaluation, Way
from worker.evaluation.subjects import Subjects, of_catalog, of_folder
from worker.progress import progress

Load = Callable[[EncoderSettings], Encoder]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; `filters` are parameters of the query API."""

    filters: Mapping[str, Any]
    limit: int | None
    questions: int
    seed: int
    judged: Path | None = None
    photos: Path | None = None
    encoder: str | None = None
    weights: str | None = None
    storage: Storage | None = None
    search: str | None = None
    collection: str | None = None


@contextmanager
def evaluated(order: Order, settings: Settings, load: Load = load_encoder) -> Iterator[Evaluation]:
    """Evaluate; pictures can be had while the context is open. Blocks, and shows how far it is.

    Raises:
        QueryError: the order is wrong, or nothing can be asked of what it names.
        StartupError: an encoder can't be loaded, or the index can't be opened.
        TransientError: the API could not answer, again and again.
    """
    notes: list[str] = []
    with ExitStack() as opened:
        subjects = _subjects(order, settings, opened)
        if order.photos is not None:
            encoder = load(settings.encoder)
            vectors, subjects = _embedded(subjects, encoder, settings, notes)
            subjects = replace(subjects, encoder=encoder.fingerprint, looks=subjects.with_rows(vectors))
        subjects, other = _other_rows(order, subjects, settings, load, notes)
        truth, by = _truth(order, subjects, notes)
        before = Way(subjects.encoder, subjects.looks, _ranked(subjects.looks, truth))
        if other is not None:
            after: Way | None = Way(*other, _ranked(other[1], truth))
        else:
            before, after = _by_index(order, settings, subjects, truth, before)
        found = scores(
            before.judged,
            after.judged if after else None,
            categories=[subjects.categories[place] for place in truth.subjects],
            clusters=subjects.clusters[truth.subjects],
            seed=order.seed,
        )
        yield Evaluation(subjects, truth, by, before, after, found, notes)


def _other_rows(
    order: Order, subjects: Subjects, settings: Settings, load: Load, notes: list[str]
) -> tuple[Subjects, tuple[str, Looks] | None]:
    """The subjects that both encoders have rows of; the name of the other one, and its rows."""
    if order.encoder is not None:
        encoder = load(_settings_of(order.encoder, order.weights, settings))
        vectors, subjects = _embedded(subjects, encoder, settings, notes)
        return subjects, (encoder.fingerprint, subjects.with_rows(vectors))
    if order.collection is not None:
        with on_server(settings, order.collection) as index:
            vectors, rows = rows_in(index, subjects)
        notes += _lost(subjects, rows, f"not in {order.collection}")
        subjects = subjects.kept(rows)
        return subjects, (order.collection, subjects.with_rows(vectors))
    return subjects, None


def _by_index(
    order: Order, settings: Settings, subjects: Subjects, truth: Truth, exactly: Way
) -> tuple[Way, Way | None]:
    """The exact answers, and those of an index that stores or searches another way, if one was ordered."""
    if order.storage is not None:
        with stored_as(order.storage, subjects, settings) as index:
            found = _searched(index, Filter(), None, subjects, truth)
        name: str = order.storage
    elif order.search is not None:
        where, strategy = FlatFilters(**order.filters).where(), strategy_of(order.search)
        with on_server(settings, subjects.encoder) as index:
            found = _searched(index, where, strategy, subjects, truth)
        name = order.search
    else:
        return exactly, None
    exactly = Way(f"{exactly.name}, exactly", exactly.looks, within_depth(exactly.judged))
    return exactly, Way(name, subjects.looks, found)


def _searched(
    index: ProductIndex, where: Filter, strategy: Strategy | None, subjects: Subjects, truth: Truth
) -> Judged:
    with progress("searching", len(truth)) as advance:
        search = searching(index, where, strategy)
        return rank_by_index(search, subjects.ids, subjects.looks, truth, advance)


def _subjects(order: Order, settings: Settings, opened: ExitStack) -> Subjects:
    """Products with the rows of the serving index, or photos without rows."""
    if order.photos is not None:
        return of_folder(order.photos, settings.images.max_pixels).sampled(order.limit, order.seed)
    again: Photos | None = None
    if order.encoder is not None:
        source = ImageSource(settings.s3, settings.images)
        opened.callback(source.close)
        again = Photos(source, settings.images.max_pixels)
    return of_catalog(opened.enter_context(open_api()), order.filters, order.limit, again)


def _settings_of(name: str, weights: str | None, settings: Settings) -> EncoderSettings:
    """Those of another encoder, on this machine."""
    floating = "auto" if settings.encoder.precision == "int8" else settings.encoder.precision
    changed = {"name": name, "weights": weights, "precision": floating}
    return settings.encoder.model_copy(update=changed)


def _embedded(
    subjects: Subjects, encoder: Encoder, settings: Settings, notes: list[str]
) -> tuple[Vectors, Subjects]:
    """The rows of an encoder, and those of the subjects that it has rows of."""
    vectors, rows = embed(subjects, encoder, settings)
    notes += _lost(subjects, rows, "gone or have changed")
    return vectors, subjects.kept(rows)


def _lost(subjects: Subjects, rows: Places, why: str) -> list[str]:
    count = len(subjects.images) - len(rows)
    return [f"{count} of {len(subjects.images)} images are {why}, and are left out"] if count else []


def _truth(order: Order, subjects: Subjects, notes: list[str]) -> tuple[Truth, str]:
    """The questions, and what is right in words."""
    if order.judged is not None:
        pairs = read_judged(order.judged, subjects.ids)
        if pairs.unknown:
            notes.append(f"{pairs.unknown} judged pairs are about products that are not evaluated")
        truth, by = about_products(subjects.looks, pairs.right), f"what {order.judged.name} says"
    elif order.photos is not None:
        truth = other_images(subjects.looks, subjects.families, subjects.photos)
        by = "any other photo of its label"
    else:
        truth = other_images(subjects.looks, subjects.families, subjects.photos)
        by = "another image of the product, or one of a variant"
    if not len(truth):
        raise InvalidQuery(
            "truth",
            f"nothing is right: of {len(subjects.ids)} products none has a second image, or a variant with "
            "another image; judge pairs of products (--judged FILE)",
        )
    return truth.some(order.questions, order.seed), by


def _ranked(looks: Looks, truth: Truth) -> Judged:
    with progress("ranking", len(truth)) as advance:
        return rank(looks, truth, advance=advance)

"""The demo from end to end: draw, store, publish, wait, ask, measure, leave a picture."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from config.settings import PREFIX, ConfigurationError, load_settings
from worker.contact_sheet import contact_sheet
from worker.demo.catalog import DrawnProduct, make_catalog
from worker.demo.object_store import ACCESS_KEY, BUCKET, REGION, ObjectStore, running_object_store
from worker.demo.quality import K, Precision, Truth, chance, histogram_answers, precision_at_k
from worker.demo.questions import Asked, ask_all, rows_of
from worker.demo.shop import Shop, open_shop
from worker.demo.studio import Histogram, shoot
from worker.progress import Advance, progress
from worker.up import running_stack

CATALOG = "demo"
SEED = 1
MAX_QUESTIONS = 200  # that quality is measured by
STALLED_S = 60
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Demo:
    """What came out, while the stack is still up."""

    url: str
    products: int
    images: int
    indexed: int
    failures: Sequence[str]
    seconds: float
    encoder: str
    device: str
    questions: int
    precision: Precision
    chance: Precision
    histogram: Precision
    asked: Sequence[Asked]

    def problems(self) -> list[str]:
        """Why the demo failed; empty if it did not."""
        found = [f"failed: {failure}" for failure in self.failures]
        if self.indexed != self.products:
            found.append(f"lost: {self.products} products were published, {self.indexed} are searchable")
        for name, other in (("chance", self.chance), ("colour histograms", self.histogram)):
            for what in ("category", "category_colour"):
                ours, theirs = getattr(self.precision, what), getattr(other, what)
                if ours <= theirs:
                    found.append(
                        f"quality: precision@10 by {what} is {ours:.3f}, "
                        f"no better than the {theirs:.3f} of {name}"
                    )
        found += [
            f"filter: {asked.question} was answered from elsewhere" for asked in self.asked if asked.astray
        ]
        return found


@contextmanager
def running_demo(products: int, sheet: Path) -> Iterator[Demo]:
    """Run the demo on ports and folders of its own; all of it serves until the context is left.

    Leaves the contact sheet at `sheet`, and in the end the stack's log beside it.

    Raises:
        ConfigurationError: a Redis is configured, which is not ours to fill, or moto is missing.
        TransientError: the stack stopped answering.
    """
    if load_settings().redis.url is not None:
        raise ConfigurationError(f"the demo brings a Redis of its own: unset {PREFIX}REDIS__URL")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    catalog = make_catalog(products, SEED)
    with ExitStack() as opened:
        data_dir = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="lookalike-demo-")))
        store = opened.enter_context(running_object_store())
        with progress("drawing", len(catalog)) as advance:
            histograms = shoot(catalog, store, advance)
        opened.callback(_keep_log, data_dir, sheet.parent)
        stack = opened.enter_context(running_stack(_environment(store, data_dir), data_dir))
        shop = opened.enter_context(open_shop(stack, CATALOG))
        yield _run(shop, stack.api_url, catalog, histograms, sheet)


def _run(
    shop: Shop,
    url: str,
    catalog: Sequence[DrawnProduct],
    histograms: Mapping[str, Histogram],
    sheet: Path,
) -> Demo:
    indexed, seconds = _publish(shop, catalog)
    truths = {product.id: Truth(product.category, product.colour) for product in catalog}
    ids = Random(SEED).sample(list(truths), min(MAX_QUESTIONS, len(truths)))  # noqa: S311  # the same ones every time
    with progress("asking", len(ids)) as advance:
        answers = _answers(shop, ids, advance)
    precision = precision_at_k(answers, truths)
    asked = ask_all(shop, catalog, SEED)
    encoder, device = shop.encoder()
    caption = f"{encoder} · precision@{K} by category {precision.category:.2f} · green: right, red: wrong"
    contact_sheet(rows_of(shop, asked), "What looks like this?", caption).save(sheet)
    return Demo(
        url=url,
        products=len(catalog),
        images=sum(len(product.views) for product in catalog),
        indexed=indexed,
        failures=[f"{letter.reason} {letter.message}" for letter in shop.dead_letters()],
        seconds=seconds,
        encoder=encoder,
        device=device,
        questions=len(ids),
        precision=precision,
        chance=chance(ids, truths),
        histogram=precision_at_k(histogram_answers(ids, histograms), truths),
        asked=asked,
    )


def _publish(shop: Shop, catalog: Sequence[DrawnProduct]) -> tuple[int, float]:
    """Publish everything and wait until it is searchable, has failed, or nothing has moved for long.

    Returns how many products are searchable, and the seconds it took.
    """
    started = moved = time.monotonic()
    version = time.time_ns() // 1_000_000
    shop.publish([product.document(BUCKET, version) for product in catalog])
    indexed = 0
    with progress("indexing", len(catalog)) as advance:
        while time.monotonic() - moved < STALLED_S:
            found = shop.searchable()
            if found != indexed:
                advance(found - indexed)
                indexed, moved = found, time.monotonic()
            if indexed + len(shop.dead_letters()) >= len(catalog):
                break
            time.sleep(_POLL_S)
    return indexed, moved - started


def _answers(shop: Shop, ids: Sequence[str], advance: Advance) -> dict[str, list[str]]:
    answers = {}
    for identity in ids:
        answers[identity] = [item.id for item in shop.similar_to_product(identity, limit=K)]
        advance(1)
    return answers


def _environment(store: ObjectStore, data_dir: Path) -> dict[str, str]:
    """What the stack is told; the encoder is as configured, all else is the demo's own."""
    ours = {
        "CATALOG": CATALOG,
        "INDEX__URL": f"edge:{data_dir / 'index'}",
        "INDEX__ATTRIBUTES": json.dumps(["colour", "pattern"]),
        "S3__ENDPOINT_URL": store.endpoint_url,
        "S3__REGION": REGION,
        "S3__BUCKETS": json.dumps([BUCKET]),
        "API__HOST": "127.0.0.1",
        "API__PORT": "0",
        "API__KEYS": "[]",
    }
    aws = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": ACCESS_KEY, "NO_PROXY": "127.0.0.1"}
    return {f"{PREFIX}{name}": value for name, value in ours.items()} | aws


def _keep_log(data_dir: Path, folder: Path) -> None:
    log = data_dir / "up.log"
    if log.exists():
        shutil.copy(log, folder / "up.log")

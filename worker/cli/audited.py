"""What `lookalike audit` works with, and how it tells of what it found."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from urllib.parse import quote

from config.settings import load_settings
from recommender.errors import QueryError, TransientError
from recommender.images.source import ImageSource
from worker.audit.page import Pictures
from worker.audit.repair import Repair
from worker.audit.report import Report
from worker.audit.run import Means
from worker.cli.broker import celery_app, load_settings_with_broker
from worker.cli.gathering import ask_patiently, gather
from worker.cli.letter_table import printable
from worker.cli.output import print_lines, print_table
from worker.cli.query import Api
from worker.progress import Advance, progress, say

THUMBNAIL_PX = 160
_TRIES = 2
"""Pictures of one product that are asked for, at most, until one can be shown."""


@contextmanager
def open_means(api: Api, *, repairs: bool) -> Iterator[Means]:
    """What an audit works with; a broker only where it repairs.

    Raises:
        ConfigurationError: it repairs, and there is no broker.
    """
    with ExitStack() as stack:
        repair = None
        if repairs:
            from worker.broker import open_redis  # noqa: PLC0415

            settings = load_settings_with_broker()
            client = stack.enter_context(open_redis(settings.redis))
            repair = Repair(celery_app(), client, settings, say)
        settings = load_settings()
        source = ImageSource(settings.s3, settings.images)
        stack.callback(source.close)
        yield Means(
            settings=settings,
            ask=lambda path, parameters: ask_patiently(api, path, parameters),
            gather=lambda: gather(api, {}),
            source=source,
            progress=_progress,
            repair=repair,
        )


def _progress(label: str, total: int) -> AbstractContextManager[Advance]:
    return progress(label, max(total, 1))


class Catalog:
    """What the index says of the products of a report, each asked for once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, Mapping[str, Any] | None] = {}

    def describe(self, product: str) -> Mapping[str, Any] | None:
        """One live product; None where there is none of this id.

        Raises:
            TransientError: the API could not answer.
        """
        if product not in self._known:
            path = f"/v1/products/{quote(product, safe='')}"
            try:
                self._known[product] = ask_patiently(self._api, path, {})
            except QueryError:
                self._known[product] = None
        return self._known[product]

    def pictures(self, report: Report, most: int) -> Pictures:
        """Thumbnails of the first examples of each finding, where there are any."""
        wanted = [
            (found["kind"], number, example)
            for found in report["findings"]
            for number, example in enumerate(found["examples"][:most])
        ]
        pictures: dict[tuple[str, int], bytes] = {}
        with _progress("drawing", len(wanted)) as advance:
            for kind, number, example in wanted:
                picture = self._picture(example)
                if picture is not None:
                    pictures[kind, number] = picture
                advance(1)
        return pictures

    def _picture(self, example: Mapping[str, Any]) -> bytes | None:
        """The picture that the example is about, else another one of its product."""
        product = self.describe(example["id"]) if example["id"] else None
        if product is None:
            return None
        uris = [image if isinstance(image, str) else image["uri"] for image in product["images"]]
        numbers = sorted(range(len(uris)), key=lambda number: uris[number] != example["image"])
        for number in numbers[:_TRIES]:
            try:
                return self._api.picture(example["id"], number, THUMBNAIL_PX)
            except (QueryError, TransientError):
                continue
        return None


def print_report(report: Report) -> None:
    """A table of what was found, and what to do about each."""
    found = [one for one in report["findings"] if one["count"]]
    rows = [(one["count"], one["title"], _for_example(one), one["what_to_do"]) for one in found]
    if rows:
        print_table(("number", "finding", "for example", "what to do"), rows)
    else:
        print_lines("nothing was found")
    compared = report["compared"]
    feed = compared["feed"]
    counts = ("products", "pictures", "tombstones")
    print_lines(
        ", ".join(f"{compared[name]} {name}" for name in counts)
        + (f", {feed['records']} records of {feed['uri']}" if feed else ""),
        *(f"not looked at: {left}" for left in report["not_looked_at"]),
    )
    if report["repair"] is not None:
        published = report["repair"]["published"]
        print_lines(
            *(f"published {one['event']} for {one['products']} products" for one in published),
            *(["published nothing"] if not published else []),
            *(f"left: {left}" for left in report["repair"]["left"]),
        )


def _for_example(found: Mapping[str, Any]) -> str:
    return "\n".join(printable(example["id"] or example["detail"]) for example in found["examples"][:3])

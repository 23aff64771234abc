"""`lookalike bench`: what bounds this machine, with the images and settings at hand."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from config.settings import Settings
    from recommender.images.source import ImageSource
    from worker.bench.run import Uris

SUBJECTS = {"fetch": "S3, or wherever images come from", "decode": "decode and resize"}


def bench(
    images: Annotated[Path | None, typer.Option(help="Folder of images to measure with.")] = None,
    feed: Annotated[
        Path | None, typer.Option(help="JSON Lines file of products, whose images to use.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="That each stage is measured for.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Measure this machine with your images: every stage alone, all together, and what bounds it.

    Without --images and --feed: the first images of LOOKALIKE_S3__BUCKETS. The index is a new one, dropped in
    the end; Celery and Redis are not in it.
    """
    from config.settings import ConfigurationError, load_settings  # noqa: PLC0415
    from worker.bench.run import measure  # noqa: PLC0415

    if images is not None and feed is not None:
        raise ConfigurationError("--images and --feed are two ways to say the same: give one")
    settings = load_settings()
    if images is not None:
        local = settings.images.model_copy(update={"local_root": images.resolve()})
        settings = settings.model_copy(update={"images": local})
    measured = measure(settings, _uris_of(images, feed), seconds, _say)
    verdict = measured.verdict
    if as_json:
        print_json(asdict(measured))
        return
    rows = [
        (SUBJECTS.get(stage.name, stage.name), f"{stage.images_per_s:,.0f}", stage.how)
        for stage in measured.stages
    ]
    print_table(("stage, alone", "images/s", "how"), rows)
    print_lines(
        f"all together: {measured.whole:,.0f} images/s; the stages allow {verdict.limit:,.0f}",
        f"bound by: {SUBJECTS.get(verdict.bound_by, verdict.bound_by)}",
        verdict.advice,
    )


def _uris_of(images: Path | None, feed: Path | None) -> "Uris":
    from worker.bench import sample  # noqa: PLC0415

    def uris(settings: "Settings", source: "ImageSource") -> list[str]:
        if images is not None:
            return sample.in_folder(images)
        return sample.in_buckets(settings, source) if feed is None else sample.in_feed(feed)

    return uris


def _say(text: str) -> None:
    sys.stderr.write(f"{text} ...\n")

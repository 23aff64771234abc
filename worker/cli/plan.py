"""`lookalike plan`: hours, memory and disk of a catalog, and the recall of each storage."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from config.settings import Storage
    from worker.planning.estimate import Kept, Plan
    from worker.planning.losses import Loss

_MOST_IMAGES = 16
_GB = 1e9


def plan(  # noqa: PLR0917  # typer reads the command line from it
    products: Annotated[int, typer.Option(min=1, max=10**9, help="Products of the catalog.")],
    images: Annotated[int, typer.Option(min=1, max=16 * 10**9, help="Images of all of them together.")],
    images_from: Annotated[
        Path | None, typer.Option(help="Folder of images to measure with; else the index's own.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Products of the index to measure recall with.")
    ] = 2000,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="That each stage is measured for.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Say what a catalog takes: hours on this machine with this encoder, memory, disk, recall by storage.

    Rates and recall are measured here and now; memory and disk are reckoned from measured shards.
    """
    from config.settings import ConfigurationError, load_settings  # noqa: PLC0415
    from worker.planning.estimate import estimate  # noqa: PLC0415

    if not products <= images <= _MOST_IMAGES * products:
        raise ConfigurationError(
            f"--images {images} is the number of images in all: {products} products have {products} to "
            f"{_MOST_IMAGES * products}"
        )
    settings = load_settings()
    found = estimate(
        settings,
        products=products,
        images_in_all=images,
        sample=sample,
        folder=images_from,
        seconds=seconds,
        say=_say,
    )
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found, settings.index.storage)


def _as_json(found: "Plan") -> dict[str, Any]:
    kept = []
    for each in found.kept:
        memory = {**asdict(each.memory), "embedded": each.memory.embedded, "server": each.memory.server}
        disk = {**asdict(each.disk), "total": each.disk.total}
        kept.append({"storage": each.storage, "memory_bytes": memory, "disk_bytes": disk})
    return {
        "catalog": {**asdict(found.catalog), "payload_how": found.payload_how},
        "hours": found.rates.hours(found.catalog.images),
        "rates": asdict(found.rates),
        "storages": kept,
        "recall": {"how": found.losses_how, "measured": [asdict(loss) for loss in found.losses]},
    }


def _print(found: "Plan", configured: "Storage") -> None:
    rates, catalog = found.rates, found.catalog
    hours = rates.hours(catalog.images)
    least = "" if rates.whole_images_per_s else "at least "
    print_lines(
        f"{catalog.products:,} products, {catalog.images:,} images, {rates.encoder} on {rates.device}",
        f"hours: {least}{hours:,.2f}, at {rates.images_per_s:,.0f} images/s on one worker like this one",
        f"  {rates.how}",
        f"bound by: {rates.bound_by or 'not known: the encoder alone was measured'}",
        f"a worker: {rates.process_bytes / _GB:.2f} GB of memory, the most that this process had"
        + (f"; {rates.device_bytes / _GB:.2f} GB on the device" if rates.device_bytes is not None else ""),
        f"a payload: {catalog.payload_bytes:,.0f} bytes as JSON, {found.payload_how}",
    )
    losses = {(loss.storage, loss.rescored): loss for loss in found.losses}
    columns = ("storage", "memory, embedded", "memory, server", "disk", "recall@10", "by codes alone")
    print_table(columns, [_row(kept, losses, configured) for kept in found.kept])
    print_lines(
        "memory: what searches read, ids and payload indexes, on a server its graph too; one copy",
        "disk: rows, codes, payloads and their indexes, write-ahead log; one copy",
        f"recall: {found.losses_how}" if found.losses else found.losses_how,
    )


def _row(
    kept: "Kept", losses: "dict[tuple[Storage, bool | None], Loss]", configured: "Storage"
) -> tuple[str, ...]:
    name = f"{kept.storage}, configured" if kept.storage == configured else kept.storage
    asked = losses.get((kept.storage, None)) or losses.get((kept.storage, True))
    figures = [kept.memory.embedded, kept.memory.server, kept.disk.total]
    return (
        name,
        *(f"{figure / _GB:,.2f} GB" for figure in figures),
        _recall(asked),
        _recall(losses.get((kept.storage, False))),
    )


def _recall(loss: "Loss | None") -> str:
    return "" if loss is None else f"{loss.recall:.4f} ± {loss.interval:.4f}"


def _say(text: str) -> None:
    sys.stderr.write(f"{text} ...\n")

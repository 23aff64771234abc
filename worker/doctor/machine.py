"""The doctor on this machine: folder, disk, ports, schedule."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from config.settings import PREFIX, Settings
from recommender.api.keys import KeyRing, refuse_open_listening
from recommender.errors import LookalikeError, StartupError
from recommender.images.source import ImageSource
from worker.doctor.finding import Finding, fix, ok, warn
from worker.feeds.open import open_feed
from worker.owner import find_owner

LITTLE_BYTES, VERY_LITTLE_BYTES = 5 * 2**30, 2**29


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    """What must be true of the machine that this runs on."""
    yield _data_dir(settings.data_dir)
    yield _disk(settings.data_dir)
    yield from _ports(settings)
    yield _schedule(settings)


def _data_dir(folder: Path) -> Finding:
    existing = _existing(folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        remedy = f"make it writable for user {os.getuid()}, or name another {PREFIX}DATA_DIR"
        return fix("data_dir", f"{existing} can't be written to", remedy)
    return ok("data_dir", f"{folder.resolve()}" + ("" if existing == folder.resolve() else ", to be made"))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{free / 2**30:.1f} GiB free for {folder.resolve()}"
    remedy = f"make room, or name a {PREFIX}DATA_DIR on another disk"
    if free < VERY_LITTLE_BYTES:
        return fix("disk", found, remedy)
    return warn("disk", found, remedy) if free < LITTLE_BYTES else ok("disk", found)


def _ports(settings: Settings) -> Iterator[Finding]:
    api = settings.api
    try:
        refuse_open_listening(KeyRing([key.get_secret_value() for key in api.keys]), api.host)
    except StartupError as error:
        yield fix("api port", str(error), f"set {PREFIX}API__KEYS")
    else:
        yield _port("api port", api.host, api.port, settings)
    if settings.worker.metrics_port is not None:
        yield _port("metrics port", api.host, settings.worker.metrics_port, settings)


def _port(subject: str, host: str, port: int, settings: Settings) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return ok(subject, f"{host} port {port or 'of any number'} is free")
    except PermissionError:
        return fix(subject, f"{host} port {port} needs more rights than this user's", "take one above 1023")
    except OSError as error:
        owner = find_owner(settings.data_dir)
        if owner is not None and owner.url.endswith(f":{port}"):
            return ok(subject, f"{owner.url}, served by process {owner.pid}")
        remedy = f"fine if that is the API or worker itself; else take another port (or {PREFIX}API__HOST)"
        return warn(subject, f"{host} port {port}: {error.strerror}", remedy)


def _schedule(settings: Settings) -> Finding:
    feed = settings.feed.scheduled
    if feed is None:
        return ok("schedule", "no feed is scheduled")
    source = ImageSource(settings.s3, settings.images)
    try:
        with open_feed(feed, settings, source):
            return ok("schedule", f"{feed} every {settings.feed.every_s:g} s, and it can be read")
    except LookalikeError as error:
        remedy = f"put the feed there, or correct {PREFIX}FEED__SCHEDULED and what it may be read from"
        return fix("schedule", str(error), remedy)
    finally:
        source.close()

"""Feeds in files: below the local root, or wherever the user who names them may read."""

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from config.settings import Settings
from recommender.errors import FeedChanged, FeedError
from worker.feeds.store import CHUNK_BYTES, Part, in_order, is_data

Check = Callable[[Path], None]
"""Raises FeedError where a resolved path may not be read."""


def allowed_path(uri: str, settings: Settings) -> tuple[Path, Check]:
    """The path of a file:// URI, and the check that each of its parts must pass: links lead anywhere.

    Raises:
        FeedError: it is not below the local root, or none of the allow-list's prefixes leads to it.
    """
    if urlsplit(uri).netloc:
        raise FeedError(f"{uri}: a file:// URI names no host: file:///PATH")
    root = settings.images.local_root
    folders = [_resolved(prefix) for prefix in settings.feed.allowed if prefix.startswith("file://")]

    def check(path: Path) -> None:
        if root is None or not path.is_relative_to(root.resolve()):
            raise FeedError(f"{uri}: {path} is not below LOOKALIKE_IMAGES__LOCAL_ROOT")
        if not any(path.is_relative_to(folder) for folder in folders):  # `..` and links lead out of a prefix
            raise FeedError(f"{uri}: it is {path}, and no prefix of LOOKALIKE_FEED__ALLOWED matches that")

    return _resolved(uri), check


def _resolved(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path)).resolve()


class LocalFeed:
    """One file, or the files of a folder, at any depth.

    Args:
        uri: what errors call it; that of a folder ends in a slash.
        path: where it lies.
        check: which paths may be read; any by default.
    """

    def __init__(self, uri: str, path: Path, check: Check | None = None) -> None:
        self._uri = uri
        self._path = path
        self._check = check

    def parts(self) -> list[Part]:
        """The file, or those below the folder."""
        with _translated(self._uri):
            if not self._uri.endswith("/"):
                return [self._part("", self._path)]
            if not self._path.is_dir():
                raise FeedError(f"{self._uri}: not a folder")
            names = filter(is_data, self._names())
            return in_order(self._uri, (self._part(name, self._path / name) for name in names))

    def stream(self, part: Part, start: int) -> Generator[bytes, None, None]:
        """Read on from `start`; a file that was written to meanwhile raises at its end."""
        with self._opened(part) as file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
            _check_state(part, os.fstat(file.fileno()))

    def read_at(self, part: Part, start: int, length: int) -> bytes:
        """Read from the middle."""
        with self._opened(part) as file:
            file.seek(start)
            data = file.read(length)
        if len(data) != length:
            raise FeedChanged(f"{part.uri}: it has become shorter while it was read")
        return data

    def close(self) -> None:
        """Nothing is held open."""

    def _names(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._path, onerror=_not_passed_over, followlinks=True):
            yield from (Path(folder, name).relative_to(self._path).as_posix() for name in names)

    def _part(self, name: str, path: Path) -> Part:
        if self._check is not None:
            self._check(path.resolve())
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FeedError(f"{self._uri}: not a file; the name of a folder of parts ends in /")
        return Part(name, self._uri + name, _state(found), found.st_size, found.st_mtime_ns // 10**6)

    @contextmanager
    def _opened(self, part: Part) -> Iterator[BinaryIO]:
        path = self._path / part.name if part.name else self._path
        if self._check is not None:
            self._check(path.resolve())
        with _translated(part.uri):
            try:
                file = path.open("rb")
            except FileNotFoundError as error:
                raise FeedChanged(f"{part.uri}: it is gone since it was listed") from error
            with file:
                _check_state(part, os.fstat(file.fileno()))
                yield file


def _state(found: os.stat_result) -> str:
    """What an ETag is for an object: another file, or one that was written to, has another."""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _check_state(part: Part, found: os.stat_result) -> None:
    if _state(found) != part.etag:
        raise FeedChanged(f"{part.uri}: it was written to while it was read")


def _not_passed_over(error: OSError) -> None:
    raise error


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FeedError(f"{uri}: {error.strerror}") from error

"""A store that counts what is read of it."""

from collections.abc import Generator, Iterable
from contextlib import closing

from worker.feeds.store import Part, Store


class Metered:
    """Passes everything on; for one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._passed = 0
        self._read = 0

    @property
    def read_bytes(self) -> int:
        """Of the parts that are passed, and of the present one as far as it is read."""
        return self._passed + self._read

    def passed(self, parts: Iterable[Part]) -> None:
        """These parts are done with, whatever was read of them."""
        self._passed += sum(part.size_bytes or 0 for part in parts)
        self._read = 0

    def parts(self) -> list[Part]:
        """The store's."""
        return self._store.parts()

    def stream(self, part: Part, start: int) -> Generator[bytes, None, None]:
        """The store's, counted."""
        self._read = start
        with closing(self._store.stream(part, start)) as chunks:
            for chunk in chunks:
                self._read += len(chunk)
                yield chunk

    def read_at(self, part: Part, start: int, length: int) -> bytes:
        """The store's, counted; what is read twice counts once at most."""
        data = self._store.read_at(part, start, length)
        self._read = min(self._read + length, part.size_bytes or 0)
        return data

    def close(self) -> None:
        """The store's."""
        self._store.close()

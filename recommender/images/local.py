"""Images of a local folder, for development; the system's errors are translated here."""

import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config.settings import ImageSettings
from recommender.errors import ImageNotAllowed, ImageNotFound, ImageStoreUnavailable
from recommender.images.fetched import Fetched, check_size

SETTING = "LOOKALIKE_IMAGES__LOCAL_ROOT"


class LocalStore:
    """Reads files below the root, wherever symbolic links may point."""

    def __init__(self, images: ImageSettings) -> None:
        self._root = images.local_root.resolve() if images.local_root else None
        self._max_bytes = images.max_bytes

    def fetch(self, uri: str, etag: str | None) -> Fetched | None:
        """Read one file; None if it still has this `etag`, made of its time and size. Blocks.

        Raises:
            ImageNotAllowed: it lies outside the root, or there is none.
            ImageNotFound: no such file, or we may not read it.
            ImageTooLarge: it is over the byte limit.
            ImageStoreUnavailable: the disk failed.
        """
        try:
            path = self._path(uri)
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise ImageNotFound(uri, "not a file")
            current = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
            if current == etag:
                return None
            check_size(uri, found.st_size, self._max_bytes)
            with path.open("rb") as file:
                data = file.read(self._max_bytes + 1)
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError) as error:
            raise ImageNotFound(uri, str(error)) from error
        except OSError as error:
            raise ImageStoreUnavailable(f"{uri}: {error}") from error
        check_size(uri, len(data), self._max_bytes)
        return Fetched(data, current)

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, uri: str) -> Path:
        if self._root is None:
            raise ImageNotAllowed(uri, f"local files are off: set {SETTING} to the folder they may lie in")
        parts = urlsplit(uri)
        path = Path(unquote(parts.path)).resolve()
        if parts.netloc not in {"", "localhost"} or not path.is_relative_to(self._root):
            raise ImageNotAllowed(uri, f"not below {self._root}, the folder of {SETTING}")
        return path

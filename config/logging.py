"""Logs: a static snake_case event, and fields from `extra`.

    log.info("batch_written", extra={"products": 256, "write_ms": 28})

On a console one readable line; in production one JSON object a line.
"""

import json
import logging
import math
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from config.settings import LogSettings

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the HTTP request that is worked on; every line that is logged meanwhile carries it."""
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_CHATTY = ("botocore", "boto3", "httpcore", "httpx", "PIL", "urllib3", "s3transfer", "uvicorn", "werkzeug")
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, event, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in _fields(record):
            line[f"{name}_" if name in line else name] = _jsonable(value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, allow_nan=False)


class ConsoleFormatter(logging.Formatter):
    """`12:30:01 INFO    event  field=value`, coloured on a terminal."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        time = f"{_time(record).astimezone():%H:%M:%S}"
        level = f"{record.levelname:<7}"
        fields = "".join(f"  {name}={_readable(value)}" for name, value in _fields(record))
        if self._coloured:
            time = f"{_DIM}{time}{_RESET}"
            level = f"{_COLOURS.get(record.levelname, '')}{level}{_RESET}"
            fields = f"{_DIM}{fields}{_RESET}" if fields else ""
        line = f"{time} {level} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log record of this process to `stream` (standard error); again replaces, never doubles."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    formatter = JsonFormatter() if settings.format == "json" else ConsoleFormatter(coloured=stream.isatty())
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.level, force=True)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    if (request_id := REQUEST_ID.get()) is not None:
        yield "request_id", request_id
    yield from ((name, value) for name, value in vars(record).items() if name not in _OWN_FIELDS)


def _jsonable(value: Any) -> Any:
    """The value itself where JSON has it; its text otherwise (NaN included), so that no line is lost."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _readable(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)

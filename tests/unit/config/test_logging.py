import json
import logging
import math
import warnings
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from config.logging import configure_logging
from config.settings import LogSettings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _json_lines(stream: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_event_and_fields() -> None:
    stream = StringIO()
    configure_logging(LogSettings(format="json"), stream)
    logging.getLogger("recommender.x").info("batch_written", extra={"products": 3, "ids": ("a", "b")})
    (line,) = _json_lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "recommender.x",
        "event": "batch_written",
        "products": 3,
        "ids": ["a", "b"],
    }


def test_no_field_can_break_a_json_line() -> None:
    stream = StringIO()
    configure_logging(LogSettings(format="json"), stream)
    fields = {"score": math.nan, "error": ValueError("line\nbreak"), "level": "mine", "deep": {1: {2}}}
    logging.getLogger("x").warning("odd", extra=fields)
    (line,) = _json_lines(stream)
    assert (line["score"], line["error"], line["deep"]) == ("nan", "line\nbreak", {"1": [2]})
    assert (line["level"], line["level_"]) == ("WARNING", "mine")


def test_an_exception_stays_on_its_json_line() -> None:
    stream = StringIO()
    configure_logging(LogSettings(format="json"), stream)
    try:
        int("broken")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = _json_lines(stream)
    assert "ValueError: invalid literal" in line["exception"]


def test_the_console_shows_event_and_fields_uncoloured_to_a_file() -> None:
    stream = StringIO()
    configure_logging(LogSettings(), stream)
    logging.getLogger("x").info("batch_written", extra={"ms": 1.23456, "title": "two words", "bell": "\x07"})
    assert stream.getvalue()[9:] == "INFO    batch_written  ms=1.235  title='two words'  bell='\\x07'\n"


def test_the_level_is_kept_and_clients_are_quiet() -> None:
    stream = StringIO()
    configure_logging(LogSettings(level="INFO"), stream)
    logging.getLogger("x").debug("hidden")
    logging.getLogger("botocore.hooks").info("chatter")
    logging.getLogger("httpx").warning("heard")
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["heard"]


def test_configuring_again_does_not_double() -> None:
    stream = StringIO()
    configure_logging(LogSettings(), StringIO())
    configure_logging(LogSettings(), stream)
    logging.getLogger("x").info("once")
    assert stream.getvalue().count("once") == 1


def test_warnings_are_logged() -> None:
    stream = StringIO()
    configure_logging(LogSettings(format="json"), stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("deprecated thing", stacklevel=1)
    assert "deprecated thing" in _json_lines(stream)[0]["event"]

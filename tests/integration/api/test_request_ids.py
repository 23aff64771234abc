"""One id for a request in its answer, its problem and its log lines."""

import logging
from collections.abc import Iterator

import httpx
import pytest

from config.logging import JsonFormatter
from tests.shop import Shop, asking, served


class Formatted(logging.Handler):
    """Keeps what is logged, as production prints it; a line is formatted where it is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    caplog.set_level("DEBUG", logger="recommender")
    handler = Formatted()
    logging.getLogger("recommender").addHandler(handler)
    yield handler.lines
    logging.getLogger("recommender").removeHandler(handler)


@pytest.mark.parametrize("request_id", ["checkout-4711", "a" * 128, "0b1f:7=/+~._-"])
@pytest.mark.parametrize("path", ["/v1/categories", "/v1/products/nope", "/healthz", "/nope"])
def test_an_id_that_is_sent_is_used(api: httpx.Client, path: str, request_id: str) -> None:
    response = api.get(path, headers={"X-Request-ID": request_id})
    assert response.headers.get_list("x-request-id") == [request_id]
    if response.status_code != 200:
        assert response.json()["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a" * 129, "two words", "<script>", "zwölf"])
def test_an_id_that_is_not_sane_is_replaced(api: httpx.Client, request_id: str) -> None:
    made = api.get("/v1/categories", headers={"X-Request-ID": request_id.encode()}).headers["x-request-id"]
    assert made != request_id
    assert len(made) == 16


def test_every_request_has_an_id_of_its_own(api: httpx.Client) -> None:
    made = {api.get("/v1/categories").headers["x-request-id"] for _ in range(20)}
    assert len(made) == 20


def test_log_lines_carry_it(api: httpx.Client, lines: list[str]) -> None:
    api.get("/v1/categories", headers={"X-Request-ID": "seen-at-the-till"})
    (line,) = [line for line in lines if '"request_answered"' in line]
    assert '"request_id": "seen-at-the-till"' in line


def test_what_nobody_foresaw_is_a_500_whose_traceback_is_found_by_its_id(
    catalog: Shop, lines: list[str]
) -> None:
    class Broken:
        def categories(self) -> dict[str, int]:
            raise RuntimeError("nobody foresaw this")

    with served(asking(catalog, Broken())) as api:
        response = api.get("/v1/categories", headers={"X-Request-ID": "unlucky"})
        assert api.get("/healthz").status_code == 200
    assert (response.status_code, response.json()["request_id"]) == (500, "unlucky")
    assert response.headers["content-type"] == "application/problem+json"
    assert "foresaw" not in response.text
    (line,) = [line for line in lines if '"request_failed"' in line]
    assert '"request_id": "unlucky"' in line
    assert "nobody foresaw this" in line

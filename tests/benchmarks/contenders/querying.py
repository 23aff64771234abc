"""The query side of a process: our API, a bare route with the same answer, and the raw engine call.

The raw call is the question written out in the engine's own terms: read the seed's vectors, search with
each of them, keep the best.
"""

import io
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
import uvicorn
from fastapi import FastAPI

from config.settings import Settings
from recommender.api.app import create_app
from recommender.api.models import SimilarAnswer, similar_answer
from recommender.api.serve import serve_in_thread
from recommender.catalog import Filter
from recommender.encoders.preprocess import input_of
from recommender.index.protocol import Vectors, Write
from recommender.index.schema import VECTOR
from recommender.resources import Resources, open_resources
from recommender.similar import Question
from tests.benchmarks.looks import ATTRIBUTES, SCHEMA, Looks
from worker.demo.catalog import make_catalog
from worker.demo.draw import draw

CATEGORY = "bench/1"
LIMIT = 12
_INGESTED_AT_ONCE = 32


class _Querying:
    """Answers what the benchmark asks of this process."""

    def __init__(self, resources: Resources, looks: Looks) -> None:
        self._resources = resources
        self._looks = looks
        self._shard: edge.EdgeShard = resources.index._store._shard  # type: ignore[attr-defined]
        self._ingesting = threading.Event()
        self._ingested = 0
        self._numbers = itertools.count()
        self._random = np.random.default_rng(0)
        self._thread: threading.Thread | None = None

    def raw(self, seed: int) -> list[tuple[float, dict[str, Any]]]:
        """The engine alone."""
        point = SCHEMA.point_id(str(seed))
        (record,) = self._shard.retrieve([point], with_payload=True, with_vector=True)
        category = edge.FieldCondition("category", match=edge.MatchAny([CATEGORY]))
        found = edge.FieldCondition("status", match=edge.MatchAny(["searchable"]))
        passing = edge.Filter(must=[found, category], must_not=[edge.HasIdCondition({point})])
        requests = [
            edge.QueryRequest(
                query=edge.Query.Nearest([row], using=VECTOR),
                limit=LIMIT,
                filter=passing,
                params=edge.SearchParams(exact=True),
                with_payload=True,
            )
            for row in record.vector[VECTOR]  # type: ignore[index,call-overload]
        ]
        best: dict[str, tuple[float, dict[str, Any]]] = {}
        for hits in self._shard.query_batch(edge.QueryBatchRequest(requests)):
            for hit in hits:
                if hit.score > best.get(str(hit.id), (-2.0, {}))[0]:
                    best[str(hit.id)] = (hit.score, hit.payload or {})
        return sorted(best.values(), key=lambda hit: -hit[0])[:LIMIT]

    def ours(self, seed: int) -> Any:
        """The same question, without HTTP."""
        return self._resources.recommender.similar(question(seed))

    def __call__(self, request: dict[str, Any]) -> Any:
        match request["do"]:
            case "compare":
                return self._compare(request["seeds"])
            case "engine":
                return self._engine(request["seeds"], request["clients"])
            case "ingest":
                return self._ingest() if request["on"] else self._rest()
            case other:
                raise ValueError(other)

    def _compare(self, seeds: Sequence[int]) -> dict[str, list[float]]:
        """ms of the raw call and of ours, one after the other, in turn first."""
        took: dict[str, list[float]] = {"raw": [], "ours": []}
        for number, seed in enumerate(seeds):
            sides: dict[str, Callable[[int], list[str]]] = {"raw": self._raw_ids, "ours": self._our_ids}
            answers = {}
            for name in sides if number % 2 else reversed(sides):
                started = time.perf_counter()
                answers[name] = sides[name](seed)
                took[name].append((time.perf_counter() - started) * 1000)
            assert answers["raw"] == answers["ours"], f"{seed}: {answers}"
        return took

    def _raw_ids(self, seed: int) -> list[str]:
        return [payload["id"] for _, payload in self.raw(seed)]

    def _our_ids(self, seed: int) -> list[str]:
        return [item.product.id for item in self.ours(seed).items]

    def _engine(self, seeds: Sequence[int], clients: int) -> dict[str, Any]:
        """ms a call, and calls a second of so many threads."""
        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as threads:
            took = list(threads.map(lambda seed: _ms(self.raw, seed), seeds))
        return {"ms": took, "rate": len(seeds) / (time.perf_counter() - started)}

    def _ingest(self) -> None:
        self._ingested = 0
        self._ingesting.set()
        self._thread = threading.Thread(target=self._write_on, name="ingest")
        self._thread.start()

    def _rest(self) -> int:
        """How many were written meanwhile."""
        self._ingesting.clear()
        assert self._thread is not None
        self._thread.join()
        return self._ingested

    def _write_on(self) -> None:
        """Decode, embed and write products, a slice at a time, as a worker does."""
        photo, batcher = picture(3), self._resources.batcher
        p = batcher.encoder.spec.preprocessing
        while self._ingesting.is_set():
            pixels = [input_of(photo, name="photo", p=p, max_pixels=10**8) for _ in range(_INGESTED_AT_ONCE)]
            rows = batcher.embed_images(pixels)
            # Photos differ, where one photo's rows would tie, and every search near it read all of them.
            rows = rows + self._random.normal(scale=rows.shape[1] ** -0.5 / 2, size=rows.shape)
            rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
            writes = [self._new(row[None]) for row in rows]
            self._resources.index.write(writes)
            self._ingested += len(writes)

    def _new(self, rows: Vectors) -> Write:
        number = next(self._numbers)
        return self._looks.write_of(number % self._looks.size, rows, f"new-{number}-")


def question(seed: int) -> Question:
    """What is asked by every side."""
    return Question(positive=(str(seed),), where=Filter(category=(CATEGORY,)), limit=LIMIT)


def picture(number: int) -> bytes:
    """A JPEG of 400 px as a shopper uploads one."""
    product = make_catalog(number + 1, seed=7)[number]
    file = io.BytesIO()
    draw(product, product.views[0]).convert("RGB").resize((400, 400)).save(file, "JPEG", quality=88)
    return file.getvalue()


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: `products`, `folder`. The first answer says where both servers listen."""
    with ExitStack() as stack:
        settings = Settings(
            _env_file=None,
            catalog=SCHEMA.catalog,
            data_dir=Path(options["folder"]),
            index={"attributes": ATTRIBUTES},
            api={"port": 0},
            encoder={"runtime": "onnxruntime"},  # nothing here depends on which is the fastest
        )
        resources = stack.enter_context(open_resources(settings))
        looks = Looks(options["products"], resources.encoder.spec.dimension)
        for batch in looks.writes():
            assert not resources.index.write(batch)
        querying = _Querying(resources, looks)
        ours = serve_in_thread(create_app(resources, settings), "127.0.0.1", 0)
        stack.callback(ours.stop)
        bare = stack.enter_context(_bare(similar_answer(querying.ours(0))))

        def answer(request: dict[str, Any]) -> Any:
            if request["do"] == "where":
                return {"ours": ours.url, "bare": bare, "encoder": resources.encoder.fingerprint}
            return querying(request)

        yield answer


@contextmanager
def _bare(answer: SimilarAnswer) -> Iterator[str]:
    """The URL of a route that has its answer."""
    app = FastAPI()

    @app.get("/answer")
    def answered() -> SimilarAnswer:
        return answer

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="bare")
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def _ms(ask: Callable[[int], Any], seed: int) -> float:
    started = time.perf_counter()
    ask(seed)
    return (time.perf_counter() - started) * 1000

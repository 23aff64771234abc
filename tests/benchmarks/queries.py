"""`python -m tests.benchmarks.queries`: what a question costs beside its engine call, and over HTTP.

B is a bare FastAPI route that has the same answer, E the raw engine call; both are measured beside ours in
every round, with as many clients. Writes bench/queries/fast.json and docs/benchmarks-queries.md.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import machine, queries_page
from tests.benchmarks.clients import Request, ask
from tests.benchmarks.contender import Contender
from tests.benchmarks.contenders.querying import CATEGORY, LIMIT, picture
from tests.benchmarks.result import Result

_BOUNDARY = "lookalike-benchmark"
_UPLOADS = 40


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.queries", description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100, help="of one measurement")
    parser.add_argument("--out", type=Path, default=queries_page.FOLDER, help="of the raw results")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    result = Result("fast", machine=machine.describe())
    result.facts |= {"products": asked.products, "rounds": asked.rounds, "requests": asked.requests}
    memory = Path("/dev/shm")  # noqa: S108  # a folder of random name below it
    with (
        # Of this process, since the other is killed where closing so large an index takes too long.
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        Contender(
            "querying", {"products": asked.products, "folder": folder}, asked.out / "querying.log"
        ) as process,
    ):
        where = process.ask(do="where")
        result.facts["encoder"] = where["encoder"]
        warm = _seeds(asked, 0)
        process.ask(do="compare", seeds=warm[:20])
        for number in range(asked.rounds):
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr, flush=True)
            _round(process, where, _seeds(asked, number + 1), result)
            _uploads(process, where, _seeds(asked, number + 1), result)
    result.write(asked.out)
    print(queries_page.fast(result))
    queries_page.write(asked.out)
    return 0


def _round(process: Contender, where: dict[str, str], seeds: Sequence[int], result: Result) -> None:
    compared = process.ask(do="compare", seeds=seeds)
    for name, took in compared.items():
        _add(result, f"{name}, no HTTP", took)
    by_id = [_by_id(seed) for seed in seeds]
    for clients in (1, 8):
        count = len(seeds) * (1 if clients == 1 else 4)
        engine = process.ask(do="engine", seeds=[*seeds] * (count // len(seeds)), clients=clients)
        _add(result, f"E, {clients}", engine["ms"], engine["rate"])
        bare = ask(where["bare"], [Request("/answer")], clients=clients, count=count)
        _add(result, f"B, {clients}", bare.ms, bare.rate)
        ours = ask(where["ours"], by_id, clients=clients, count=count)
        _add(result, f"ours, {clients}", ours.ms, ours.rate)
        result.facts["shed"] = result.facts.get("shed", 0) + ours.shed + bare.shed


def _uploads(process: Contender, where: dict[str, str], seeds: Sequence[int], result: Result) -> None:
    """Uploads and questions by id, idle and while products are decoded, embedded and written."""
    upload, by_id = [_upload()], [_by_id(seed) for seed in seeds]
    for state in ("idle", "ingesting"):
        if state == "ingesting":
            process.ask(do="ingest", on=True)
        uploads = ask(where["ours"], upload, clients=1, count=_UPLOADS)
        questions = ask(where["ours"], by_id, clients=1, count=_UPLOADS)
        if state == "ingesting":
            result.facts.setdefault("ingested", []).append(process.ask(do="ingest", on=False))
        _add(result, f"upload, {state}", uploads.ms)
        _add(result, f"by id, {state}", questions.ms)
        result.facts["shed"] += uploads.shed + questions.shed


def _add(result: Result, name: str, took: Sequence[float], rate: float | None = None) -> None:
    """The round's median, its 99th percentile, and its rate."""
    result.figure(f"{name}: median", unit="ms").values.append(statistics.median(took))
    result.figure(f"{name}: p99", unit="ms").values.append(float(np.percentile(took, 99)))
    if rate is not None:
        result.figure(f"{name}: rate", unit="requests/s").values.append(rate)


def _seeds(asked: Any, number: int) -> list[int]:
    drawn = np.random.default_rng(number).integers(0, asked.products, asked.requests)
    return [int(seed) for seed in drawn]


def _by_id(seed: int) -> Request:
    return Request(f"/v1/products/{seed}/similar?category={CATEGORY}&limit={LIMIT}")


def _upload() -> Request:
    parts = {"category": CATEGORY.encode(), "limit": str(LIMIT).encode()}
    body = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (_BOUNDARY.encode(), name.encode(), value)
        for name, value in parts.items()
    )
    body += b'--%s\r\nContent-Disposition: form-data; name="file"; filename="p.jpg"\r\n' % _BOUNDARY.encode()
    body += b"Content-Type: image/jpeg\r\n\r\n" + picture(1) + b"\r\n--%s--\r\n" % _BOUNDARY.encode()
    return Request("/v1/similar/image", body, f"multipart/form-data; boundary={_BOUNDARY}")


if __name__ == "__main__":
    sys.exit(main())

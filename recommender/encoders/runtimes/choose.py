"""Which runtime to use: those that give the reference's rows are measured, and the fastest is remembered."""

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from config.settings import PREFIX, ConfigurationError
from recommender.encoders.protocol import CALLERS, Embeddings
from recommender.encoders.runtimes.export import written
from recommender.encoders.runtimes.runtime import Runtime
from recommender.errors import RuntimeUnavailable

log = logging.getLogger(__name__)

_NOISE = 0.97
_ROUNDS = 3
_CALLS = 2  # of each caller in a round
_MEASURED_S = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runtime that may fit; `build` takes up to a minute where it compiles."""

    name: str
    build: Callable[[], Runtime]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a runtime must answer: rows of cosine `least` or more to the reference's, for each image.

    `pixels` (B, 3, input_px, input_px) uint8, `rows` (B, D) float32 of unit norm.
    """

    pixels: Tensor
    rows: Embeddings
    least: float


def choose(candidates: Sequence[Candidate], probe: Probe, batch: int, memory: Path) -> Runtime:
    """Return the first candidate whose rate at `batch` no other one beats by more than noise.

    What was found is kept in the file `memory`; each start looks again at what the runtime answers.

    Raises:
        RuntimeUnavailable: no candidate can be built and answers what it must; the message says why.
    """
    remembered = _recall(memory) if len(candidates) > 1 else None
    known = [candidate for candidate in candidates if candidate.name == remembered]
    reasons: dict[str, str] = {}
    for tried in (known, candidates):
        fitting = _fitting(tried, probe, reasons)
        if len(tried) == len(fitting) == 1:
            return fitting[0]
        if fitting:
            rates = _rates(fitting, _repeated(probe.pixels, batch))
            log.info("runtimes_measured", extra={"batch": batch, "images_per_s": rates})
            enough = _NOISE * max(rates.values())
            chosen = next(runtime for runtime in fitting if rates[runtime.name] >= enough)
            _remember(memory, chosen.name, rates)
            return chosen
    raise RuntimeUnavailable(
        "no runtime can run this encoder: "
        + "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        + f"\nCorrect what they say, or set {PREFIX}ENCODER__RUNTIME=torch; a GPU without memory for it "
        f"needs a smaller {PREFIX}ENCODER__MAX_BATCH_SIZE."
    )


def _fitting(candidates: Sequence[Candidate], probe: Probe, reasons: dict[str, str]) -> list[Runtime]:
    """Build the candidates; leave out, with a warning, those that can't be, or answer anything else."""
    fitting = []
    for candidate in candidates:
        try:
            runtime = candidate.build()
            cosine = _least_cosine(runtime.run(probe.pixels), probe.rows)
        except (ConfigurationError, torch.AcceleratorError):  # not the runtime's fault; the device is lost
            raise
        except Exception as error:  # noqa: BLE001  # a runtime fails in its own ways; others may not
            reason = f"{type(error).__name__}: {error}"
        else:
            if cosine >= probe.least:
                fitting.append(runtime)
                continue
            reason = f"its rows differ from the reference's: cosine {cosine:.5f}, not {probe.least}"
        reasons[candidate.name] = reason
        log.warning("runtime_left_out", extra={"runtime": candidate.name, "reason": reason})
    return fitting


def _least_cosine(rows: Embeddings, reference: Embeddings) -> float:
    """NaN where a row has one: it compares as too little."""
    if rows.shape != reference.shape:
        return math.nan
    return float(np.einsum("bd,bd->b", rows, reference).min())


def _rates(runtimes: Sequence[Runtime], pixels: Tensor) -> dict[str, float]:
    """Images/s of each, asked by as many callers as in service.

    By its fastest round: whatever else the machine does only adds time. They take turns, so that a busy
    moment meets all of them.
    """
    fastest = {runtime.name: math.inf for runtime in runtimes}
    started = time.monotonic()
    rounds = 0
    with ThreadPoolExecutor(CALLERS) as callers:
        while rounds < _ROUNDS or time.monotonic() - started < _MEASURED_S:
            for runtime in runtimes:
                before = time.perf_counter()
                list(callers.map(runtime.run, [pixels] * (_CALLS * CALLERS)))
                fastest[runtime.name] = min(fastest[runtime.name], time.perf_counter() - before)
            rounds += 1
    images = _CALLS * CALLERS * len(pixels)
    return {name: round(images / seconds, 1) for name, seconds in fastest.items()}


def _repeated(pixels: Tensor, batch: int) -> Tensor:
    return pixels.repeat(math.ceil(batch / len(pixels)), 1, 1, 1)[:batch]


def _recall(memory: Path) -> str | None:
    try:
        name: str | None = json.loads(memory.read_text())["runtime"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:  # garbled, or of another shape
        log.warning("runtime_not_recalled", extra={"file": str(memory), "error": repr(error)})
        return None
    return name


def _remember(memory: Path, name: str, rates: dict[str, float]) -> None:
    found = json.dumps({"runtime": name, "images_per_s": rates})

    def write(path: Path) -> None:
        path.write_text(found)

    try:
        memory.unlink(missing_ok=True)
        written(memory, write)
    except OSError as error:  # the next start measures again
        log.warning("runtime_not_remembered", extra={"file": str(memory), "error": str(error)})

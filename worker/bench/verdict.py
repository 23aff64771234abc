"""What bounds the way from an image to the index, from the rates of its stages. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from config.settings import PREFIX

Name = Literal["fetch", "decode", "device", "index"]
ON_THE_CORES: tuple[Name, ...] = ("decode", "device", "index")
SLACK = 0.8
"""Of the limit; a whole that is slower than this loses time between the stages."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, measured alone."""

    name: Name
    images_per_s: float
    how: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The limit that the stages set together, the stage that sets most of it, and what to do."""

    limit: float
    bound_by: Name
    advice: str


def judge(stages: Sequence[Stage], whole: float, device: str, threads: int, input_px: int) -> Verdict:
    """Compare the stages.

    On a CPU they share the cores, so that their times add up, save where fetching mostly waits; a GPU works
    beside them.

    Args:
        stages: one a name.
        whole: images/s through all of them.
        device: "cpu" or "cuda".
        threads: images that are fetched and decoded at a time.
        input_px: side of the encoder's input.
    """
    rates = {stage.name: stage.images_per_s for stage in stages}
    beside: tuple[Name, ...] = ("fetch", "device") if device == "cuda" else ("fetch",)
    shared = 1 / sum(1 / rates[name] for name in ON_THE_CORES if name not in beside)
    limit = min(shared, *(rates[name] for name in beside))
    bound_by = min(rates, key=lambda name: rates[name])
    advice = _ADVICE[bound_by].format(prefix=PREFIX, threads=threads, input_px=input_px)
    if whole < SLACK * limit:
        advice += (
            f" The whole reaches {whole / limit:.0%} of what the stages allow: other programs use this "
            "machine, or fetching takes processor time."
        )
    return Verdict(limit, bound_by, advice)


_ADVICE: dict[Name, str] = {
    "fetch": "The store bounds it: bring the worker nearer to it, store smaller images, or fetch more at a "
    "time ({prefix}IMAGES__THREADS is {threads}).",
    "decode": "Decoding bounds it: the encoder sees {input_px} px, so store JPEGs of twice that at most; "
    "or give the worker more cores.",
    "device": "The encoder bounds it: use a GPU, {prefix}ENCODER__PRECISION=half or int8, a smaller encoder, "
    "or more workers on other machines.",
    "index": "The index bounds it: bring the worker nearer to the server, or give the server more cores; the "
    "embedded one is bound by a single core.",
}

"""Read weights from a file into an architecture: all of them, or an error that says what does not fit."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from recommender.encoders.sources.source import Source, StateDict, Towers
from recommender.errors import WeightsUnavailable

log = logging.getLogger(__name__)

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
_HEADS = frozenset(
    {"classifier", "fc", "head", "heads", "linear", "predictor", "projection_head", "projector"}
)
_NOT_USED = "num_batches_tracked"  # by batch normalisation in evaluation; older files lack it
_SHOWN = 5


def load_weights(path: Path, towers: Towers, source: Source) -> None:
    """Load a .safetensors, .pt, .pth or .bin file into `towers.network`.

    A wrapper ({"state_dict": ...}) is opened, a prefix that all keys share ("module.", "backbone.", ...)
    removed, and a classification or projection head dropped. Pickled code is never run.

    Raises:
        WeightsUnavailable: the file can't be read, or does not fit; the network is left as it was.
    """
    state = source.adapt(_read(path), towers)
    towers.network.load_state_dict(_fitted(state, towers.network.state_dict(), path))


def _read(path: Path) -> StateDict:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise WeightsUnavailable(f"{path} can't be read: {exc.strerror or exc}") from exc
    except Exception as exc:  # what broken bytes raise is not documented, and differs
        raise WeightsUnavailable(
            f"{path} holds no tensors, or more than tensors, which is not loaded for safety: "
            f"save model.state_dict() alone ({type(exc).__name__})"
        ) from exc
    return _unwrapped(loaded, path)


def _unwrapped(loaded: Any, path: Path) -> StateDict:
    while isinstance(loaded, Mapping):
        if loaded and all(isinstance(value, Tensor) for value in loaded.values()):
            return dict(loaded)
        inner = [key for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)]
        if not inner:
            break
        loaded = loaded[inner[0]]
    raise WeightsUnavailable(
        f"{path} holds no state dict: expected tensors by name, or them under one of {', '.join(_WRAPPERS)}"
    )


def _fitted(state: StateDict, expected: StateDict, path: Path) -> StateDict:
    prefix = _prefix(state, expected, path)
    found = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    for key, tensor in expected.items():
        if tensor.numel() == 1 and key in found and found[key].numel() == 1:
            found[key] = found[key].reshape(tensor.shape)  # a scalar is saved as () or as (1,)
    missing = [key for key in expected if key not in found and not key.endswith(_NOT_USED)]
    misshapen = [
        f"{key} is {_shape(found[key])}, not {_shape(tensor)}"
        for key, tensor in expected.items()
        if key in found and found[key].shape != tensor.shape
    ]
    left = [key for key in state if not key.startswith(prefix) or key.removeprefix(prefix) not in expected]
    unknown = [key for key in left if not _HEADS.intersection(key.split("."))]
    problems = {"missing": missing, "of another shape": misshapen, "unknown": unknown}
    lines = [f"\n- {len(keys)} {problem}: {_some(keys)}" for problem, keys in problems.items() if keys]
    if lines:
        raise WeightsUnavailable(f"{path} does not fit this architecture:{''.join(lines)}")
    if left:
        log.info("encoder_head_dropped", extra={"path": str(path), "keys": _some(left)})
    return {key: found.get(key, tensor) for key, tensor in expected.items()}


def _prefix(state: StateDict, expected: StateDict, path: Path) -> str:
    """Find what stands before the keys; where a file holds the network twice (a momentum copy), refuse."""
    matches = Counter(
        key.removesuffix(name)
        for name in expected
        for key in state
        if key == name or key.endswith(f".{name}")
    ).most_common(2)
    if not matches:
        raise WeightsUnavailable(f"{path} has no tensor of this architecture; it holds {_some(list(state))}")
    if len(matches) > 1 and matches[0][1] == matches[1][1]:
        raise WeightsUnavailable(
            f"{path} holds this architecture twice, under {matches[0][0]!r} and {matches[1][0]!r}: save one"
        )
    return matches[0][0]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"

"""Weights from any file: wrapped, prefixed, with a head; or an error that names what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recommender.encoders.registry import REGISTRY
from recommender.encoders.sources.source import Towers, source_of
from recommender.encoders.weights import load_weights
from recommender.errors import WeightsUnavailable

COMPACT = REGISTRY["compact"]
StateDict = dict[str, Tensor]
Change = Callable[[StateDict], Any]


def fresh(name: str = "compact") -> Towers:
    return source_of(REGISTRY[name]).build(REGISTRY[name])


def load(path: Path, towers: Towers) -> None:
    load_weights(path, towers, source_of(COMPACT))


def holds(towers: Towers, state: StateDict) -> bool:
    loaded = towers.network.state_dict()
    return all(torch.equal(loaded[key], tensor.to(loaded[key].dtype)) for key, tensor in state.items())


@pytest.fixture
def state(compact_weights: Path) -> StateDict:
    return load_file(compact_weights)


FITTING: dict[str, Change] = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model in a checkpoint": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "wrapper in a wrapper": lambda state: {"model": {"state_dict": state}},
    "DataParallel": lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
    "SimCLR": lambda state: {
        "state_dict": {
            **{f"module.backbone.{key}": tensor for key, tensor in state.items()},
            "module.projection_head.0.weight": torch.zeros(4, 4),
        }
    },
    "encoder and classifier": lambda state: {
        **{f"encoder.{key}": tensor for key, tensor in state.items()},
        "classifier.weight": torch.zeros(4, 4),
    },
    "fine-tuned": lambda state: {**state, "fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)},
    "before counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
    "half precision": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.parametrize("change", FITTING.values(), ids=list(FITTING))
def test_what_fits_is_loaded(change: Change, state: StateDict, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(change(state), path)
    towers = fresh()
    load(path, towers)
    same = {k: v.half() for k, v in state.items()} if change is FITTING["half precision"] else state
    assert holds(towers, {k: v for k, v in same.items() if "num_batches" not in k})


def test_safetensors_are_loaded(compact_weights: Path, state: StateDict) -> None:
    towers = fresh()
    load(compact_weights, towers)
    assert holds(towers, state)


def without(state: StateDict, *names: str) -> StateDict:
    return {key: tensor for key, tensor in state.items() if key not in names}


LAST = "stages.7.second.0.weight"
MISFITS: dict[str, tuple[Change, str]] = {
    "missing": (lambda state: without(state, LAST), rf"1 missing: {LAST}"),
    "shape": (
        lambda state: {**state, LAST: torch.zeros(2, 3)},
        rf"of another shape: {LAST} is 2x3, not 320x320x3x3",
    ),
    "unknown": (lambda state: {**state, "stages.8.first.0.weight": torch.zeros(1)}, "1 unknown: stages.8"),
    "another architecture": (lambda _: {"conv.weight": torch.zeros(1)}, "no tensor of this architecture"),
    "twice": (
        lambda state: {f"{side}.{k}": v for side in ("encoder_q", "encoder_k") for k, v in state.items()},
        r"twice, under 'encoder_q\.' and 'encoder_k\.'",
    ),
    "no tensors": (lambda _: {"epoch": 3}, "holds no state dict"),
    "a list": (lambda _: [1, 2], "holds no state dict"),
    "empty": (lambda _: {}, "holds no state dict"),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=list(MISFITS))
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    change: Change, message: str, state: StateDict, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(change(state), path)
    towers = fresh()
    before = {key: tensor.clone() for key, tensor in towers.network.state_dict().items()}
    with pytest.raises(WeightsUnavailable, match=message) as raised:
        load(path, towers)
    assert str(path) in str(raised.value)
    assert holds(towers, before)


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Payload(tmp_path / "was-run")}, tmp_path / "weights.pt")
    with pytest.raises(WeightsUnavailable, match="more than tensors"):
        load(tmp_path / "weights.pt", fresh())
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_broken_and_missing_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    with pytest.raises(WeightsUnavailable, match=rf"{path} can't be read: No such file"):
        load(path, fresh())
    path.write_bytes(b"not weights at all")
    with pytest.raises(WeightsUnavailable, match=rf"{path} holds no tensors"):
        load(path, fresh())


def test_a_resnet_trained_as_a_sequence_is_loaded(tmp_path: Path) -> None:
    spec = REGISTRY["resnet50"]
    trained = fresh("resnet50").network
    children = nn.Sequential(*list(trained.children())[:-1])
    saved = {f"backbone.{key}": tensor for key, tensor in children.state_dict().items()}
    save_file({**saved, "projection_head.0.weight": torch.zeros(2, 2)}, tmp_path / "simclr.safetensors")
    towers = fresh("resnet50")
    assert not holds(towers, trained.state_dict())
    load_weights(tmp_path / "simclr.safetensors", towers, source_of(spec))
    assert holds(towers, trained.state_dict())


def test_the_checkpoints_of_meta_lose_their_mask_token() -> None:
    spec = REGISTRY["dinov2-small"]
    with torch.device("meta"):
        towers = source_of(spec).build(spec)
    state = {key: torch.zeros(tensor.shape) for key, tensor in towers.network.state_dict().items()}
    assert source_of(spec).adapt({**state, "mask_token": torch.zeros(1, 384)}, towers).keys() == state.keys()

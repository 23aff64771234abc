"""The fingerprint follows weights and preprocessing, and nothing else."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from config.settings import EncoderSettings
from recommender.encoders.compact.model import CompactResNet
from recommender.encoders.fingerprint import fingerprint_of
from recommender.encoders.load import load_encoder
from recommender.encoders.registry import spec_of

COMPACT = spec_of("compact")


def test_another_process_and_another_file_format_give_the_same(compact_weights: Path, tmp_path: Path) -> None:
    here = load_encoder(
        EncoderSettings(weights=str(compact_weights), device="cpu", runtime="torch")
    ).fingerprint
    assert re.fullmatch(r"compact-[0-9a-f]{12}", here)
    torch.save({"model": load_file(compact_weights)}, tmp_path / "same.pt")
    script = (
        "import sys\n"
        "from config.settings import EncoderSettings\n"
        "from recommender.encoders.load import load_encoder\n"
        "print(load_encoder(EncoderSettings(weights=sys.argv[1], device='cpu', runtime='torch')).fingerprint)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "same.pt")]
    there = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603
    assert there.stdout.strip() == here


def test_one_changed_weight_changes_it() -> None:
    network = CompactResNet()
    before = fingerprint_of(COMPACT, network)
    assert fingerprint_of(COMPACT, network) == before
    with torch.no_grad():
        network.stages[0].first[0].weight[0, 0, 0, 0] += 1e-3  # type: ignore[index, operator]
    assert fingerprint_of(COMPACT, network) != before


def test_preprocessing_and_name_change_it() -> None:
    network = CompactResNet()
    other = replace(COMPACT, preprocessing=replace(COMPACT.preprocessing, interpolation="bilinear"))
    renamed = replace(COMPACT, name="mine")
    assert len({fingerprint_of(spec, network) for spec in (COMPACT, other, renamed)}) == 3


def test_the_same_weights_at_another_resolution_are_another_encoder() -> None:
    network = CompactResNet()
    assert fingerprint_of(COMPACT, network)[-12:] != fingerprint_of(spec_of("compact-128"), network)[-12:]


def test_memory_layout_and_training_counters_do_not() -> None:
    network = CompactResNet()
    before = fingerprint_of(COMPACT, network)
    network.stem[0][1].num_batches_tracked += 7  # type: ignore[index, operator]
    assert fingerprint_of(COMPACT, network.to(memory_format=torch.channels_last)) == before

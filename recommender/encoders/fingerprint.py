"""What tells two encoders apart in the index."""

import dataclasses
import hashlib
import json

import torch
from torch import nn

from recommender.encoders.protocol import EncoderSpec


def fingerprint_of(spec: EncoderSpec, network: nn.Module) -> str:
    """Return `NAME-` and 12 hex digits of the SHA-256 over the preprocessing and the loaded weights.

    The same weights give the same fingerprint whatever file they came in; the device, the runtime and half
    precision are not part of it, so that CPU and GPU processes share an index.
    """
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(spec.preprocessing), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith("num_batches_tracked"):  # counts training steps; the embeddings don't depend on it
            continue
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return f"{spec.name}-{digest.hexdigest()[:12]}"


def int8_fingerprint_of(fingerprint: str, calibration_sha256: str) -> str:
    """Tell an encoder in int8 from the one in floating point, and from one calibrated on other images."""
    name, _, floating = fingerprint.rpartition("-")
    digest = hashlib.sha256(f"int8 {floating} {calibration_sha256}".encode())
    return f"{name}-{digest.hexdigest()[:12]}"

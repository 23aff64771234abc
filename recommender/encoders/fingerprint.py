"""What tells two encoders apart in the index."""

import dataclasses
import hashlib
import json

import torch
from torch import nn

from recommender.encoders.protocol import EncoderSpec


def fingerprint_of(spec: EncoderSpec, network: nn.Module) -> str:
    """Return `NAME-` and 12 hex digits of the SHA-256 over the preprocessing and the loaded weights.

    The same weights give the same fingerprint whatever file they came in; the device and the
    precision of the computation are not part of it, so that CPU and GPU processes share an index.
    """
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(spec.preprocessing), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith("num_batches_tracked"):  # counts training steps; the embeddings don't depend on it
            continue
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return f"{spec.name}-{digest.hexdigest()[:12]}"

"""The doctor on the device and the weights."""

from collections.abc import Iterator

import torch

from config.settings import PREFIX, EncoderSettings, Settings
from recommender.encoders.protocol import Encoder
from worker.doctor.finding import Finding, fix, ok, warn

ROOM_BYTES = 2**30
REMEDY = f"see {PREFIX}ENCODER__NAME, {PREFIX}ENCODER__WEIGHTS and {PREFIX}ENCODER__DEVICE"


def look_at_device(settings: Settings) -> Iterator[Finding]:
    """What the encoder will run on."""
    wanted = settings.encoder.device
    if not torch.cuda.is_available():
        if wanted == "cuda":
            remedy = (
                f"install the GPU's driver (and the container toolkit), or set {PREFIX}ENCODER__DEVICE=auto"
            )
            yield fix("device", "cuda is asked for, and torch sees no GPU", remedy)
        else:
            yield ok("device", f"cpu, {settings.encoder.threads or torch.get_num_threads()} threads")
        return
    if wanted == "cpu":
        yield ok("device", f"cpu by configuration; {torch.cuda.get_device_name()} is not used")
        return
    free, total = torch.cuda.mem_get_info()
    found = f"cuda: {torch.cuda.get_device_name()}, {free // 2**20} of {total // 2**20} MiB free"
    if free < ROOM_BYTES:
        yield warn("device", found, "one process a GPU: see what else is on it")
    else:
        yield ok("device", found)


def encoder_loaded(encoder: Encoder, configured: EncoderSettings) -> Finding:
    """What was loaded, and what the settings say where that is something else."""
    found = f"{encoder.fingerprint} on {encoder.device}, dimension {encoder.spec.dimension}"
    if encoder.spec.name != configured.name:
        found += f"; the alias says so, where {PREFIX}ENCODER__NAME is {configured.name}"
    return ok("encoder", found)

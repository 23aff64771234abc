"""What measured: the processor, its cores and features, and the versions of what takes part."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "onnxruntime",
    "openvino",
    "pillow",
    "simplejpeg",
    "torchcodec",
    "fastembed",
    "boto3",
    "urllib3",
    "celery",
    "redis",
    "qdrant-edge-py",
)
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def describe() -> dict[str, Any]:
    """As JSON, for the raw results."""
    said = dict(_lines(Path("/proc/cpuinfo").read_text()))
    flags = set(said.get("flags", "").split())
    return {
        "processor": said.get("model name", platform.processor()),
        "family": f"{said.get('cpu family')}/{said.get('model')}",
        "features": [name for name in _FEATURES if name in flags],
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        **_gpu(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _gpu() -> dict[str, str]:
    """Name, memory and driver of the first GPU, where there is one."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return {}
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    said = subprocess.run([command, *query], capture_output=True, text=True, check=False)
    first = next(iter(said.stdout.splitlines()), "")
    return {"gpu": first} if said.returncode == 0 and first else {}


def _lines(text: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in text.splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

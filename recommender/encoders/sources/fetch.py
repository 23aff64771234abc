"""Fetch weights from the Hugging Face Hub or a URL into the usual caches; fail soon, and clearly."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch.hub
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from config.settings import PREFIX
from recommender.encoders.protocol import EncoderSpec
from recommender.errors import WeightsUnavailable

_TIMEOUT_S = 10


def from_hub(spec: EncoderSpec, repository: str, names: Sequence[str]) -> Path:
    """Return the first of these files that the repository has, from the cache if it lies there.

    Raises:
        WeightsUnavailable: none is cached, and the hub can't be reached or has none.
    """
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    try:
        for name in names:
            if _hub_has(repository, name):
                return Path(hf_hub_download(repository, name))
    except Exception as exc:  # the hub's client lets the errors of its HTTP library through
        raise unavailable(spec, f"{repository} on the Hugging Face Hub: {_first_line(exc)}") from exc
    raise unavailable(spec, f"{repository} on the Hugging Face Hub has none of {', '.join(names)}")


def from_url(spec: EncoderSpec, url: str) -> Path:
    """Return torch.hub's cached copy of a URL, fetched if need be; its name holds its checksum.

    Raises:
        WeightsUnavailable: it is not cached and can't be fetched.
    """
    name = Path(urlparse(url).path).name
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    if target.exists():
        return target
    checksum = torch.hub.HASH_REGEX.search(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _reach(url)
        torch.hub.download_url_to_file(url, str(target), checksum.group(1) if checksum else None)
    except (OSError, RuntimeError) as exc:  # RuntimeError: the checksum is wrong
        raise unavailable(spec, f"{url}: {_first_line(exc)}") from exc
    return target


def unavailable(spec: EncoderSpec, reason: str) -> WeightsUnavailable:
    """Compose the one message, with the ways out."""
    return WeightsUnavailable(
        f"the weights of the encoder {spec.name!r} can't be fetched: {reason}\n"
        f"Three ways out:\n"
        f"- start it once where there is a network, and bring the cache (HF_HOME, TORCH_HOME) along;\n"
        f"- set {PREFIX}ENCODER__WEIGHTS to a local .safetensors or .pt file for {spec.architecture};\n"
        f"- set {PREFIX}ENCODER__NAME=compact: its weights are part of the package."
    )


def _hub_has(repository: str, name: str) -> bool:
    """Ask once, without the retries of hf_hub_download, which last minutes where nothing answers."""
    try:
        get_hf_file_metadata(hf_hub_url(repository, name), timeout=_TIMEOUT_S)
    except EntryNotFoundError:
        return False
    return True


def _reach(url: str) -> None:
    """Ask once with a deadline: torch.hub has none."""
    with urlopen(Request(url, method="HEAD"), timeout=_TIMEOUT_S):  # noqa: S310  # a URL of the registry
        pass


def _first_line(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]

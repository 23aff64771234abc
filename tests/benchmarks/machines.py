"""Which machine measured what, and the section on GPUs."""

import json
from typing import Any

from tests.benchmarks.result import Result
from tests.benchmarks.tables import limits, of, rivals, table


def machines(results: dict[str, Result]) -> str:
    """What measured; every machine with its rows, where there are several."""
    groups = _groups(results)
    if len(groups) == 1:
        return f"Measured on {_described(next(iter(groups.values())))}\n"
    lines = [f"- {', '.join(r.row for r in group)}: on {_described(group)}" for group in groups.values()]
    return "\n".join(["Measured on several machines, or with other versions or photos:", "", *lines, ""])


def in_section(results: dict[str, Result], prefixes: tuple[str, ...]) -> str:
    """A line that names the machine of a section's rows, where not all of the page have the same."""
    if len(_groups(results)) == 1:
        return ""
    found = [result for prefix in prefixes for result in of(results, prefix)]
    names = {_name(result.machine): None for result in found}
    return f"\nMeasured on {'; '.join(names)}.\n" if names else ""


def _groups(results: dict[str, Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results.values():
        key = json.dumps([result.machine, result.facts.get("photos"), result.facts.get("object store")])
        groups.setdefault(key, []).append(result)
    return groups


def _name(said: dict[str, Any]) -> str:
    gpu = f", with a GPU: {said['gpu']}" if "gpu" in said else ""
    return f"{said['cores']} cores of {said['processor']}{gpu}"


def _described(group: list[Result]) -> str:
    said, facts = group[0].machine, group[0].facts
    versions = ", ".join(f"{name} {version}" for name, version in said["versions"].items())
    mean_bytes = {px: size for result in group for px, size in result.facts["mean bytes"].items()}
    sizes = ", ".join(f"{px} px: {size / 1000:.0f} kB" for px, size in sorted(mean_bytes.items()))
    return (
        f"{_name(said)} (family/model {said['family']}; {', '.join(said['features'])}), "
        f"{said['memory_gib']} GiB; {facts['photos']} as JPEGs of quality 88 ({sizes}), served by "
        f"{facts['object store']}. Python {said['python']}, {versions}."
    )


def gpu(results: dict[str, Result]) -> str:
    """The same on a GPU, whose limit is the lesser of F and D; or that it was not measured."""
    measured = [result for result in of(results, "cuda-") if result.find("F")]
    how = "`python -m tests.benchmarks.gpu` measures F, D and ours, and decoding on the GPU."
    if not measured:
        return f"## GPUs\n\nNot measured: no GPU was at hand. {how}\n"
    decoding = ""
    if "cuda-decoding" in results:
        result = results["cuda-decoding"]
        rows = [[str(figure.px), figure.name, figure.what, str(figure)] for figure in result.figures]
        said = f"{result.facts['iterations with corrupted memory']} of 200 iterations corrupted memory; "
        said += f"against our decoder: {result.facts['GPU decode against ours']}."
        decoding = f"\n{said}\n\n{table(('px', 'decoder', 'settings', 'images/s'), rows)}"
    said = "half precision; limit: min(F, D). "
    return f"## GPUs\n\n{said}{how}\n\n{limits(measured)}\n{rivals(measured)}{decoding}"

"""The gates in full: our decode and resize, batches, half and int8, on the photos that are given."""

from pathlib import Path

from tests.benchmarks.pictures import evenly
from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene
from tests.photos import photos

PHOTOS = 1000
CALIBRATING = 200


def run(scene: Scene) -> Result:
    """The row `exactness`: with compact, whose weights are trained."""
    result = scene.result("exactness")
    files, products = files_of(scene)
    result.facts["photos"] = f"{len(files)}, of {len(set(products))} classes or products"
    calibration = _calibration(scene, files)
    model = scene.model("compact")
    whats = {
        "decode and resize": {"what": "transform"},
        "the same image alone and in a batch": {"what": "batch"},
        "half precision": {"what": "precision", "settings": model.as_options(precision="half")["settings"]},
        "int8": {
            "what": "precision",
            "settings": model.as_options(precision="int8", calibration=str(calibration))["settings"],
        },
    }
    options = model.as_options() | {"files": files, "products": products}
    with scene.contender("exactness", **options) as contender:
        for name, request in whats.items():
            scene.say(f"exactness: {name}")
            result.facts[name] = contender.ask(**request)
    return result


def files_of(scene: Scene) -> tuple[list[str], list[str]]:
    """Given photos, CLASS/*.jpg; else those of the tests."""
    if scene.photos is None:
        return [str(photo.path) for photo in photos()], [photo.product for photo in photos()]
    files = evenly(sorted(scene.photos.rglob("*.jpg")), PHOTOS)
    return [str(path) for path in files], [path.parent.name for path in files]


def _calibration(scene: Scene, files: list[str]) -> Path:
    """Other photos than those that are judged, where there are enough."""
    folder = scene.folder / "calibration"
    folder.mkdir(exist_ok=True)
    given = sorted(scene.photos.rglob("*.jpg")) if scene.photos else []
    others = [path for path in given if str(path) not in set(files)] or [Path(name) for name in files]
    for number, path in enumerate(evenly(others, CALIBRATING)):
        link = folder / f"{number}.jpg"
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    return folder

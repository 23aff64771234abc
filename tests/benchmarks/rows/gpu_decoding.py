"""JPEG decoding on the GPU against the CPU: rates, corrupted memory, and what is found."""

from tests.benchmarks.result import Result
from tests.benchmarks.rows.exactness import files_of
from tests.benchmarks.scene import Scene
from tests.benchmarks.store import BUCKET

ITERATIONS = 200
PHOTOS = 480


def run(scene: Scene) -> Result:
    """The row `cuda-decoding`: torchvision's nvJPEG in batches, our decoder in one thread a core."""
    result = scene.result("cuda-decoding")
    files, products = files_of(scene)
    options = scene.model("compact").as_options(device="cuda")
    with scene.contender("gpu_decode", **options, files=files[:PHOTOS], products=products[:PHOTOS]) as gpu:
        result.facts["iterations with corrupted memory"] = gpu.ask(what="corruption", times=ITERATIONS)
        result.facts["GPU decode against ours"] = gpu.ask(what="overlap")
        with scene.contender("decode", encoder="compact") as cpu:
            for px in scene.sides:
                folder = scene.store_root / BUCKET / str(px)
                for _ in range(scene.rounds):
                    rate = gpu.ask(what="rate", folder=str(folder), seconds=scene.seconds)
                    result.figure("GPU", "nvJPEG, batches of 32", px=px).values.append(rate)
                    rate = cpu.ask(fetch="memory", decoder="ours", threads=16, px=px, seconds=scene.seconds)
                    result.figure("CPU", "ours, 16 threads", px=px).values.append(rate)
    return result

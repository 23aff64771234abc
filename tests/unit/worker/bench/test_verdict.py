import pytest

from worker.bench.verdict import Name, Stage, judge


def stages(fetch: float, decode: float, device: float, index: float) -> list[Stage]:
    rates: dict[Name, float] = {"fetch": fetch, "decode": decode, "device": device, "index": index}
    return [Stage(name, rate, "") for name, rate in rates.items()]


@pytest.mark.parametrize(
    ("rates", "bound_by", "says"),
    [
        ((10, 1000, 1000, 1000), "fetch", "LOOKALIKE_IMAGES__THREADS is 16"),
        ((1000, 10, 1000, 1000), "decode", "224 px"),
        ((1000, 1000, 10, 1000), "device", "LOOKALIKE_ENCODER__PRECISION"),
        ((1000, 1000, 1000, 10), "index", "server"),
    ],
)
def test_the_slowest_stage_bounds_it(rates: tuple[float, ...], bound_by: str, says: str) -> None:
    verdict = judge(stages(*rates), whole=10, device="cpu", threads=16, input_px=224)
    assert verdict.bound_by == bound_by
    assert says in verdict.advice


def test_on_a_cpu_the_stages_share_the_cores() -> None:
    verdict = judge(stages(900, 100, 100, 100), whole=30, device="cpu", threads=16, input_px=224)
    assert verdict.limit == pytest.approx(100 / 3)


def test_a_gpu_works_beside_the_cores() -> None:
    verdict = judge(stages(900, 100, 40, 100), whole=40, device="cuda", threads=16, input_px=224)
    assert verdict.limit == 40


@pytest.mark.parametrize(("whole", "told"), [(39, True), (41, False)])
def test_time_that_is_lost_between_the_stages_is_told(whole: float, told: bool) -> None:
    verdict = judge(stages(900, 150, 150, 150), whole=whole, device="cpu", threads=16, input_px=224)
    assert ("of what the stages allow" in verdict.advice) is told

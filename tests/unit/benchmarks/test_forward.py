"""How the bare forward is counted."""

from threading import Lock
from typing import Any

import pytest
from torch import Tensor

from tests.benchmarks.contenders.forward import Forward, _Loop


class Recorded:
    """Notes what is asked of a runtime, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._lock = Lock()

    def place(self, pixels: Tensor) -> Any:
        self.said.append(f"place {len(pixels)}")
        return pixels

    def call(self, _: Any) -> None:
        with self._lock:
            self.said.append("call")

    def finish(self) -> None:
        self.said.append("finish")


@pytest.mark.parametrize("callers", [1, 2])
def test_input_is_placed_once_and_the_device_waited_for_once(callers: int) -> None:
    runtime = Recorded()
    loop = _Loop(Forward(runtime.call, runtime.place, runtime.finish, callers), side_px=4)
    assert loop.rate(8, 0.01) > 0
    assert runtime.said[:1] == ["place 8"]
    runtime.said.clear()
    assert loop.rate(8, 0.01) > 0
    assert runtime.said[-1] == "finish"
    assert runtime.said.count("finish") == 1
    assert not runtime.said.count("call") % callers
    assert "place 8" not in runtime.said


def test_a_slow_runtime_is_called_no_oftener_than_it_must() -> None:
    runtime = Recorded()
    loop = _Loop(Forward(runtime.call, runtime.place, runtime.finish), side_px=4)
    loop.rate(8, 0.0)
    assert runtime.said.count("call") == 2  # one that warms it up, and one that is counted

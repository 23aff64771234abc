import pytest

from recommender.index.strategy import EXACT, Strategy, choose

N = 100_000
GRAPH = Strategy("graph", ef=100)
WIDE = Strategy("wide", ef=3072)
ACORN = Strategy("acorn", acorn=True, ef=1024)


@pytest.mark.parametrize(
    ("points", "matching", "excluded", "expected"),
    [
        (N, N, 0, GRAPH),
        (N, N, 8, GRAPH),
        (N, N, 9, WIDE),  # the excluded may be all that is near
        (3200, 3200, 1, EXACT),
        (3201, 3201, 1, GRAPH),
        (N, N - 1, 1, WIDE),
        (N, 80_000, 1, EXACT),
        (N, 4_000, 1, EXACT),
        (N, 0, 1, EXACT),
        (0, 0, 0, EXACT),
        (2 * N, 98_304, 0, EXACT),
        (N, 98_304, 0, EXACT),
        (N, 98_305, 0, WIDE),
        (40 * N, 131_072, 0, EXACT),
        (40 * N, 131_073, 0, ACORN),
        (40 * N, 20 * N, 0, WIDE),
    ],
)
def test_the_cheapest_search_that_is_right(
    points: int, matching: int, excluded: int, expected: Strategy
) -> None:
    assert choose(points=points, matching=matching, excluded=excluded, wanted=12) == expected


def test_a_beam_is_twice_as_wide_as_what_is_wanted_and_excluded() -> None:
    assert choose(points=10 * N, matching=10 * N, excluded=0, wanted=1000) == Strategy("graph", ef=2000)
    assert choose(points=10 * N, matching=10 * N, excluded=1000, wanted=1000).ef == 4000
    assert choose(points=60_000, matching=60_000, excluded=0, wanted=1000) == EXACT  # costs less by then

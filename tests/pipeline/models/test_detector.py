"""The size of resized images."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.detector import resized_size

SIDES = st.integers(1, 20_000)


@given(SIDES, SIDES, st.integers(32, 1000), st.integers(0, 1000))
def test_resized_size_reaches_a_limit_and_passes_none(
    height: int, width: int, min_size: int, extra: int
) -> None:
    max_size = min_size + extra
    resized = resized_size(height, width, min_size, max_size)
    assert 1 <= min(resized) <= min_size and max(resized) <= max_size
    assert min(resized) == min_size or max(resized) == max_size
    assert resized == resized_size(width, height, min_size, max_size)[::-1]


def test_resized_size_does_not_lose_a_row_to_rounding() -> None:
    # int(480 * (416 / 360)) is 554 in float64 and the shorter side 415, not 416.
    assert resized_size(360, 480, 416, 640) == (416, 554)

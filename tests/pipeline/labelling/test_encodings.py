"""Run lengths of CVAT and Label Studio: the tools' own bytes, round trips, malformed input."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.labelling.brush_rle import decode_brush, encode_brush
from pipeline.labelling.cvat import decode_mask_runs, encode_mask_runs
from tests.pipeline.labelling.cases import Mask, random_masks

BRUSH = [
    0, 0, 0, 140, 57, 27, 254, 31, 0, 194, 127, 243, 128, 79, 255, 24, 4, 255, 243, 128, 97, 63, 252, 54, 1,
    31, 248,
]  # fmt: skip
"""What label_studio_sdk 2.1.2 (``mask2rle``) makes of ``small_mask()``."""
RUNS = [0, 5, 1, 2, 1, 2, 1, 5, 6, 1]
"""What cvat_sdk 2.80 (``encode_mask``) makes of it; its box is (1, 1) to (6, 4), both included."""


def small_mask() -> Mask:
    mask = np.zeros((5, 7), bool)
    mask[1:4, 1:6] = True
    mask[2, 3] = False
    mask[4, 6] = True
    return mask


def test_brush_is_encoded_as_label_studio_does() -> None:
    assert encode_brush(small_mask()) == BRUSH
    assert np.array_equal(decode_brush(BRUSH, 7, 5), small_mask())


def test_runs_are_encoded_as_cvat_does() -> None:
    assert encode_mask_runs(small_mask()) == (RUNS, (1, 1, 6, 4))
    assert np.array_equal(decode_mask_runs(RUNS, (1, 1, 6, 4), (7, 5)), small_mask())


def test_random_masks_survive() -> None:
    for mask in random_masks(50):
        height, width = mask.shape
        assert np.array_equal(decode_brush(encode_brush(mask), width, height), mask)
        runs, box = encode_mask_runs(mask)
        assert np.array_equal(decode_mask_runs(runs, box, (width, height)), mask)


@pytest.mark.parametrize("value", [False, True])
def test_runs_longer_than_a_block_survive(value: bool) -> None:
    mask = np.full((300, 301), value)  # 361,200 equal bytes; a block has at most 65,536
    assert np.array_equal(decode_brush(encode_brush(mask), 301, 300), mask)


def pack(values: list[int], *, repeated: bool) -> list[int]:
    """Encode bytes as blocks of single values, or each as a block of one repeated value."""
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    if repeated:
        bits += "".join(f"100{0:03b}{value:08b}" for value in values)
    else:
        bits += f"010{len(values) - 1:08b}" + "".join(f"{value:08b}" for value in values)
    size = -(-len(bits) // 8)
    return list(int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big"))


@pytest.mark.parametrize("repeated", [False, True])
def test_soft_edges_count_from_half_of_the_largest_alpha(repeated: bool) -> None:
    alpha = [0, 40, 127, 128, 255, 255]
    pixels = [byte for value in alpha for byte in (9, 250, 9, value)]
    mask = decode_brush(pack(pixels, repeated=repeated), 3, 2)
    assert mask.tolist() == [[False, False, False], [True, True, True]]


def test_faint_strokes_of_other_programs_are_objects() -> None:
    pixels = [byte for value in (0, 1, 1, 0) for byte in (value,) * 4]
    assert decode_brush(pack(pixels, repeated=False), 2, 2).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        (BRUSH[:-3], "cut off"),
        ([], "cut off"),
        ([0, 0, 0, 136, *BRUSH[4:]], "has 136 values, but the image needs 140"),
        ([256], "not a list of bytes"),
        ([True], "not a list of bytes"),
        ("AAAA", "not a list of bytes"),
        (None, "not a list of bytes"),
    ],
)
def test_malformed_brush_is_named(rle: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_brush(rle, 7, 5)


def test_brush_with_too_many_values_is_refused() -> None:
    bits = f"{4:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16)) + f"100{7:03b}{255:08b}"
    size = -(-len(bits) // 8)
    rle = list(int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big"))
    with pytest.raises(ValueError, match="more values than it says"):
        decode_brush(rle, 1, 1)


@pytest.mark.parametrize(
    ("runs", "box"),
    [([0, 3], (0, 0, 2, 2)), ([-1, 5], (0, 0, 2, 2)), ([0], (0, 0, 0, 0)), ([10**10], (0, 0, 10**5, 10**5))],
)
def test_malformed_runs_are_refused(runs: list[int], box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="box"):
        decode_mask_runs(runs, box, (7, 5))


def test_runs_beyond_the_image_are_cut_off() -> None:
    mask = decode_mask_runs([0, 16], (-2, 3, 4, 4), (7, 5))
    assert mask.sum() == 4 and mask[3:, :2].all()

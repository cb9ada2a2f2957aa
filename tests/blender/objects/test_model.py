"""Warnings about the size of users' models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender.assets import Assets
from blender.geometry.model_info import ModelFile, ModelPart
from blender.objects import hall, model

Size = tuple[float, float, float]


def warnings(*parts: Size, scale: float = 1.0) -> list[str]:
    """Return the warnings about a model of these parts, in halls of 10 to 18 m."""
    pieces = tuple(ModelPart(f"part {n}", (0, 0, 0), size) for n, size in enumerate(parts))
    high = tuple(max(sizes) for sizes in zip(*parts, strict=True))
    assert len(high) == 3
    file = ModelFile(Path("m.glb"), (0, 0, 0), high, pieces)
    assets = Assets(Path(), (), "", {"m.glb": file})
    return model.warnings(model.Ranges("m.glb", scale), assets, hall.Ranges(length=(10.0, 18.0)))


@pytest.mark.parametrize(
    ("size", "scale", "message"),
    [
        ((600, 400, 800), 1, "m.glb is 600 m wide (600 x 400 x 800 m with scale = 1); halls are 10 to 18 m: "
         "is scale = 0.001 meant? (millimetres)"),
        ((60, 40, 80), 1, "is scale = 0.01 or 0.0254 meant? (centimetres or inches)"),
        ((600, 400, 800), 0.1, "is scale = 0.001 or 0.00254 meant?"),
        ((2, 3, 1500), 1, "m.glb is 1500 m high"),
        ((1e6, 1, 1), 1, "halls are 10 to 18 m; check its scale"),
        ((6e-4, 4e-4, 8e-4), 1, "too small to be seen: is scale = 1000 meant?"),
    ],
)  # fmt: skip
def test_size_is_named_and_the_unit_guessed(size: Size, scale: float, message: str) -> None:
    lines = warnings(size, scale=scale)
    assert len(lines) == 1 and message in lines[0]


@pytest.mark.parametrize("parts", [[(0.6, 0.4, 0.8)], [(3.2, 1.1, 2.2), (0.1, 0.1, 0.1)], [(8.0, 2.5, 3.0)]])
def test_usual_sizes_give_no_warning(parts: list[Size]) -> None:
    assert warnings(*parts) == []


@pytest.mark.parametrize("ground", [(50, 50, 0), (6, 4, 0.01), (200, 200, 100)])
def test_floor_in_the_file_is_named_instead_of_a_unit(ground: Size) -> None:
    (line,) = warnings((0.6, 0.4, 0.8), ground)
    assert f"m.glb is {ground[0]} m wide because of its part 'part 1'" in line
    assert "without it, the model is 0.6 x 0.4 x 0.8 m" in line and "scale" not in line


@given(
    st.tuples(*[st.floats(1e-5, 1e6)] * 3),
    st.sampled_from((1.0, 0.001, 0.01, 100.0)),
)
@settings(max_examples=200, deadline=None)
def test_warned_exactly_outside_halls_and_pixels_and_each_guess_is_plausible(
    size: Size, scale: float
) -> None:
    lines = warnings(size, scale=scale)
    wide, high = max(size[:2]) * scale, size[2] * scale
    assert bool(lines) == (wide > 10 or high > hall.Ranges().height[1] or max(wide, high) < 0.02)
    for guess in re.findall(r"is scale = (.*) meant", lines[0] if lines else ""):
        assert all(0.19 <= max(size) * float(number) <= 4.1 for number in guess.split(" or "))

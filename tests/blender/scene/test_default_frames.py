"""What 200 frames of the default profile show: sizes, hidden shares, kinds of view; without their light."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender.assets import load_assets
from blender.config.run import load_config
from blender.objects.pallet_truck import VARIANTS
from blender.rendering import annotations, passes
from blender.rendering.builder import build_scene
from blender.rendering.device import Device, use_device
from blender.rendering.frame import frame_scene
from blender.scene.layouts import LAYOUTS
from tests.conftest import ROOT, run

PROFILE = ROOT / "assets/profiles/default.toml"
FRAMES = 200
WIDTH, HEIGHT, LEAST_PIXELS, LEAST_VISIBLE = 320, 240, 88, 0.25
"""A quarter of the default's pixels; its floors for what is labelled."""


@pytest.mark.slow
def test_two_hundred_frames(tmp_path: Path) -> None:
    assert run("-m", "pipeline", "people", "--profile", PROFILE, "--out", tmp_path / "people").returncode == 0
    assets, config = load_assets(tmp_path / "people"), load_config(PROFILE, "train")
    config = dataclasses.replace(
        config, render=dataclasses.replace(config.render, width=WIDTH, height=HEIGHT)
    )
    seen: dict[str, Counter[Any]] = {
        name: Counter()
        for name in ("layout", "mount", "lens", "variant", "pose", "labelled", "truncated", "far")
    }
    widths, visible = [], []
    for frame in range(FRAMES):
        spec = frame_scene(config, assets, frame)
        placed = build_scene(spec, config, assets)
        use_device(Device("CPU"), 1)
        ids, _ = passes.render_ids(tmp_path)
        seen["layout"][spec.layout] += 1
        seen["mount"][spec.camera.mount] += 1
        seen["lens"][spec.camera.lens] += 1
        found = annotations.instance_records(placed, ids, spec.camera, assets)
        seen["labelled"][bool(found)] += 1
        for one in found:
            if one.visible_pixels < LEAST_PIXELS or one.visible_fraction < LEAST_VISIBLE:
                continue
            if one.category == "pedestrian":
                seen["pose"][one.parameters["pose"]] += 1
                continue
            seen["variant"][one.parameters["variant"]] += 1
            seen["truncated"][one.truncated] += 1
            seen["far"][one.distance > 7] += 1
            across = np.flatnonzero((ids == one.id).any(0))
            widths.append((across[-1] - across[0] + 1) / WIDTH)
            visible.append(one.visible_fraction)
    print({name: dict(counts) for name, counts in seen.items()}, len(widths), np.median(widths))
    assert 0.06 <= np.median(widths) <= 0.14
    assert np.mean(np.array(visible) < 0.99) >= 0.4
    assert set(seen["layout"]) == set(LAYOUTS)
    assert set(seen["mount"]) == set(config.scene.camera.mounts)
    assert set(seen["lens"]) == set(config.scene.camera.lenses)
    assert set(seen["variant"]) == set(VARIANTS)
    assert set(seen["pose"]) == {person["pose"] for person in assets.people}
    assert seen["truncated"][True] and seen["truncated"][False] and seen["far"][True]
    assert 0.1 <= seen["labelled"][False] / FRAMES <= 0.2

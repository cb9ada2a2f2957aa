"""Statistics of 200 default frames: sizes, visibility, mounts, lenses, layouts; rendered without light."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.objects.pallet_truck import VARIANTS
from blender.rendering import passes
from blender.rendering.builder import build_scene
from blender.rendering.device import Device, use_device
from blender.rendering.frame import frame_scene
from blender.rendering.instance_records import instance_records
from blender.scene.layouts import LAYOUTS
from tests.conftest import ROOT, run

PROFILE = ROOT / "assets/profiles/default.toml"
FRAMES = 200
WIDTH, HEIGHT, LEAST_PIXELS, LEAST_VISIBLE = 320, 240, 88, 0.25
"""A quarter of the default's pixels, and its lower limits for labelled objects."""


@pytest.mark.slow
def test_default_frames_vary_in_all_factors_and_sizes(tmp_path: Path) -> None:
    assert run("-m", "pipeline", "people", "--profile", PROFILE, "--out", tmp_path / "people").returncode == 0
    assets, config = load_assets(tmp_path / "people"), load_config(PROFILE, "train")
    config = dataclasses.replace(
        config, render=dataclasses.replace(config.render, width=WIDTH, height=HEIGHT)
    )
    counts: dict[str, Counter[Any]] = {
        name: Counter()
        for name in ("layout", "mount", "lens", "variant", "pose", "labelled", "truncated", "far")
    }
    widths, visible_fractions = [], []
    near = config.scene.objects["pallet_truck_near"].distance[1]
    for frame in range(FRAMES):
        spec = frame_scene(config, assets, frame)
        placed = build_scene(spec, config, assets)
        use_device(Device("CPU"), 1)
        ids, _ = passes.render_ids(tmp_path)
        counts["layout"][spec.layout] += 1
        counts["mount"][spec.camera.mount] += 1
        counts["lens"][spec.camera.lens] += 1
        records = instance_records(placed, ids, spec.camera, assets)
        instances = [record for record in records if record.category in config.classes]
        counts["labelled"][bool(instances)] += 1
        for instance in instances:
            if instance.visible_pixels < LEAST_PIXELS or instance.visible_fraction < LEAST_VISIBLE:
                continue
            if instance.category == "pedestrian":
                counts["pose"][instance.parameters["pose"]] += 1
                continue
            counts["variant"][instance.parameters["variant"]] += 1
            counts["truncated"][instance.truncated] += 1
            counts["far"][instance.distance > 7] += 1
            if instance.distance > near:
                across = np.flatnonzero((ids == instance.id).any(0))
                widths.append((across[-1] - across[0] + 1) / WIDTH)
            visible_fractions.append(instance.visible_fraction)
    print({name: dict(counter) for name, counter in counts.items()}, len(widths), np.median(widths))
    assert 0.06 <= np.median(widths) <= 0.14
    assert np.mean(np.array(visible_fractions) < 0.99) >= 0.4
    assert set(counts["layout"]) == set(LAYOUTS)
    assert set(counts["mount"]) == set(config.scene.camera.mounts)
    assert set(counts["lens"]) == set(config.scene.camera.lenses)
    assert set(counts["variant"]) == set(VARIANTS)
    assert set(counts["pose"]) == {person["pose"] for person in assets.people}
    assert counts["truncated"][True] and counts["truncated"][False] and counts["far"][True]
    assert 0.1 <= counts["labelled"][False] / FRAMES <= 0.2

"""Labels of partly hidden objects, compared with an independent computation in ``tests.helpers.painter``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config
from blender.contract import KEYPOINTS, RunLengths
from blender.geometry.mesh import Part, bounds
from blender.kinds import find_kind
from blender.objects.pallet_truck.livery import livery_of
from blender.objects.pallet_truck.tiller import hand_tiller
from blender.spec import ObjectSpec
from tests.helpers.assets import NO_ASSETS
from tests.helpers.ground_truth import assert_painted, person, render_ground_truth, solid_of, truck
from tests.helpers.painter import EYE, FOCAL, HEIGHT, behind_boxes, paint_with_certainty, solid, to_pixels


def decode_run_lengths(runs: RunLengths | None) -> np.ndarray:
    """Decode run lengths to a mask, independently of the code that encodes them."""
    assert runs is not None and len(runs.counts) > 1 and all(n > 0 for n in runs.counts[1:])
    values = np.arange(len(runs.counts)) % 2 == 1
    return np.repeat(values, runs.counts).reshape(runs.size[::-1]).T


def joint_pixels(pedestrian: ObjectSpec, people: Assets) -> np.ndarray:
    """Project the joints of a person who faces the camera to pixels, (17, 2)."""
    joints = find_kind("pedestrian").keypoints(pedestrian.params, people)
    assert joints is not None
    return to_pixels(joints * [-1, -1, 1] + pedestrian.position)


RACK = {
    "uprights": "blue", "beams": "orange", "bays": 2, "levels": 2, "pitch": 1.9, "top": 1.3, "fill": 0.0,
    "floor_fill": 0.0, "open": [True, True], "decks": False, "seed": 0, "base": 0.0,
    "rise": 0.0, "load": {"none": 1.0}, "wrapped": 0.0, "picking": 0, "shelves": "bins", "labels": "none",
    "protectors": "none",
    "protector_paint": "yellow", "ends": "none", "looks": [0],
}  # fmt: skip
UPRIGHT = slice(117, 123)
"""Columns that the upright hides: it is 0.09 m wide and 3 m away, so 0.09 * 200 / 3 = 6 columns at the
centre."""


def test_upright_hides_exactly_its_columns_of_a_person(
    people: Assets, config: Config, tmp_path: Path
) -> None:
    pedestrian = person(people, 6.0)
    rack = ObjectSpec("rack", RACK, (3.0, 0.0, 0.0), -np.pi / 2)
    ids, amodal, (instance,) = render_ground_truth([rack, pedestrian], config, people, tmp_path)
    behind, before = solid_of(1, pedestrian, people), solid_of(0, rack, people)
    assert_painted(ids, [behind, before], 0.05)
    assert_painted(amodal[1], [behind], 0.05)
    visible = amodal[1].copy()
    visible[:, UPRIGHT] = False
    assert np.array_equal(ids == 1, visible), "the upright hides six columns and nothing else"
    assert np.array_equal(decode_run_lengths(instance.amodal), amodal[1])
    total, hidden = int(amodal[1].sum()), int(amodal[1][:, UPRIGHT].sum())
    assert (instance.visible_pixels, instance.amodal_pixels) == (total - hidden, total)
    assert instance.visible_fraction == round(1 - hidden / total, 4)
    assert 0.2 < hidden / total < 0.6
    assert visible[:, :117].any() and visible[:, 123:].any(), "the person is visible in two pieces"
    assert not instance.truncated


def test_keypoints_behind_the_upright_are_labelled_as_hidden(
    people: Assets, config: Config, tmp_path: Path
) -> None:
    pedestrian = person(people, 6.0)
    rack = ObjectSpec("rack", RACK, (3.0, 0.0, 0.0), -np.pi / 2)
    _, _, (instance,) = render_ground_truth([rack, pedestrian], config, people, tmp_path)
    expected = joint_pixels(pedestrian, people)
    keypoints = np.array(instance.keypoints)
    assert keypoints[:, :2] == pytest.approx(expected, abs=0.0051)
    hidden = (expected[:, 0] >= UPRIGHT.start) & (expected[:, 0] < UPRIGHT.stop)
    names = [name for name, is_hidden in zip(KEYPOINTS, hidden, strict=True) if is_hidden]
    assert "nose" in names and len(names) < 8, "the person stands behind the upright"
    assert (keypoints[hidden, 2] == 1).all()
    arms = [
        KEYPOINTS.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "elbow")
    ]
    assert (keypoints[arms, 2] == 2).all()
    nearest = np.linalg.norm(
        solid_of(1, pedestrian, people).corners.reshape(-1, 3) - [0, 0, EYE], axis=1
    ).min()
    assert instance.distance == pytest.approx(nearest, abs=0.0006)


@pytest.mark.parametrize(("yaw", "visibility"), [(np.pi, 2), (0.0, 1)])
def test_face_is_visible_only_from_the_front(
    yaw: float, visibility: int, people: Assets, config: Config, tmp_path: Path
) -> None:
    _, _, (instance,) = render_ground_truth([person(people, 3.0, yaw=yaw)], config, people, tmp_path)
    face = [KEYPOINTS.index(name) for name in ("nose", "left_eye", "right_eye")]
    assert [instance.keypoints[k][2] for k in face] == [visibility] * 3
    knees = [KEYPOINTS.index(name) for name in ("left_knee", "right_knee")]
    assert [instance.keypoints[k][2] for k in knees] == [2, 2], "a joint below its own skin is visible"


def test_person_at_the_image_edge_is_truncated(people: Assets, config: Config, tmp_path: Path) -> None:
    """At x = 3 the left edge of the image is at y = 1.8, so half of the person is outside."""
    pedestrian = person(people, 3.0, 1.8)
    ids, _, (instance,) = render_ground_truth([pedestrian], config, people, tmp_path)
    expected = joint_pixels(pedestrian, people)
    inside = expected[:, 0] >= 0
    assert 4 <= inside.sum() <= 13
    keypoints = np.array(instance.keypoints)
    assert (keypoints[~inside] == 0).all(), "COCO: (0, 0, 0)"
    assert (keypoints[inside, 2] > 0).all()
    assert instance.truncated
    assert instance.visible_fraction == 1.0, "amodal masks end at the image edge"
    assert_painted(ids, [solid_of(1, pedestrian, people)], 0.05)


def find_parameters(name: str, variant: str, height: float, kinds: set[str]) -> dict[str, Any]:
    """Find parameters of a variant with a maximum height and only these kinds of surface."""
    for seed in range(200):
        parts = find_kind(name).build({"variant": variant, "seed": seed}, NO_ASSETS)
        if bounds(parts)[1][2] <= height and {p.material.kind for p in parts} <= kinds:
            return {"variant": variant, "seed": seed}
    raise AssertionError(f"no such {variant}")


@pytest.mark.slow
def test_wires_of_a_mesh_box_hide_parts_of_the_forks(
    people: Assets, config: Config, trucks: Any, tmp_path: Path
) -> None:
    """Two wire walls of an empty box are between the camera and the forks."""
    params = find_parameters("cage", "mesh_box", 1.0, {"steel", "paint", "wood"})
    cage = ObjectSpec("cage", params, (1.9, 0.0, 0.0))
    item = truck(trucks, (4.4, 0.0, 0.0), np.pi)
    ids, amodal, (instance,) = render_ground_truth([cage, item], config, people, tmp_path)
    behind, before = solid_of(1, item, people), solid_of(0, cage, people)
    assert_painted(ids, [behind, before], 0.08)
    assert_painted(amodal[1], [behind], 0.05)
    owners, sure = paint_with_certainty([behind, before])
    assert abs(instance.visible_pixels - (owners == 1).sum()) <= (~sure).sum()
    # The mesh box consists of axis-aligned boxes only: wires of 5 mm, bars, boards, feet. Each box hides the
    # lines of sight that intersect it, because all of them are nearer than the truck.
    corners = np.concatenate([p.vertices.reshape(-1, 8, 3) for p in find_kind("cage").build(params, people)])
    low, high = (corners.min(1) + cage.position, corners.max(1) + cage.position)
    assert np.isclose(np.sort(high - low)[:, :2], 0.005).all(1).sum() == 2 * (12 + 17 + 11 + 11), "wires"
    hidden, sure = behind_boxes(low, high)
    assert np.array_equal((ids == 1)[sure], (amodal[1] & ~hidden)[sure])
    assert (amodal[1] & ~sure).sum() < 0.05 * amodal[1].sum()
    tips = amodal[1] & (np.arange(HEIGHT)[:, None] > to_pixels(np.array([3.5, 0.0, 0.2]))[1])
    assert (hidden & tips).any() and tips.sum() > 150, "the forks are behind wires"
    assert 0.4 < instance.visible_fraction < 0.95
    starts = np.diff((ids == 1).astype(int), axis=1) > 0
    assert starts[tips.any(1)].sum(1).max() > 3, "the wires divide the two forks into more pieces"


def test_tub_hides_everything_of_a_truck_except_its_tiller(
    people: Assets, config: Config, trucks: Any, tmp_path: Path
) -> None:
    """The upper edge of the tub, 0.76 m high and 2.6 m away, hides the rows below 100 + 200 * 0.24 / 2.6."""
    params = find_parameters("cage", "tub", 0.77, {"plastic", "paper"})
    tub = ObjectSpec("cage", params, (2.0, 0.0, 0.0))
    item = truck(trucks, (4.0, 0.0, 0.0), 0.0)
    ids, amodal, (instance,) = render_ground_truth([tub, item], config, people, tmp_path)
    assert_painted(ids, [solid_of(1, item, people), solid_of(0, tub, people)], 0.08)
    first_hidden = int(np.ceil(HEIGHT / 2 + FOCAL * (EYE - 0.76) / 2.6 - 0.5))
    assert first_hidden == 118
    visible = amodal[1].copy()
    visible[first_hidden:] = False
    assert np.array_equal(ids == 1, visible)
    assert instance.visible_pixels == visible.sum() > 60
    assert instance.visible_fraction == round(float(visible.sum() / amodal[1].sum()), 4) < 0.3
    tiller = {part.vertices.tobytes() for part in hand_tiller(item.params, livery_of(item.params))[0]}
    parts: list[Part] = find_kind("pallet_truck").build(item.params, people)
    rest = [part for part in parts if part.vertices.tobytes() not in tiller]
    assert len(parts) - len(rest) == len(tiller)
    body = paint_with_certainty([solid(1, rest, item.position, item.yaw)])[0]
    assert not body[:first_hidden].any(), "only the tiller is visible"

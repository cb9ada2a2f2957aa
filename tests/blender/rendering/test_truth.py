"""The truth of labels, against arithmetic: purpose-built scenes whose right answer is known beforehand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender.assets import Assets, load_assets
from blender.config.run import Config, load_config
from blender.contract import KEYPOINTS, Instance, RunLengths
from blender.geometry.lens import LENSES, intrinsics
from blender.geometry.mesh import Part, bounds
from blender.imaging.png import encode_png
from blender.kinds import kind
from blender.objects.pallet_truck.livery import livery
from blender.objects.pallet_truck.tiller import hand_tiller
from blender.render import frame_scene
from blender.rendering import annotations, passes
from blender.rendering.amodal import amodal_mask
from blender.rendering.builder import SceneObject, build_scene
from blender.rendering.device import Device, use_device
from blender.spec import CameraSpec, ObjectSpec, SceneSpec
from tests.conftest import ROOT
from tests.helpers.painter import (
    CAMERA,
    EYE,
    FOCAL,
    HEIGHT,
    WIDTH,
    Solid,
    behind_boxes,
    certain,
    solid,
    to_pixels,
)
from tests.helpers.ray_check import directions

SQUARE = "o square\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n"
"""One metre wide and high, upright."""
PAIR = SQUARE + (
    "o other\nusemtl red\nv 2 0 0\nv 3 0 0\nv 3 1 0\nv 2 1 0\nf 5 6 7 8\n"
)  # fmt: skip
"""Two of them, a metre apart, of two materials: parts of one object."""


@pytest.fixture(scope="module")
def people(tiny_people: Path) -> Assets:
    return load_assets(tiny_people)


@pytest.fixture(scope="module")
def config(tiny_profile: Path) -> Config:
    found = load_config(tiny_profile, "train")
    return replace(found, render=replace(found.render, width=WIDTH, height=HEIGHT))


@pytest.fixture(scope="module")
def trucks(tiny_profile: Path) -> Any:
    """Ranges of plain hand trucks."""
    return load_config(tiny_profile, "train").ranges["pallet_truck"]


def look(
    objects: list[ObjectSpec], config: Config, assets: Assets, scratch: Path, camera: CameraSpec = CAMERA
) -> tuple[np.ndarray, dict[int, np.ndarray], tuple[Instance, ...]]:
    """Build objects without a hall and render their truth: ids, amodal masks, instances."""
    placed, ids = ids_of(objects, config, assets, scratch, camera)
    # Blender's ray runs within 0.005 pixels of a pixel's middle, so the two can differ at an edge.
    amodal = {number: alone | (ids == number) for number, alone in amodal_of(placed, camera, ids).items()}
    return ids, amodal, annotations.instance_records(placed, ids, camera, assets, boxes3d=True)


def decoded(runs: RunLengths | None) -> np.ndarray:
    """Run lengths as a mask, by arithmetic of the test's own."""
    assert runs is not None and len(runs.counts) > 1 and all(n > 0 for n in runs.counts[1:])
    values = np.arange(len(runs.counts)) % 2 == 1
    return np.repeat(values, runs.counts).reshape(runs.size[::-1]).T


def amodal_of(placed: list[SceneObject], camera: CameraSpec, ids: np.ndarray) -> dict[int, np.ndarray]:
    """Without a look at what is seen, which can only save work."""
    nothing = np.zeros(ids.shape, bool)
    return {
        item.object.pass_index: amodal_mask(item.vertices, item.triangles, camera, nothing)
        for item in placed
        if item.spec.category
    }


def ids_of(
    objects: list[ObjectSpec], config: Config, assets: Assets, scratch: Path, camera: CameraSpec
) -> tuple[list[SceneObject], np.ndarray]:
    spec = SceneSpec("test", tuple(objects), camera, (), 4000.0, 0.1, "none")
    placed = build_scene(spec, config, assets)
    use_device(Device("CPU"), 1)
    return placed, passes.render_ids(scratch)[0]


def check(ids: np.ndarray, solids: list[Solid], doubtful: float) -> None:
    """Every pixel as painted, but for those at an edge, whose share of the objects is small."""
    owners, sure = certain(solids)
    assert (ids == owners)[sure].all()
    assert (~sure).sum() <= doubtful * (owners > 0).sum()


# ------------------------------------------------------------------------------ hidden objects

RACK = {
    "uprights": "blue", "beams": "orange", "bays": 2, "levels": 2, "pitch": 1.9, "top": 1.3, "fill": 0.0,
    "floor_fill": 0.0, "open": [True, True], "decks": False, "seed": 0,
}  # fmt: skip
UPRIGHT = slice(117, 123)
"""An upright 0.09 m wide, 3 m ahead, hides 0.09 * 200 / 3 = 6 columns about column 120."""


def person(assets: Assets, x: float, y: float = 0.0, yaw: float = np.pi) -> ObjectSpec:
    """Somebody who stands and, by default, looks into the camera."""
    module = kind("pedestrian")
    params = module.sample(module.Ranges(poses=("standing",)), np.random.default_rng(1), assets)
    return ObjectSpec("pedestrian", params, (x, y, 0.0), yaw, "pedestrian")


def solid_of(owner: int, item: ObjectSpec, assets: Assets) -> Solid:
    return solid(owner, kind(item.builder).build(item.params, assets), item.position, item.yaw)


def test_a_person_behind_a_rack_upright(people: Assets, config: Config, tmp_path: Path) -> None:
    someone = person(people, 6.0)
    rack = ObjectSpec("rack", RACK, (3.0, 0.0, 0.0), -np.pi / 2)
    ids, amodal, (instance,) = look([rack, someone], config, people, tmp_path)
    behind, before = solid_of(1, someone, people), solid_of(0, rack, people)
    check(ids, [behind, before], 0.05)
    check(amodal[1], [behind], 0.05)
    seen = amodal[1].copy()
    seen[:, UPRIGHT] = False
    assert np.array_equal(ids == 1, seen), "an upright hides six columns and nothing else"
    assert np.array_equal(decoded(instance.amodal), amodal[1])
    whole, hidden = int(amodal[1].sum()), int(amodal[1][:, UPRIGHT].sum())
    assert (instance.visible_pixels, instance.amodal_pixels) == (whole - hidden, whole)
    assert instance.visible_fraction == round(1 - hidden / whole, 4)
    assert 0.2 < hidden / whole < 0.6
    assert seen[:, :117].any() and seen[:, 123:].any(), "one person, in two pieces"
    assert not instance.truncated


def test_keypoints_behind_the_upright_are_there_but_not_seen(
    people: Assets, config: Config, tmp_path: Path
) -> None:
    someone = person(people, 6.0)
    rack = ObjectSpec("rack", RACK, (3.0, 0.0, 0.0), -np.pi / 2)
    _, _, (instance,) = look([rack, someone], config, people, tmp_path)
    joints = kind("pedestrian").keypoints(someone.params, people) * [-1, -1, 1] + [6.0, 0.0, 0.0]
    wanted = to_pixels(joints)
    found = np.array(instance.keypoints)
    assert found[:, :2] == pytest.approx(wanted, abs=0.0051)
    hidden = (wanted[:, 0] >= UPRIGHT.start) & (wanted[:, 0] < UPRIGHT.stop)
    names = [name for name, is_hidden in zip(KEYPOINTS, hidden, strict=True) if is_hidden]
    assert "nose" in names and len(names) < 8, "it stands behind the upright"
    assert (found[hidden, 2] == 1).all()
    arms = [
        KEYPOINTS.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "elbow")
    ]
    assert (found[arms, 2] == 2).all()
    nearest = np.linalg.norm(solid_of(1, someone, people).corners.reshape(-1, 3) - [0, 0, EYE], axis=1).min()
    assert instance.distance == pytest.approx(nearest, abs=0.0006)


@pytest.mark.parametrize(("yaw", "seen"), [(np.pi, 2), (0.0, 1)])
def test_a_face_is_seen_from_the_front_only(
    yaw: float, seen: int, people: Assets, config: Config, tmp_path: Path
) -> None:
    _, _, (instance,) = look([person(people, 3.0, yaw=yaw)], config, people, tmp_path)
    face = [KEYPOINTS.index(name) for name in ("nose", "left_eye", "right_eye")]
    assert [instance.keypoints[k][2] for k in face] == [seen] * 3
    knees = [KEYPOINTS.index(name) for name in ("left_knee", "right_knee")]
    assert [instance.keypoints[k][2] for k in knees] == [2, 2], "a joint below its own skin is seen"


def test_what_lies_outside_the_picture(people: Assets, config: Config, tmp_path: Path) -> None:
    """The picture's left edge lies at y = 1.8 when x = 3: half of somebody there is outside."""
    someone = person(people, 3.0, 1.8)
    ids, _, (instance,) = look([someone], config, people, tmp_path)
    wanted = to_pixels(kind("pedestrian").keypoints(someone.params, people) * [-1, -1, 1] + [3.0, 1.8, 0.0])
    inside = wanted[:, 0] >= 0
    assert 4 <= inside.sum() <= 13
    found = np.array(instance.keypoints)
    assert (found[~inside] == 0).all(), "COCO: (0, 0, 0)"
    assert (found[inside, 2] > 0).all()
    assert instance.truncated
    assert instance.visible_fraction == 1.0, "amodal extents end at the picture's edge"
    check(ids, [solid_of(1, someone, people)], 0.05)


def with_no_more_than(name: str, variant: str, height: float, kinds: set[str]) -> dict[str, Any]:
    """Parameters of a variant that is at most so high and of these kinds of surface alone."""
    for seed in range(200):
        parts = kind(name).build({"variant": variant, "seed": seed}, None)
        if bounds(parts)[1][2] <= height and {p.material.kind for p in parts} <= kinds:
            return {"variant": variant, "seed": seed}
    raise AssertionError(f"no such {variant}")


def truck(ranges: Any, position: tuple[float, float, float], yaw: float) -> ObjectSpec:
    params = kind("pallet_truck").sample(ranges, np.random.default_rng(3), None)
    params |= {"tiller_angle": 0.1, "tiller_turn": 0.0, "lift": 0.1, "stickers": 0}
    return ObjectSpec("pallet_truck", params, position, yaw, "pallet_truck")


def test_a_fork_seen_through_a_mesh_box(people: Assets, config: Config, trucks: Any, tmp_path: Path) -> None:
    """Forks point at the camera, which looks down on them through an empty box's two walls of wire."""
    params = with_no_more_than("cage", "mesh_box", 1.0, {"steel", "paint", "wood"})
    cage = ObjectSpec("cage", params, (1.9, 0.0, 0.0))
    item = truck(trucks, (4.4, 0.0, 0.0), np.pi)
    ids, amodal, (instance,) = look([cage, item], config, people, tmp_path)
    behind, before = solid_of(1, item, people), solid_of(0, cage, people)
    check(ids, [behind, before], 0.08)
    check(amodal[1], [behind], 0.05)
    owners, sure = certain([behind, before])
    assert abs(instance.visible_pixels - (owners == 1).sum()) <= (~sure).sum()
    # The box is made of upright boxes only: wires of 5 mm, bars, boards, feet. Each hides the lines of sight
    # that lie between its three pairs of planes somewhere; all of it is nearer than the truck.
    corners = np.concatenate([p.vertices.reshape(-1, 8, 3) for p in kind("cage").build(params, people)])
    low, high = (corners.min(1) + cage.position, corners.max(1) + cage.position)
    assert np.isclose(np.sort(high - low)[:, :2], 0.005).all(1).sum() == 2 * (12 + 17 + 11 + 11), "wires"
    hidden, sure = behind_boxes(low, high)
    assert np.array_equal((ids == 1)[sure], (amodal[1] & ~hidden)[sure])
    assert (amodal[1] & ~sure).sum() < 0.05 * amodal[1].sum()
    tips = amodal[1] & (np.arange(HEIGHT)[:, None] > to_pixels(np.array([3.5, 0.0, 0.2]))[1])
    assert (hidden & tips).any() and tips.sum() > 150, "forks lie behind wires"
    assert 0.4 < instance.visible_fraction < 0.95
    starts = np.diff((ids == 1).astype(int), axis=1) > 0
    assert starts[tips.any(1)].sum(1).max() > 3, "wires cut two forks into more pieces"


def test_a_truck_seen_only_by_its_tiller(people: Assets, config: Config, trucks: Any, tmp_path: Path) -> None:
    """A tub's upper edge, 0.76 m high and 2.6 m ahead, hides what lies below row 100 + 200 * 0.24 / 2.6."""
    params = with_no_more_than("cage", "tub", 0.77, {"plastic", "paper"})
    tub = ObjectSpec("cage", params, (2.0, 0.0, 0.0))
    item = truck(trucks, (4.0, 0.0, 0.0), 0.0)
    ids, amodal, (instance,) = look([tub, item], config, people, tmp_path)
    check(ids, [solid_of(1, item, people), solid_of(0, tub, people)], 0.08)
    first_hidden = int(np.ceil(HEIGHT / 2 + FOCAL * (EYE - 0.76) / 2.6 - 0.5))
    assert first_hidden == 118
    seen = amodal[1].copy()
    seen[first_hidden:] = False
    assert np.array_equal(ids == 1, seen)
    assert instance.visible_pixels == seen.sum() > 60
    assert instance.visible_fraction == round(float(seen.sum() / amodal[1].sum()), 4) < 0.3
    tiller = {part.vertices.tobytes() for part in hand_tiller(item.params, livery(item.params))[0]}
    parts: list[Part] = kind("pallet_truck").build(item.params, people)
    rest = [part for part in parts if part.vertices.tobytes() not in tiller]
    assert len(parts) - len(rest) == len(tiller)
    body = certain([solid(1, rest, item.position, item.yaw)])[0]
    assert not body[:first_hidden].any(), "what is seen is the tiller"


# ------------------------------------------------------------------------------ ids


def model(name: str, text: str, folder: Path) -> Assets:
    """Assets with a user's model beside nobody."""
    (folder / "manifest.json").write_text('{"people": []}')
    (folder / name).write_text(text)
    return load_assets(folder, folder, [name])


def plate(name: str, scale: float, position: tuple[float, float, float]) -> ObjectSpec:
    """A model's upright face, turned to the camera."""
    return ObjectSpec("model", {"file": name, "scale": scale, "turn": np.pi / 2}, position, 0.0, "plate")


FAR, PIXEL = 10.0, 10.0 / FOCAL
"""Where plates stand, and the metres that a pixel shows there."""


def plate_ids(count: int, camera: CameraSpec, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Ids (H, W) of plates of 3 x 3 straight-lens pixels in cells of 4 x 4, 60 a row, through any lens."""
    record = intrinsics(camera, WIDTH, HEIGHT)
    moved = record | {"cx": record["cx"] - shift[0], "cy": record["cy"] - shift[1]}
    rays = directions(moved, WIDTH, HEIGHT)
    at = rays[..., 1:] / rays[..., :1] * FAR
    column, row = WIDTH / 2 - at[..., 0] / PIXEL, HEIGHT / 2 - at[..., 1] / PIXEL
    number = (row // 4 * 60 + column // 4 + 1).astype(int)
    known = (column >= 0) & (column < 240) & (row >= 0) & (number <= count)
    return np.where(known & (column % 4 < 3) & (row % 4 < 3), number, 0)


@pytest.mark.parametrize(
    ("count", "lens"),
    [(255, "perspective"), (256, "perspective"), (300, "perspective"), *((3000, name) for name in LENSES)],
)
def test_ids_are_exact_for_any_number_of_objects(
    count: int, lens: str, config: Config, tmp_path: Path
) -> None:
    """All of them share one mesh. The mask is read back from its file."""
    assets = model("square.obj", SQUARE, tmp_path)
    spots = [(4 * (k % 60) + 1.5, 4 * (k // 60) + 3) for k in range(count)]  # middle of the lower edge
    objects = [
        plate("square.obj", 3 * PIXEL, (FAR, (WIDTH / 2 - x) * PIXEL, EYE + (HEIGHT / 2 - y) * PIXEL))
        for x, y in spots
    ]
    camera = replace(CAMERA, lens=lens)
    placed, ids = ids_of(objects, config, assets, tmp_path, camera)
    assert len({item.object.data.name for item in placed}) == 1
    with Image.open(io.BytesIO(encode_png(ids))) as picture:
        ids = np.asarray(picture).astype(int)
    wanted = plate_ids(count, camera)
    shifts = [(x, y) for x in (-0.01, 0.01) for y in (-0.01, 0.01)]
    sure = np.all([plate_ids(count, camera, shift) == wanted for shift in shifts], axis=0)
    assert (ids == wanted)[sure].all()
    assert sure.mean() > 0.97
    assert set(np.unique(ids)) - {0} <= set(range(1, count + 1))
    if lens == "perspective":
        assert sure.all(), "edges lie between the pixels' middles"
        assert (np.bincount(ids.ravel())[1:] == 9).all()


def test_parts_of_one_object_are_one_instance(config: Config, tmp_path: Path) -> None:
    """Three objects share a mesh of two separate parts; each keeps one id for both."""
    assets = model("pair.obj", PAIR, tmp_path)
    objects = [plate("pair.obj", 10 * PIXEL, (FAR, 0.0, EYE + h * PIXEL)) for h in (-30, 0, 30)]
    ids, amodal, instances = look(objects, config, assets, tmp_path)
    for number, row in ((1, 120), (2, 90), (3, 60)):
        wanted = np.zeros((HEIGHT, WIDTH), bool)
        wanted[row : row + 10, 105:115] = wanted[row : row + 10, 125:135] = True
        assert np.array_equal(ids == number, wanted)
        assert np.array_equal(amodal[number], wanted)
    assert [i.visible_pixels for i in instances] == [200] * 3


@pytest.mark.parametrize("lens", LENSES)
def test_amodal_extents_are_what_blender_shows_of_an_object_alone(
    lens: str, config: Config, people: Assets, trucks: Any, tmp_path: Path
) -> None:
    """Far, near, at the rim, and about the camera: partly behind it, with faces that cross its near plane."""
    camera = replace(CAMERA, lens=lens, fov=np.radians(110), pitch=-0.35, roll=0.2)
    shown = 0
    for place in [(6.0, 1.0), (1.5, 0.2), (2.2, 2.4), (0.1, 0.4), (-0.5, 0.0), (-3.0, 0.0)]:
        for item in (truck(trucks, (*place, 0.0), 0.4), person(people, *place, yaw=1.0)):
            placed, ids = ids_of([item], config, people, tmp_path, camera)
            alone = amodal_of(placed, camera, ids)[1]
            assert (alone != (ids == 1)).sum() <= 1 + alone.sum() / 2000, (place, item.builder)
            shown += int(alone.sum())
    assert shown > 12_000


@pytest.mark.slow
def test_ids_are_those_given_and_visible_is_part_of_amodal_in_200_frames(
    tiny_profile: Path, people: Assets, tmp_path: Path
) -> None:
    config, seen = load_config(tiny_profile, "train"), 0
    for frame in range(200):
        spec = frame_scene(config, people, frame)
        placed = build_scene(spec, config, people)
        use_device(Device("CPU"), 1)
        ids, _ = passes.render_ids(tmp_path)
        given = {item.object.pass_index for item in placed if item.spec.category}
        found = set(np.unique(ids).tolist()) - {0}
        assert found <= given, frame
        amodal = amodal_of(placed, spec.camera, ids)
        for number in found:
            covered = ids == number
            assert (covered & ~amodal[number]).sum() <= 1 + covered.sum() / 5000, (frame, number)
        seen += len(found)
    assert seen > 300


# ------------------------------------------------------------------------------ boxes


def test_a_box_and_a_pose_in_both_frames(people: Assets, config: Config, trucks: Any, tmp_path: Path) -> None:
    item = truck(trucks, (4.0, 0.6, 0.0), 0.7)
    _, _, (instance,) = look([item], config, people, tmp_path)
    box = instance.box3d
    assert box is not None
    low, high = bounds(kind("pallet_truck").build(item.params, people))
    assert box.size == pytest.approx(high - low, abs=2e-6)
    c, s = np.cos(0.7), np.sin(0.7)
    assert np.array(box.rotation) == pytest.approx(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), abs=1e-6)
    x, y, z = (low + high) / 2
    assert box.position == (4.0, 0.6, 0.0)
    assert box.centre == pytest.approx((4.0 + c * x - s * y, 0.6 + s * x + c * y, z), abs=2e-6)
    # This camera stands at (0, 0, 1) and looks along x: its right is -y, its down -z, its ahead x.
    turn = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    assert box.camera_position == pytest.approx((-0.6, EYE, 4.0), abs=2e-6)
    assert box.camera_centre == pytest.approx(turn @ (np.array(box.centre) - [0, 0, EYE]), abs=2e-6)
    assert np.array(box.camera_rotation) == pytest.approx(turn @ np.array(box.rotation), abs=2e-6)


def test_the_shipped_profiles_ask_for_no_passes() -> None:
    for name in ("smoke", "default", "full"):
        assert load_config(ROOT / f"assets/profiles/{name}.toml").render.passes == ()

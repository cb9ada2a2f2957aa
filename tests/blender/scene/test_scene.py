"""Layouts and geometry: what stands where, without Blender."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets, load_assets
from blender.config.run import Config, load_config
from blender.geometry.mesh import Material, Part, bounds, box, boxes, cylinder, prism, rounded_path, tube
from blender.imaging.png import encode_png
from blender.kinds import kind
from blender.objects import hall, pallet, pallet_truck, pedestrian
from blender.rendering.frame import frame_rng, frame_scene
from blender.scene import layouts as layout
from blender.scene import placement
from blender.spec import ObjectSpec, SceneSpec
from tests.conftest import ROOT, default_scene

GREY = Material("paint")


@pytest.fixture(scope="module")
def assets(tiny_people: Path) -> Assets:
    return load_assets(tiny_people)


def volume(part: Part) -> float:
    """Signed volume by the divergence theorem: positive and exact for a closed mesh wound outwards."""
    total = 0.0
    for face in part.faces:
        corners = part.vertices[face[face >= 0]]
        for i in range(1, len(corners) - 1):
            total += float(np.dot(corners[0], np.cross(corners[i], corners[i + 1]))) / 6
    return total


def test_primitives_are_closed_and_wound_outwards() -> None:
    assert volume(box((0, 0, 0), (1, 2, 3), GREY)) == pytest.approx(6)
    assert volume(boxes([(0, 0, 0), (5, 0, 0)], (1, 1, 1), GREY, yaw=[0.3, 0.0])) == pytest.approx(2)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 2, GREY)) == pytest.approx(1)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 0, GREY)) == pytest.approx(1)
    assert volume(prism([(0, 0), (1, 0), (1, 1)], 0, 2, 1, GREY)) == pytest.approx(1)
    assert volume(cylinder((0, 0, 0), (0, 0, 1), 1.0, GREY, 64)) == pytest.approx(np.pi, rel=0.01)
    ring = rounded_path([(1, 1, 0), (-1, 1, 0), (-1, -1, 0), (1, -1, 0)], 0.2, closed=True)
    assert volume(tube(ring, 0.1, GREY, 16, closed=True)) > 0.2


def test_the_eur_pallet_has_its_real_dimensions() -> None:
    part = pallet.pallet(np.random.default_rng(0), 0.5)
    low, high = part.vertices.min(0), part.vertices.max(0)
    assert high - low == pytest.approx([1.2, 0.8, 0.144])


@pytest.mark.parametrize(
    "name",
    [
        "pallet_truck",
        "pedestrian",
        "pallet",
        "rack",
        "forklift",
        "hall",
        "guard",
        "cage",
        "trolley",
        "furniture",
        "clutter",
    ],
)
def test_every_kind_keeps_to_its_footprint(name: str, assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    key = {k: f"{k}s" for k in ("pallet", "guard", "cage", "trolley")}.get(name, name)
    module, rng = kind(name), np.random.default_rng(1)
    for _ in range(8):
        params = module.sample(config.ranges[key], rng, assets)
        parts = module.build(params, assets)
        low, high = bounds(parts)
        x0, x1, y0, y1 = module.footprint(params, assets)
        slack = 0.3 if name == "hall" else 0.13  # walls have a thickness; pallets stand out of racks
        assert low[0] >= x0 - slack and low[1] >= y0 - slack
        assert high[0] <= x1 + slack and high[1] <= y1 + slack
        for part in parts:
            assert np.isfinite(part.vertices).all()
            assert part.faces.max() < len(part.vertices)


def test_overlap_of_footprints() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    assert placement.overlap(square, square + np.array([2, 0])) == pytest.approx(-1)
    assert placement.overlap(square, square + np.array([0.9, 0])) == pytest.approx(0.1)
    diamond = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]], float)
    assert placement.overlap(square, diamond + np.array([1.9, 1.9])) < 0
    assert placement.overlap(square, diamond + np.array([1.2, 1.2])) > 0


def _ground(item: ObjectSpec, assets: Assets) -> list[np.ndarray]:
    """Corners of what an object covers of the floor; a rack's open bays are free for forks."""
    module = kind(item.builder)
    shapes = module.solids(item.params) if item.builder == "rack" else [module.footprint(item.params, assets)]
    return [placement.corners_of(shape, item.position, item.yaw) for shape in shapes]


def test_nothing_stands_in_anything_else(assets: Assets) -> None:
    """Over 60 scenes: footprints of separate things are apart, and nothing leaves the hall."""
    layouts, counts = set(), 0
    for frame in range(60):
        spec = default_scene(assets.people_dir, frame)
        layouts.add(spec.layout)
        building = spec.objects[0].params
        ground = [(item, corners) for item in spec.objects[1:] for corners in _ground(item, assets)]
        for item, corners in ground:
            assert (corners[:, 0] > -0.01).all() and (corners[:, 0] < building["length"] + 0.01).all(), item
            assert (np.abs(corners[:, 1]) < building["width"] / 2 + 0.01).all(), item
        for i, (first, a) in enumerate(ground):
            for second, b in ground[i + 1 :]:
                pair = {first.builder, second.builder}
                # One on, in or held by the other: their meshes are compared in test_objects.py.
                together = ("pallet_truck" in pair and pair & {"pallet", "pedestrian"}) or pair == {
                    "carried",
                    "pedestrian",
                }
                poses = (first.params.get("pose"), second.params.get("pose"))
                driver = pair == {"forklift", "pedestrian"} and "sitting" in poses
                if first is not second and not together and not driver:
                    assert placement.overlap(a, b) < 0.02, (frame, first.builder, second.builder)
        counts += sum(item.category == "pallet_truck" for item in spec.objects)
    assert layouts == set(layout.LAYOUTS)
    assert counts > 60


@pytest.mark.parametrize("inward", [-1, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_people_who_are_parked_look_at_what_they_stand_at(axis: int, inward: int, assets: Assets) -> None:
    config, rng = load_config(ROOT / "assets/profiles/default.toml", "train"), np.random.default_rng(0)
    camera = frame_scene(config, assets, 0).camera
    edge = placement.Edge(axis, 4.0, inward, (-50.0, 50.0))
    plan = placement.Plan([], [], [edge], (0.0, 50.0, -50.0, 50.0), camera)
    table = config.scene.objects["pedestrian"]
    for _ in range(20):
        position, yaw = placement._spots(plan, table, (-0.3, 0.4, -0.3, 0.3), True, rng)
        apart = edge.at - position[1 - axis]
        ahead = (np.cos(yaw), np.sin(yaw))[1 - axis] * np.sign(apart)
        assert 0.3 < abs(apart) < 1.5 and np.sign(apart) == -inward and ahead > 0.5


def test_who_reaches_reaches_into_a_rack(assets: Assets) -> None:
    """Where there are racks, fingers end at what lies in one, and the person faces it."""
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    stretched = ("carrying", "scanning")  # of the tiny people nobody reaches
    people = tuple(
        {**body, "pose": "reaching" if body["pose"] in stretched else body["pose"]} for body in assets.people
    )
    gaps = []
    for frame in range(40):
        objects = frame_scene(config, replace(assets, people=people), frame).objects
        racks = [
            placement.corners_of(kind("rack").footprint(o.params, assets), o.position, o.yaw)
            for o in objects
            if o.builder == "rack"
        ]
        for person in (o for o in objects if racks and o.params.get("pose") == "reaching"):
            x0, x1, _, _ = pedestrian.footprint(person.params, assets)
            fingers = placement.corners_of((x1 - 0.02, x1, -0.2, 0.2), person.position, person.yaw)
            back = placement.corners_of((x0, x0 + 0.02, -0.2, 0.2), person.position, person.yaw)
            gaps.append(min(-placement.overlap(fingers, rack) for rack in racks))
            assert gaps[-1] < min(-placement.overlap(back, rack) for rack in racks)
    assert len(gaps) >= 8
    assert np.median(gaps) < 0.12 and np.mean(np.array(gaps) < 0.25) > 0.9


def test_forks_reach_below_racks(assets: Assets) -> None:
    """Some parked trucks stand with the forks in an open bay, the tiller in the aisle."""
    found = 0
    for frame in range(60):
        objects = default_scene(assets.people_dir, frame).objects
        bays = [
            placement.corners_of(bay, rack.position, rack.yaw)
            for rack in objects
            if rack.builder == "rack"
            for bay in kind("rack").open_bays(rack.params)
        ]
        for truck in (o for o in objects if o.builder == "pallet_truck"):
            x0, x1, y0, y1 = pallet_truck.footprint(truck.params, assets)
            forks = placement.corners_of((0.5, x1, y0, y1), truck.position, truck.yaw)
            tiller = placement.corners_of((x0, 0.2, y0, y1), truck.position, truck.yaw)
            if any(placement.overlap(forks, bay) > 0.1 for bay in bays):
                found += 1
                assert all(placement.overlap(tiller, bay) < 0.0 for bay in bays)
    assert found >= 3


def _with_stores(frame: int, share: float, assets: Assets) -> SceneSpec:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    table = replace(config.scene.stores, halls=share)
    return frame_scene(replace(config, scene=replace(config.scene, stores=table)), assets, frame)


def test_stores_fill_free_walls_and_nothing_else_changes(assets: Assets) -> None:
    """They come last: what stands there without them stands there with them, and doors stay free."""
    near = load_config(ROOT / "assets/profiles/default.toml", "train").scene.stores.near
    added, equal, doors = 0, 0, 0
    for frame in range(30):
        without, spec = _with_stores(frame, 0.0, assets), _with_stores(frame, 1.0, assets)
        count = len(without.objects)
        assert spec == replace(without, objects=spec.objects) and spec.objects[:count] == without.objects
        stores = spec.objects[count:]
        added += len(stores)
        equal += len(stores) - len({(item.builder, str(item.params)) for item in stores})
        building = spec.objects[0].params
        ways = [placement.corners_of(way, (0, 0, 0), 0.0) for way in hall.entrances(building)]
        doors += len(ways)
        for item in stores:
            assert item.builder in ("pallet", "cage") and not item.category
            aside = np.subtract(item.position[:2], spec.camera.position[:2])
            assert np.linalg.norm(aside) >= near
            shape = kind(item.builder).footprint(item.params, assets)
            corners = placement.corners_of(shape, item.position, item.yaw)
            to_end = building["length"] - corners[:, 0].max()
            to_side = building["width"] / 2 - np.abs(corners[:, 1]).max()
            wide = max(np.ptp(shape[:2]), np.ptp(shape[2:]))
            assert min(to_end, to_side) < 0.7 + wide, "in one of two rows before a wall"
            assert all(placement.overlap(corners, way) <= 0 for way in ways)
    assert added > 200 and equal > 0.4 * added and doors > 30


def _hidden(config: Config, assets: Assets, frames: int) -> list[float]:
    """Share of each unattended truck's outline that lies behind something, as a camera below 2 m sees it."""
    found = []
    for frame in range(frames):
        spec = frame_scene(config, assets, frame)
        if spec.camera.position[2] > 2.0:
            continue
        eye = np.array(spec.camera.position[:2])
        things = [(item, corners) for item in spec.objects[1:] for corners in _ground(item, assets)]
        for item, corners in things:
            if item.builder != "pallet_truck" or item.category == "":
                continue
            middle = corners.mean(0)
            own = [item, *_companions(item, spec.objects)]
            others = [
                c
                for other, c in things
                if not any(other is one for one in own) and np.linalg.norm(c.mean(0) - middle) > 1.3
            ]  # nor what stands beside it in a row
            lines = [
                eye + np.linspace(0.0, 0.97, 200)[:, None] * (0.9 * corner + 0.1 * middle - eye)
                for corner in corners
            ]
            found.append(np.mean([any(_inside(line, c).any() for c in others) for line in lines]))
    return found


def _companions(truck: ObjectSpec, objects: tuple[ObjectSpec, ...]) -> list[ObjectSpec]:
    """A truck's load and operator, which follow it."""
    place = next(i for i, item in enumerate(objects) if item is truck)
    found = [item for item in objects[place + 1 : place + 2] if truck.params.get("loaded")]
    following = objects[place + 1 + len(found) : place + 2 + len(found)]
    return found + [item for item in following if item.params.get("pose") in pedestrian.AT_TILLER]


def _inside(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Which points (N, 2) lie in a convex quadrilateral (4, 2), wound either way."""
    edges = np.roll(corners, -1, 0) - corners
    to = points[:, None] - corners
    turns = edges[:, 0] * to[..., 1] - edges[:, 1] * to[..., 0]
    return (turns > 0).all(1) | (turns < 0).all(1)


def test_clear_keeps_the_sight_of_trucks_free(assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")

    def shares(clear: float) -> tuple[float, int]:
        truck = replace(config.scene.objects["pallet_truck"], clear=clear)
        scene = replace(config.scene, objects={**config.scene.objects, "pallet_truck": truck})
        hidden = _hidden(replace(config, scene=scene), assets, 40)
        return float(np.mean(hidden)), len(hidden)

    (covered, many), (clear, as_many) = shares(0.0), shares(1.0)
    assert clear < 0.3 * covered
    assert as_many > 0.85 * many


def test_a_frame_depends_on_nothing_but_seed_split_and_number(assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    first = frame_scene(config, assets, 5)
    frame_scene(config, assets, 4)
    assert frame_scene(config, assets, 5) == first
    other = load_config(ROOT / "assets/profiles/default.toml", "val")
    assert frame_scene(other, assets, 5) != first
    assert frame_rng(config, 0, 0).random() != frame_rng(config, 0, 1).random()


def test_png_round_trip() -> None:
    import io

    from PIL import Image

    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    ids = rng.integers(0, 65536, (7, 5), dtype=np.uint16)
    assert (np.asarray(Image.open(io.BytesIO(encode_png(rgb)))) == rgb).all()
    assert (np.asarray(Image.open(io.BytesIO(encode_png(ids)))).astype(np.uint16) == ids).all()
    with pytest.raises(ValueError, match="cannot write"):
        encode_png(rgb.astype(float))


def test_people_have_what_their_pose_is_for(assets: Assets) -> None:
    """Nobody pushes air, carries nothing or sits on nothing."""
    found = set()
    for frame in range(60):
        objects = default_scene(assets.people_dir, frame).objects
        for before, item, after in zip(objects, objects[1:], (*objects[2:], objects[0]), strict=False):
            if item.builder != "pedestrian":
                continue
            pose = item.params["pose"]
            found.add(pose)
            if pose in ("pushing", "pulling"):
                assert before.builder in {"pallet", "pallet_truck"}
            if pose == "sitting":
                assert before.params["variant"] == "counterbalance" and item.position[2] > 0.4
            held = after.params["thing"] if after.builder == "carried" else ""
            assert held == {"carrying": "carton", "scanning": "terminal"}.get(pose, "")
    assert found == {"standing", "pushing", "pulling", "carrying", "scanning", "sitting"}


def test_no_driver_is_in_a_frame_without_labelled_objects(assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    tables = dict(config.scene.objects)
    tables["forklift"] = replace(tables["forklift"], count=(2, 2))
    for negatives in (0.0, 1.0):
        scene = replace(config.scene, objects=tables, driven=1.0, negatives=negatives)
        scenes = [frame_scene(replace(config, scene=scene), assets, frame) for frame in range(12)]
        people = [item for one in scenes for item in one.objects if item.params.get("pose") == "sitting"]
        assert any(item.builder == "forklift" for one in scenes for item in one.objects)
        assert bool(people) == (negatives == 0.0)
        assert negatives == 0.0 or not [item for one in scenes for item in one.objects if item.category]

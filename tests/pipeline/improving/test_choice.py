"""The choice of scenes: more objects in weak slices, the same frames twice, agreement with renders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.contract import canonical_json, read_record
from blender.proposals import describe_scene, describe_split
from pipeline.config import CocoConfig
from pipeline.data.convert import convert_split
from pipeline.improving.choice import SliceReader, choose, choose_frames
from pipeline.improving.weakness import Mistaken, WeakCell
from tests.conftest import ROOT, default_scene

CLASSES = ("pedestrian", "pallet_truck")
PROPOSED, CHOSEN = 40, 6


@pytest.fixture(scope="module")
def scenes(tiny_people: Path) -> list[dict[str, Any]]:
    """Return the descriptions of the first scenes of the default profile."""
    config = load_config(ROOT / "assets/profiles/default.toml", "train")
    assets = load_assets(tiny_people)
    return [describe_scene(default_scene(tiny_people, n), n, config, assets) for n in range(PROPOSED)]


@pytest.fixture(scope="module")
def annotated(tiny_split: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a converted copy of the tiny split."""
    folder = tmp_path_factory.mktemp("annotated") / "train"
    shutil.copytree(tiny_split, folder)
    convert_split(folder, CocoConfig(min_pixels=1, min_visible_fraction=0))
    return folder


@pytest.fixture(scope="module")
def reader(scenes: list[dict[str, Any]]) -> SliceReader:
    """Return the slices of a file whose objects are those of the scenes."""
    images = [scene | {"id": n} for n, scene in enumerate(scenes)]
    annotations = [
        item | {"image_id": n, "category_id": CLASSES.index(item["category"]) + 1, "iscrowd": 0}
        | {"area": 0.5 * item["bbox"][2] * item["bbox"][3]}
        for n, scene in enumerate(scenes)
        for item in scene["objects"]
        if item["category"] in CLASSES
    ]  # fmt: skip
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)]
    dataset = {"images": images, "annotations": annotations, "categories": categories}
    return SliceReader(dataset, CLASSES)


def weak(factor: str, name: str, class_name: str = "pallet_truck", side: Any = "recall") -> WeakCell:
    return WeakCell(class_name, factor, name, side, 0.3, 0.2, "choose")


@pytest.mark.parametrize(
    "cell",
    [
        weak("variant", "stacker"),
        weak("mount", "overhead"),
        weak("distance", "8 to 12 m"),
        weak("size", "64 to 96 px", "pedestrian"),
        weak("layout", "dock", side="precision"),
    ],
    ids=lambda cell: f"{cell.factor} {cell.bin}",
)
def test_chosen_scenes_hold_more_objects_of_the_weak_slice_than_the_first_ones(
    scenes: list[dict[str, Any]], reader: SliceReader, cell: WeakCell
) -> None:
    def count(frames: tuple[int, ...]) -> int:
        hits = choose([scenes[frame] for frame in frames], [cell], [], reader, len(frames)).hits
        return sum(sum(table.values()) for table in hits.values())

    chosen = choose(scenes, [cell], [], reader, CHOSEN).frames
    assert len(set(chosen)) == CHOSEN
    assert count(chosen) > 1.5 * count(tuple(range(CHOSEN)))
    assert {0, 1} <= set(chosen)  # a quarter is taken as it comes


def test_mistaken_look_alikes_are_chosen(scenes: list[dict[str, Any]], reader: SliceReader) -> None:
    def trucks(frames: tuple[int, ...]) -> int:
        items = [item for frame in frames for item in scenes[frame]["objects"]]
        return sum(item["parameters"].get("variant") == "reach_truck" for item in items)

    chosen = choose(scenes, [], [Mistaken("forklift", "reach_truck", 5, 9, 0.3)], reader, CHOSEN).frames
    assert trucks(chosen) > 1.5 * trucks(tuple(range(CHOSEN)))


def test_same_scenes_give_the_same_bytes(scenes: list[dict[str, Any]], reader: SliceReader) -> None:
    cells = [weak("variant", "stacker"), weak("mount", "overhead")]
    first, second = (choose(scenes, cells, [], reader, CHOSEN) for _ in range(2))
    assert canonical_json([first.frames, first.hits]) == canonical_json([second.frames, second.hits])


def test_several_weak_slices_share_the_frames() -> None:
    """One slice with many objects in each scene does not crowd out another of the same strength."""
    scenes = [{"frame": n} for n in range(20)]
    hits = [[0, 0]] * 4 + [[3, 0]] * 8 + [[0, 1]] * 8
    frames = choose_frames(scenes, hits, [0.2, 0.2], 8)
    assert sum(12 <= frame < 20 for frame in frames) >= 2
    assert sum(4 <= frame < 12 for frame in frames) >= 2


def test_without_weakness_the_first_frames_are_taken(
    scenes: list[dict[str, Any]], reader: SliceReader
) -> None:
    assert choose(scenes, [], [], reader, CHOSEN).frames == tuple(range(CHOSEN))


def test_description_agrees_with_the_rendered_frame(
    tiny_profile: Path, tiny_people: Path, annotated: Path
) -> None:
    """Distance, truncation, parameters and light are equal; the box contains the visible one."""
    config = load_config(tiny_profile, "train")
    described = json.loads(canonical_json(describe_split(config, load_assets(tiny_people), config.frames)))
    dataset = json.loads((annotated / "annotations.json").read_bytes())
    reader = SliceReader(dataset, CLASSES)
    compared = 0
    for scene in described["images"]:
        record = read_record(annotated / "frames" / f"{scene['frame']:06d}.json")
        assert record.fingerprint == described["fingerprint"]
        assert (scene["layout"], scene["camera"], scene["lights"]) == (
            record.layout, record.camera, json.loads(canonical_json(record.lights)),
        )  # fmt: skip
        labelled = {canonical_json(i["parameters"]): i for i in scene["objects"] if i["category"] in CLASSES}
        image = next(i for i in dataset["images"] if i["frame"] == scene["frame"])
        for annotation in (a for a in dataset["annotations"] if a["image_id"] == image["id"]):
            item = labelled[canonical_json(annotation["parameters"])]
            assert item["distance"] == pytest.approx(annotation["distance"], abs=0.002)
            assert item["truncated"] == annotation["truncated"]
            low, visible_low = np.array(item["bbox"][:2]), np.array(annotation["bbox"][:2])
            high, visible_high = low + item["bbox"][2:], visible_low + annotation["bbox"][2:]
            assert (low <= visible_low + 1).all() and (high >= visible_high - 1).all()
            compared += 1
        assert len(reader.objects(scene, 0)) == len(labelled)
    assert compared >= 6

"""Rendered clips: ids persist over the frames, positions move by the speed, and the COCO file is COCO-VID."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender.contract import FrameRecord, read_record
from pipeline.config import CocoConfig
from pipeline.data.convert import convert_split
from pipeline.evaluation.tracks.coco_vid import read_track_file
from tests.conftest import TINY, render

SPEED = 1.2


@pytest.fixture(scope="module")
def split(tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of one clip and the first frame of the next one."""
    folder = tmp_path_factory.mktemp("clip")
    text = TINY.replace("train = 4", "train = 3").replace(
        "negatives = 0.0", "negatives = 0.0\noperated = 1.0"
    )
    text += f"""
[scene.objects.pedestrian.ranges]
poses = ["carrying"]
[scene.clip]
frames = 2
walking = [{SPEED}, {SPEED}]
driving = [{SPEED}, {SPEED}]
moving_camera = 0.0
"""
    text = text.replace("samples = 1", 'samples = 1\npasses = ["boxes3d"]').replace(
        "distance = [1.8, 4.0]\n[model]", "distance = [1.8, 4.0]\nparked = 0.0\n[model]"
    )
    (folder / "clip.toml").write_text(text)
    done = render(folder / "clip.toml", tiny_people, folder / "train", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return folder / "train"


def positions(record: FrameRecord) -> dict[int, np.ndarray]:
    return {i.id: np.array(i.box3d.position) for i in record.instances if i.box3d is not None}


def test_ids_persist_and_positions_move_by_the_speed(split: Path) -> None:
    records = [read_record(split / "frames" / f"{frame:06d}.json") for frame in range(3)]
    first, second, next_clip = records
    assert [(r.clip.number, r.clip.frame, r.clip.rate) for r in records if r.clip] == [
        (0, 0, 8), (0, 1, 8), (1, 0, 8),
    ]  # fmt: skip
    kinds = [[(i.id, i.track_id, i.category, i.parameters) for i in r.instances] for r in records]
    assert kinds[0] == kinds[1] != kinds[2]
    assert [i.track_id for i in next_clip.instances] == [65536 + i.id for i in next_clip.instances]
    before, after = positions(first), positions(second)
    shifts = {number: float(np.linalg.norm(after[number] - before[number])) for number in before}
    moved = [shift for shift in shifts.values() if shift > 0]
    assert moved and moved == pytest.approx([SPEED / 8] * len(moved), abs=3e-4)
    assert {i.category for i in first.instances if shifts[i.id]} >= {"pedestrian"}


def test_coco_file_of_clips_is_coco_vid(split: Path) -> None:
    truth = read_track_file(convert_split(split, CocoConfig(min_pixels=1, min_visible_fraction=0.0)))
    assert [(v.name, v.rate, list(v.frames)) for v in truth.videos] == [
        ("000000", 8, [0, 1]), ("000002", 8, [0]),
    ]  # fmt: skip
    frames = list(truth.videos[0].frames.values())
    assert [frame["scene"] for frame in frames] == ["000000", "000000"], "intervals are over clips"
    tracks = [{a["track_id"] for a in truth.annotations[frame["id"]]} for frame in frames]
    assert tracks[0] & tracks[1]
    dataset = json.loads((split / "annotations.json").read_bytes())
    assert all(a["instance_id"] == a["track_id"] for a in dataset["annotations"])

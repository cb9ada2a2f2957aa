"""[scenes.SPLIT]: scenes of one split that differ, and the share of frames that have a kind of object."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.contract import UserError, load_profile, move_model_files
from blender.rendering.frame import frame_scene
from tests.conftest import ROOT, TINY

DEFAULT = ROOT / "assets/profiles/default.toml"
ORDINARY = ROOT / "assets/profiles/ordinary.toml"
SPLIT = TINY.replace("[splits]", "[splits]\nordinary = 30", 1)


def write(path: Path, text: str) -> Path:
    path.write_text(SPLIT + text)
    return path


def test_a_split_has_scenes_of_its_own_and_the_others_keep_their_fingerprint(tmp_path: Path) -> None:
    plain = load_config(write(tmp_path / "a.toml", ""), "train")
    text = "[scenes.ordinary]\nnegatives = 0.5\n[scenes.ordinary.objects.pallet_truck]\nframes = 0.1\n"
    path = write(tmp_path / "b.toml", text)
    train, ordinary = load_config(path, "train"), load_config(path, "ordinary")
    assert train.scene == plain.scene and train.fingerprint("5", "") == plain.fingerprint("5", "")
    assert ordinary.scene.negatives == 0.5 and ordinary.scene.objects["pallet_truck"].frames == 0.1
    assert ordinary.scene.objects["pallet_truck"].count == train.scene.objects["pallet_truck"].count
    text = text.replace("0.1", "0.2")
    changed = load_config(write(tmp_path / "b.toml", text), "ordinary")
    assert changed.fingerprint("5", "") != ordinary.fingerprint("5", "")


def test_frames_is_the_share_of_frames_with_a_kind_of_object(tmp_path: Path, tiny_people: Path) -> None:
    assets = load_assets(tiny_people)

    def trucks(share: float, frames: int) -> list[int]:
        text = f"[scenes.ordinary.objects.pallet_truck]\nframes = {share}\ncount = [1, 1]\n"
        config = load_config(write(tmp_path / "p.toml", text), "ordinary")
        scenes = (frame_scene(config, assets, frame) for frame in range(frames))
        return [sum(o.category == "pallet_truck" for o in scene.objects) for scene in scenes]

    assert sum(trucks(0, 5)) == 0
    assert 3 <= sum(number > 0 for number in trucks(0.3, 30)) <= 15
    assert sum(number > 0 for number in trucks(1, 5)) >= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[scenes.ordinray]\nnegatives = 0.5", "[scenes.ordinray]: is no split of [splits]"),
        ("[scenes]\nordinary = 3", "[scenes.ordinary]: must be a table, not 3"),
        ("[scenes.ordinary]\nnegatives = 5", "[scenes.ordinary]: negatives must be a number from 0 to 1"),
        (
            "[scenes.ordinary.objects.pallet_truck]\nframse = 1",
            "[scenes.ordinary.objects.pallet_truck]: unknown key 'framse'",
        ),
        ("[scenes.ordinary.rack]\nbays = [2, 1]", "[scenes.ordinary.rack]: bays must be a range"),
    ],
)
def test_mistakes_are_named_whichever_split_is_read(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "p.toml", text)
    for split in ("train", "ordinary"):
        with pytest.raises(UserError) as caught:
            load_config(path, split)
        assert message in str(caught.value) and "\n" not in str(caught.value)


def test_model_files_of_a_splits_scene_are_relative_to_the_profile(tmp_path: Path) -> None:
    scene = {"objects": {"robot": {"ranges": {"file": "robot.glb"}}}}
    moved = move_model_files({"scenes": {"ordinary": scene}}, tmp_path / "a", tmp_path / "b")
    assert moved["scenes"]["ordinary"]["objects"]["robot"]["ranges"]["file"] == "../a/robot.glb"


def test_the_profile_ordinary_differs_from_default_in_its_own_split_alone() -> None:
    default = load_config(DEFAULT, "test")
    assert load_config(ORDINARY, "test").scene == default.scene
    ordinary = load_config(ORDINARY, "ordinary")
    tables = ordinary.scene.objects
    assert tables["pallet_truck"].frames + tables["pallet_truck_near"].frames == pytest.approx(0.1)
    assert ordinary.frames == 40
    assert load_profile(ORDINARY)["splits"] == load_profile(DEFAULT)["splits"] | {"ordinary": 40}

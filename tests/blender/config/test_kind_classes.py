"""Classes that label all objects of a kind: which objects, and what scene, record and manifest say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from blender.assets import load_assets
from blender.config.kind_classes import category_of_kind, kind_class_names
from blender.config.profile import load_config
from blender.contract import UserError
from blender.rendering.frame import frame_scene
from blender.spec import ObjectSpec
from tests.conftest import ROOT

OBJECTS = '[model]\nauxiliary = ["rack_guard", "guard", "cage", "pallet"]\n'
DEFAULT = ROOT / "assets/profiles/default.toml"


def write(path: Path, text: str) -> Path:
    path.write_text(f'extends = "{DEFAULT}"\n{text}')
    return path


def test_a_variant_goes_before_its_kind_and_a_class_before_both() -> None:
    bollard = ObjectSpec("guard", {"variant": "bollard"})
    assert category_of_kind(bollard, ("guard", "bollard")) == "bollard"
    assert category_of_kind(bollard, ("guard",)) == "guard"
    assert category_of_kind(bollard, ("cage",)) == ""
    assert category_of_kind(replace(bollard, category="post"), ("guard", "bollard")) == ""
    assert {"forklift", "reach_truck", "rack_guard", "trolley", "cage", "drum"} <= set(kind_class_names())
    assert "hall" not in kind_class_names()


def test_auxiliary_classes_label_objects_and_change_nothing_else_of_a_scene(
    tmp_path: Path, tiny_people: Path
) -> None:
    assets = load_assets(tiny_people)
    plain = load_config(write(tmp_path / "plain.toml", "[model]\nauxiliary = []\n"), "train")
    labelled = load_config(write(tmp_path / "p.toml", OBJECTS), "train")
    found = set()
    for frame in range(6):
        before, after = frame_scene(plain, assets, frame), frame_scene(labelled, assets, frame)
        new = [item for item in after.objects if item.category not in ("", *plain.classes)]
        found |= {item.category for item in new}
        unlabelled = [replace(item, category="") if item in new else item for item in after.objects]
        assert replace(after, objects=tuple(unlabelled)) == before
        assert all(item.builder in ("guard", "cage", "pallet") for item in new)
        # Objects of the layout (stores, staging areas) are labelled like those of [scene.objects].
        assert not [o for o in after.objects if o.builder in ("cage", "pallet") and not o.category]
    assert {"guard", "cage", "pallet"} <= found
    assert labelled.categories() == ("pedestrian", "pallet_truck", "rack_guard", "guard", "cage", "pallet")
    assert labelled.kinds() == {"rack_guard": ("guard",)}
    assert labelled.fingerprint("5", "") != plain.fingerprint("5", "")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('["rack_gaurd"]', "no kind or variant 'rack_gaurd'; known: .*did you mean 'rack_guard'"),
        ('["cage", "cage"]', "names 'cage' twice"),
        ('["pallet_truck"]', "'pallet_truck' is one of the classes; leave it out"),
        ('"cage"', "auxiliary must be"),
    ],
)
def test_mistakes_are_named(names: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_config(write(tmp_path / "p.toml", f"[model]\nauxiliary = {names}\n"), "train")


def test_a_class_without_a_table_labels_its_kind(tmp_path: Path, tiny_people: Path) -> None:
    """So a profile can learn every kind of object, also those that layouts place, with masks."""
    classes = 'classes = ["pedestrian", "pallet_truck", "pallet", "rack_guard"]\n'
    config = load_config(write(tmp_path / "p.toml", classes + "[model]\nauxiliary = []\n"), "train")
    assert config.kinds() == {"rack_guard": ("guard",)}
    scenes = [frame_scene(config, load_assets(tiny_people), frame) for frame in range(6)]
    objects = [item for scene in scenes for item in scene.objects]
    assert all(item.category == "pallet" for item in objects if item.builder == "pallet")
    assert any(item.category == "pallet" for item in objects)
    with pytest.raises(UserError, match="class 'palet', and it is no kind of object"):
        load_config(write(tmp_path / "q.toml", classes.replace('"pallet"', '"palet"')), "train")

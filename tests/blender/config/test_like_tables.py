"""Tables of [scene.objects] that have the keys of another table: the key ``like``."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender.config.profile import load_config
from blender.contract import UserError
from tests.conftest import TINY


def write(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(TINY + text)
    return path


def test_a_table_like_another_has_its_keys_and_ranges_where_it_sets_none(tmp_path: Path) -> None:
    text = '[scene.objects.near]\nlike = "pallet_truck"\ndistance = [0.8, 2.0]\nranges.stickers = [9, 9]\n'
    config = load_config(write(tmp_path, text + "[scene.objects.other]\nlike = 'pedestrian'\n"))
    near, truck = config.scene.objects["near"], config.scene.objects["pallet_truck"]
    assert (near.builder, near.category, near.count) == ("pallet_truck", "pallet_truck", truck.count)
    assert near.distance == (0.8, 2.0) != truck.distance
    assert config.ranges["near"].paint == config.ranges["pallet_truck"].paint
    assert config.ranges["near"].stickers == (9, 9) != config.ranges["pallet_truck"].stickers
    assert config.ranges["other"] == config.ranges["pedestrian"]


def test_a_split_changes_the_tables_that_are_like_the_changed_one(tmp_path: Path) -> None:
    text = '[scene.objects.near]\nlike = "pallet_truck"\n[scenes.val.objects.pallet_truck]\nparked = 0.125\n'
    path = write(tmp_path, text)
    assert load_config(path, "val").scene.objects["near"].parked == 0.125
    assert load_config(path, "train").scene.objects["near"].parked == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[scene.objects.near]\nlike = 'truck'\n", "like names 'truck', which is no table"),
        (
            "[scene.objects.near]\nlike = 'far'\n[scene.objects.far]\nlike = 'pallet_truck'\n",
            "like names 'far', which has the key 'like' itself",
        ),
    ],
)
def test_a_wrong_like_is_an_error_that_names_it(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_config(write(tmp_path, text))

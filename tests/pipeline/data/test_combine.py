"""Combine renders with other COCO sets: unique ids, mapped categories, a message about dropped objects."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.config import ExtraSet, Profile, UserError, read_profile
from pipeline.data.combine import combine_sets, describe_extra_sets
from pipeline.data.validation import check
from pipeline.data.validation.check import find_problems
from pipeline.models.checkpoint import load_checkpoint
from pipeline.training.augment.augmentation import augmentation
from pipeline.training.command import train, training_inputs
from pipeline.training.dataset import CocoDataset
from tests.conftest import TINY
from tests.helpers.shapes import CLASSES, write_split, write_table
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.training.test_train import PROFILE


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Renders; and photographs of two persons (one labelled as dog) and two trucks (one ignored)."""
    write_split(tmp_path / "renders", 4, seed=1)
    table = write_split(tmp_path / "photographs", 3, seed=2)
    names = {3: "truck", 7: "person"}
    table["categories"] = [{"id": i, "name": names[i]} for i in names] + [{"id": 1, "name": "dog"}]
    table["annotations"][0]["category_id"] = 1
    table["annotations"][3]["iscrowd"] = 1
    write_table(tmp_path / "photographs", table)
    return tmp_path / "renders", tmp_path / "photographs"


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Gets the datasets that are validated during the test."""
    datasets: list[Any] = []

    def find_problems(dataset: Any, images: Path | None = None) -> Any:
        datasets.append(dataset)
        return original(dataset, images)

    original = check.find_problems
    monkeypatch.setattr(check, "find_problems", find_problems)
    return datasets


def as_set(folder: Path, **mapping: str) -> ExtraSet:
    return ExtraSet(str(folder / "annotations.json"), str(folder / "images"), mapping)


def option(folder: Path) -> list[str]:
    return ["--extra", f"{folder / 'annotations.json'}:{folder / 'images'}"]


def with_extra(*sets: ExtraSet) -> Profile:
    return dataclasses.replace(PROFILE, train=dataclasses.replace(PROFILE.train, epochs=1, extra=sets))


def test_a_single_set_is_unchanged(folders: tuple[Path, Path]) -> None:
    combined = combine_sets([as_set(folders[0])])
    assert combined.dataset == json.loads((folders[0] / "annotations.json").read_bytes())


def test_combined_sets_have_unique_ids(folders: tuple[Path, Path]) -> None:
    combined = combine_sets(
        [as_set(folders[0]), as_set(folders[1], person="pedestrian", truck="pallet_truck")]
    )
    table = combined.dataset
    assert {p.rule for p in find_problems(table)} == {"file-name-duplicate"}  # in different folders
    assert [c["name"] for c in table["categories"]] == ["pallet_truck", "pedestrian", "dog"]
    assert [i["id"] for i in table["images"]] == [10, 11, 12, 13, 14, 15, 16]
    assert list(combined.folders.values()) == [folders[0] / "images"] * 4 + [folders[1] / "images"] * 3
    assert combined.count_objects(0) == {"pedestrian": 3, "pallet_truck": 3}
    assert combined.count_objects(1) == {"pedestrian": 1, "pallet_truck": 1, "dog": 1}


def test_dropped_objects_are_described(folders: tuple[Path, Path]) -> None:
    sets = [as_set(folders[0]), as_set(folders[1], person="pedestrian")]
    (line,) = describe_extra_sets(combine_sets(sets), sets, CLASSES)
    assert "3 images with 1 pedestrian; dropped: 1 truck, 1 dog; no pallet_truck labelled" in line.replace(
        "1 dog, 1 truck", "1 truck, 1 dog"
    )


def test_ignored_objects_are_counted(folders: tuple[Path, Path]) -> None:
    path = folders[1] / "annotations.json"
    table = json.loads(path.read_bytes())
    for a in table["annotations"]:
        a["iscrowd"] = 1
    path.write_text(json.dumps(table))
    sets = [as_set(folders[0]), as_set(folders[1], person="pedestrian", truck="pallet_truck")]
    (line,) = describe_extra_sets(combine_sets(sets), sets, CLASSES)
    assert "3 images with no object of any class; 3 ignored (iscrowd 1); " in line


def test_dataset_has_samples_of_all_sets_with_the_profiles_labels(folders: tuple[Path, Path]) -> None:
    data = CocoDataset(
        folders[0] / "annotations.json",
        folders[0] / "images",
        CLASSES,
        extra=[as_set(folders[1], person="pedestrian", truck="pallet_truck")],
    )
    assert len(data) == 7
    data.check_images()
    labels = [sorted(data[i][1]["labels"].tolist()) for i in range(7)]
    assert labels == [[1, 2], [1, 2], [1, 2], [], [2], [1], []]
    assert len(data[5][1]["ignore"]) == 1


def test_images_of_a_repeated_set_are_seen_several_times_with_other_augmentations(
    folders: tuple[Path, Path],
) -> None:
    extra = dataclasses.replace(as_set(folders[1], person="pedestrian", truck="pallet_truck"), repeat=3)
    data = CocoDataset(folders[0] / "annotations.json", folders[0] / "images", CLASSES, extra=[extra])
    assert len(data) == 4 + 3 * 3 and len(data.coco["images"]) == 7
    names = [data.name(index) for index in range(13)]
    assert names[4:7] == names[7:10] == names[10:13] and len(set(names[:4])) == 4
    assert [data[i][1]["labels"].tolist() for i in (4, 5)] == [data[i][1]["labels"].tolist() for i in (7, 8)]
    views = data.transformed(augmentation(PROFILE.train, 0, 0))
    assert not torch.equal(views[4][0], views[7][0])


def test_training_uses_extra_sets_and_validates_each_file_once(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], validated: list[Any]
) -> None:
    profile = with_extra(as_set(folders[1], person="pedestrian"))
    train(profile, folders[0], folders[0], tmp_path / "mixed")
    assert [len(dataset["images"]) for dataset in validated] == [4, 3, 4]  # train, extra, val
    output = capsys.readouterr().out
    assert "train: 7 training images" in output and "dropped: " in output and "1 truck" in output
    assert load_checkpoint(tmp_path / "mixed" / "model.safetensors").images == 7
    train(profile, folders[0], folders[0], tmp_path / "mixed")
    assert capsys.readouterr().out == "train: up to date\n"
    repeated = with_extra(dataclasses.replace(as_set(folders[1], person="pedestrian"), repeat=2))
    assert training_inputs(repeated, folders[0], folders[0]) != training_inputs(
        profile, folders[0], folders[0]
    )


def test_changed_extra_set_makes_the_model_outdated(folders: tuple[Path, Path]) -> None:
    def inputs(*sets: ExtraSet) -> dict[str, Any]:
        return training_inputs(with_extra(*sets), folders[0], folders[0])

    mapped = as_set(folders[1], person="pedestrian")
    keys = [inputs(), inputs(mapped), inputs(as_set(folders[1])), inputs(mapped, mapped)]
    assert all(keys[i] != keys[j] for i in range(4) for j in range(i))
    picture = folders[1] / "images" / "000000.png"
    picture.write_bytes(picture.read_bytes() + b" ")
    assert inputs(mapped) != keys[1]


@pytest.mark.slow
def test_extra_sets_of_profile_and_command_line_are_equivalent(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    profile = tmp_path / "mixed.toml"
    profile.write_text(
        TINY + f'[[train.extra]]\nannotations = "{folders[1] / "annotations.json"}"\n'
        f'images = "{folders[1] / "images"}"\nmap = {{ person = "pedestrian" }}\n'
    )
    assert read_profile(profile).train.extra == (as_set(folders[1], person="pedestrian"),)
    plain = tmp_path / "plain.toml"
    plain.write_text(TINY)
    common = ["--train", str(folders[0]), "--val", str(folders[0]), "--out", str(tmp_path / "out")]
    more = [*option(folders[1]), "--map", "person=pedestrian"]
    done = CliRunner().invoke(main, ["train", "--profile", str(plain), *common, *more])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["train", "--profile", str(profile), *common])
    assert done.output == "train: up to date\n"


def evaluate(model: Path, folder: Path, *options: str) -> Result:
    arguments = ["--annotations", str(folder / "annotations.json"), "--images", str(folder / "images")]
    return CliRunner().invoke(main, ["evaluate", str(model), *arguments, "--bootstrap", "5", *options])


def test_evaluation_on_several_sets_validates_each_file_once(
    folders: tuple[Path, Path], tmp_path: Path, validated: list[Any]
) -> None:
    model, out = tmp_path / "model.safetensors", tmp_path / "out"
    write_tiny_model(model)
    mapped = ["--map", "person=pedestrian", "--map", "truck=pallet_truck"]
    done = evaluate(model, folders[0], *option(folders[1]), *mapped, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert [len(dataset["images"]) for dataset in validated] == [4, 3]
    metrics = json.loads((out / "metrics.json").read_bytes())
    assert metrics["images"] == 7
    assert [metrics["classes"][name]["objects"] for name in CLASSES] == [4, 4]
    assert metrics["classes"]["pallet_truck"]["ignored"] == 1
    table = json.loads((out / "annotations.json").read_bytes())
    results = json.loads((out / "predictions.json").read_bytes())
    assert {r["image_id"] for r in results} <= {i["id"] for i in table["images"]}
    alone = evaluate(model, folders[1], *mapped)
    assert alone.exit_code == 0 and "3 images" in alone.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "person"], "CATEGORY=CLASS"),
        (["--map", "unicorn=pedestrian"], "has a category 'unicorn'"),
        (["--map", "person=pedestrain"], "which is not a class; classes: pedestrian, pallet_truck"),
        (["--extra", "nothing"], "FILE:IMAGES"),
        (["--extra", "no.json:images"], "no such file"),
    ],
)
def test_invalid_options_are_named_in_one_line(
    folders: tuple[Path, Path], tmp_path: Path, options: list[str], message: str
) -> None:
    model = tmp_path / "model.safetensors"
    write_tiny_model(model)
    done = evaluate(model, folders[1], *options)
    assert done.exit_code == 2 and message in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_map_of_a_profile_is_checked_before_training(folders: tuple[Path, Path], tmp_path: Path) -> None:
    cases = (({"persn": "pedestrian"}, "no category 'persn'"), ({"dog": "cat"}, "not a class"))
    for mapping, message in cases:
        with pytest.raises(UserError, match=message):
            train(with_extra(as_set(folders[1], **mapping)), folders[0], folders[0], tmp_path / "out")
        assert not (tmp_path / "out").exists()

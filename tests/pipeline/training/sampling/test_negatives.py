"""Photographs without objects join training: how they are read, in what share, and what is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.config import Profile
from pipeline.training.augment.augmentation import augmentation
from pipeline.training.augment.resolution import Resolution
from pipeline.training.command import training_inputs
from pipeline.training.data_loader import TrainLoader
from pipeline.training.dataset import CocoDataset
from pipeline.training.feature_cache import FeatureCache
from pipeline.training.sampling.negatives import add_negatives, find_negatives
from tests.helpers.shapes import CLASSES, SIZE
from tests.helpers.training import TOML, with_train, write_splits

TURN_RIGHT = 6
"""An EXIF orientation: the stored image is turned by a quarter for display."""


def write_photographs(folder: Path, sizes: dict[str, tuple[int, int]], orientation: int = 1) -> Path:
    """Write images of noise, brighter to the right, with (width, height) by name."""
    folder.mkdir()
    for number, (name, (width, height)) in enumerate(sizes.items()):
        values = np.random.default_rng(number).integers(0, 90, (height, width, 3), dtype=np.uint8)
        values[:, width // 2 :] += 150
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(values).save(folder / name, exif=exif)
    return folder


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_splits(tmp_path_factory.mktemp("splits"))


def with_negatives(folder: Path, **keys: Any) -> Profile:
    return with_train(negatives=(str(folder),), **{"epochs": 1, "negatives_share": 0.25} | keys)


def read_train_set(splits: tuple[Path, Path], profile: Profile) -> CocoDataset:
    data = CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES)
    return add_negatives(data, profile.train)


def test_negatives_are_samples_without_objects_after_the_labelled_images(
    splits: tuple[Path, Path], tmp_path: Path
) -> None:
    photos = write_photographs(tmp_path / "a", {"1.jpg": (400, 200), "2.png": (9, 500)}, TURN_RIGHT)
    (photos / "notes.txt").write_text("not an image")
    data = read_train_set(splits, with_negatives(photos))
    assert len(data) == 4 and data.negatives == 2
    assert data.notes[-2:] == [
        "negatives: 2 images without objects, 1 of the 4 views of a pass",
        "negatives: left out: 1 .txt",
    ]
    image, target = data[4]
    assert image.shape == (3, 400, 200)  # upright, as people see it
    assert image[:, 300:].mean() > image[:, :100].mean() + 0.4
    assert target["masks"].shape == (0, 400, 200) and len(target["boxes"]) == len(target["ignore"]) == 0
    assert data.limited(Resolution(50, 100))[4][0].shape == (3, 100, 50)
    augmented = data.limited(Resolution(96, 96)).transformed(augmentation(with_train().train, 0, 0))
    assert augmented[4][0].shape == (3, 96, 48) and augmented[5][0].shape == (3, 2, 96)
    assert not torch.equal(augmented[4][0], data.limited(Resolution(96, 96))[4][0])
    images = {data.draw(np.random.default_rng(seed))[1]["image_id"].item() for seed in range(20)}
    assert images == {10, 11, 12, 13}  # copy-paste draws labelled images


def test_few_negatives_come_in_several_views(splits: tuple[Path, Path], tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "a", {"1.png": (SIZE, SIZE)})
    profile = with_negatives(photos, negatives_share=0.75, batch_size=1)
    data = read_train_set(splits, profile)
    assert data.negatives == 3 and len({data.name(i) for i in (4, 5, 6)}) == 1
    loader = TrainLoader(data, profile.train, 0, FeatureCache(0), torch.device("cpu"))
    chunks = [chunk for batch in loader.batches(0) for chunk in batch.chunks]
    negatives = [chunk.images[0] for chunk in chunks if chunk.indices[0] >= 4]
    assert len(chunks) == 4 and len(negatives) == 3
    assert not torch.equal(negatives[0], negatives[1])


def test_links_and_several_folders_are_accepted(tmp_path: Path, splits: tuple[Path, Path]) -> None:
    photos = write_photographs(tmp_path / "photos", {"1.png": (8, 8), "2.png": (8, 8)})
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "other.png").symlink_to(photos / "2.png")
    folders = (str(tmp_path / "links"), str(photos), str(photos))
    assert [s.path.name for s in find_negatives(folders).sources] == ["other.png", "1.png", "2.png"]
    data = add_negatives(
        CocoDataset(splits[0] / "annotations.json", splits[0] / "images", CLASSES),
        with_train(negatives=folders).train,
    )
    assert [data[i][0].shape for i in (4, 5, 6)] == [(3, 8, 8)] * 3


def test_changed_negatives_make_the_model_outdated(splits: tuple[Path, Path], tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "a", {"1.png": (8, 8)})
    profile = with_negatives(photos)
    before = training_inputs(profile, *splits)
    moved = with_negatives(photos.rename(tmp_path / "b"))
    assert training_inputs(moved, *splits) == before != training_inputs(with_train(epochs=1), *splits)
    assert training_inputs(with_negatives(tmp_path / "b", negatives_share=0.5), *splits) != before
    other = write_photographs(tmp_path / "c", {"1.png": (9, 9)})
    assert training_inputs(with_negatives(other), *splits) != before


def test_training_accepts_photographs_of_any_size(
    splits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the profile's folder that of the command line, with cached features and one view."""
    small = write_photographs(tmp_path / "small", {"1.png": (1, 1), "2.png": (3, 200)})
    large = write_photographs(tmp_path / "large", {"1.jpg": (900, 300)}, TURN_RIGHT)
    profile = tmp_path / "profile.toml"
    keys = f'epochs = 1\nprocesses = 1\nnegatives = ["{small}"]\nnegatives_share = 0.75\ncache_features = 1\n'
    profile.write_text(TOML + keys)
    words = ["--profile", profile, "--train", splits[0], "--val", splits[1], "--out", tmp_path / "out"]
    done = CliRunner().invoke(main, ["train", *map(str, words), "--negatives", str(large)])
    assert done.exit_code == 0, done.output
    assert "negatives: 3 images without objects, 3 of the 4 views of a pass" in done.output
    assert "4 training images" in done.output


def move_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def remove_images(folder: Path) -> None:
    (folder / "1.jpg").rename(folder / "1.txt")
    (folder / "1.txt").write_text("text")


def write_text_into_image(folder: Path) -> None:
    (folder / "1.jpg").write_text("text")


def truncate(folder: Path) -> None:
    data = (folder / "1.jpg").read_bytes()
    (folder / "1.jpg").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (move_away, "photos: no such folder; negatives are folders"),
        (remove_images, "photos: no image in this folder"),
        (write_text_into_image, "1.jpg: not a readable image: "),
        (truncate, "1.jpg: not a readable image: image file is truncated"),
    ],
)
def test_a_mistake_is_named_in_one_line_before_training_starts(
    damage: Any, message: str, splits: tuple[Path, Path], tmp_path: Path
) -> None:
    photos = write_photographs(tmp_path / "photos", {"1.jpg": (200, 200)})
    damage(photos)
    profile, out = tmp_path / "profile.toml", tmp_path / "out"
    profile.write_text(TOML + "processes = 1\n")
    words = ["--profile", profile, "--train", splits[0], "--val", splits[1], "--out", out]
    done = CliRunner().invoke(main, ["train", *map(str, words), "--negatives", str(photos)])
    assert done.exit_code == 2, done.output
    assert message in done.output and done.output.count("\n") == 1
    assert not out.exists()


def test_an_empty_name_is_not_the_working_directory() -> None:
    with pytest.raises(Exception, match="'': no such folder; negatives are folders"):
        find_negatives([""])

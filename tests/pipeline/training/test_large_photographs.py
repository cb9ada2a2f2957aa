"""Photographs much larger than the model's input are shrunk when they are read, so memory stays small."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as T  # noqa: N812 (the field's own name)

from pipeline.config import ExtraSet, TrainConfig
from pipeline.models.samples import Sample, boxes_from_masks
from pipeline.models.transform import DetectionTransform
from pipeline.training.augment.resolution import Resolution, usable_resolution
from pipeline.training.command import train
from pipeline.training.dataset import CocoDataset
from tests.helpers.shapes import CLASSES, rle, write_table
from tests.helpers.training import with_train, write_splits

MEGABYTE = 1024


def write_photograph(
    folder: Path, size: tuple[int, int], segmentations: list[Any], changes: dict[int, Any] | None = None
) -> Path:
    """Write a split with one JPEG of smooth colours and an object for each segmentation.

    ``changes`` are further values of objects by their id, from 1.
    """
    (folder / "images").mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(
        folder / "images" / "a.jpg", quality=95
    )
    annotations = [
        {
            "id": number, "image_id": 1, "category_id": 1 + number % 2, "iscrowd": 0, "area": 100,
            "bbox": [0, 0, 10, 10], "segmentation": segmentation,
        }
        for number, segmentation in enumerate(segmentations, start=1)
    ]  # fmt: skip
    for number, values in (changes or {}).items():
        annotations[number - 1].update(values)
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    entry = {"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}
    write_table(folder, {"images": [entry], "annotations": annotations, "categories": categories})
    return folder


def ellipse(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: size[1], : size[0]]
    return ((x - centre[0]) / 2) ** 2 + (y - centre[1]) ** 2 < radius**2


def squares(count: int, side: int, size: tuple[int, int]) -> list[Any]:
    corners = np.random.default_rng(1).integers(0, np.array(size) - side, (count, 2)).tolist()
    return [[[x, y, x + side, y, x + side, y + side, x, y + side]] for x, y in corners]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, Sample]:
    """Return a sample at full size and shrunk: polygons, RLE, a crowd, keypoints, an object of one pixel."""
    size = (1501, 1130)
    counts = np.diff(np.flatnonzero(np.diff(ellipse(size, (700, 300), 90).T.ravel(), prepend=1, append=2)))
    folder = write_photograph(
        tmp_path_factory.mktemp("photograph"),
        size,
        [
            [[200.5, 100, 420, 110.25, 380, 700, 190, 640], [900, 900, 1100, 900, 1000, 1050]],
            rle(ellipse(size, (1000, 500), 140)),
            {"size": size[::-1], "counts": counts.tolist()},
            rle(ellipse(size, (1200, 200), 60)),
            rle(ellipse(size, (1203, 801), 0.5)),
        ],
        {2: {"keypoints": [1000, 500, 2] + [0] * 48, "num_keypoints": 1}, 4: {"iscrowd": 1}},
    )
    data = CocoDataset(folder / "annotations.json", folder / "images", CLASSES)
    return data[0], data.limited(Resolution(200, 250))[0]


def test_a_shrunk_sample_is_the_resized_full_sample(samples: tuple[Sample, Sample]) -> None:
    (full_image, full), (image, target) = samples
    assert image.shape == (3, 188, 250)
    resized = T.resize(full_image, [188, 250], antialias=True)
    assert (image - resized).abs().mean() < 1 / 255 and (image - resized).abs().max() < 6 / 255
    masks = T.resize(full["masks"], [188, 250], interpolation=T.InterpolationMode.NEAREST_EXACT)
    assert torch.equal(target["masks"], masks[:3]) and not masks[3].any()
    assert torch.equal(target["boxes"], boxes_from_masks(target["masks"]))
    assert target["labels"].tolist() == full["labels"].tolist()[:3]
    scale = torch.tensor([250 / 1501, 188 / 1130])
    assert torch.allclose(target["keypoints"][1, 0], torch.tensor([*(scale * torch.tensor([1000, 500])), 2]))


def test_an_object_that_vanishes_becomes_an_ignore_region(samples: tuple[Sample, Sample]) -> None:
    (_, full), (_, target) = samples
    scale = torch.tensor([250 / 1501, 188 / 1130] * 2)
    assert len(full["ignore"]) == 1 and len(target["ignore"]) == 2
    assert torch.allclose(target["ignore"], torch.cat([full["ignore"], full["boxes"][3:]]) * scale)


@pytest.mark.parametrize("size", [(250, 200), (96, 72), (72, 96), (250, 190), (200, 5000)])
def test_an_image_that_is_not_larger_than_useful_keeps_its_size(size: tuple[int, int]) -> None:
    resolution = Resolution(200, 250)
    assert resolution.limit(size) == (size if max(size) <= 250 else (10, 250))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"scale_jitter": (0.5, 2.0)}, Resolution(192, 256)),
        ({"scale_jitter": (0.5, 0.8)}, Resolution(96, 128)),
        ({"scale_jitter": (1.0, 1.5), "crop": 0.5}, Resolution(288, 384)),
    ],
)
def test_the_useful_size_follows_from_the_largest_zoom(keys: Any, expected: Resolution) -> None:
    model = torch.nn.Module()
    model.transform = DetectionTransform(96, 128, [0.5], [0.5])
    assert usable_resolution(model, TrainConfig(**keys)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_on_photographs_takes_no_memory_for_full_size_masks(tmp_path: Path) -> None:
    """At full size, 60 masks of 12 megapixels take 720 MB, and augmentation makes several copies of them.

    The validation image itself takes 600 MB, in float and at its full size.
    """
    size = (4000, 3000)
    photograph = write_photograph(tmp_path / "photograph", size, squares(60, 400, size))
    splits = write_splits(tmp_path, train=1, val=1)
    extra = ExtraSet(str(photograph / "annotations.json"), str(photograph / "images"))
    profile = with_train(epochs=1, extra=(extra,), copy_paste=1.0, pictures=2, cache_features=1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
    before = peak_kilobytes()
    train(profile, splits[0], photograph, tmp_path / "out")
    assert (peak_kilobytes() - before) / MEGABYTE < 900
    assert json.loads((tmp_path / "out" / "metrics.jsonl").read_text())["epoch"] == 1


def peak_kilobytes() -> int:
    """Return the peak of this process's resident memory since it was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

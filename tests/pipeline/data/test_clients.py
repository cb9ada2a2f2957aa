"""Other people's tools read the masks of converted datasets, and get the same pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import CocoConfig
from pipeline.data.convert import convert_split
from pipeline.data.rasterise import fill_as_opencv
from tests.helpers.clients import TABLE, Reader, exact_objects, export, overlaps
from tests.helpers.synthetic import write_split

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with objects in pieces, objects with holes, ignore regions and an image without objects."""
    run = tmp_path_factory.mktemp("clients") / "run"
    for seed, split in enumerate(("train", "val", "test")):
        categories = ("pedestrian", "pallet_truck", "crate")
        write_split(run / split, size=(240, 320), objects=6, seed=seed, categories=categories)
        convert_split(run / split, CocoConfig(min_pixels=900))
    return run


@pytest.mark.parametrize(("tool", "read", "name", "least"), TABLE, ids=[f"{t}, {n}" for t, _, n, _ in TABLE])
def test_tool_reads_the_masks(
    tool: str, read: Reader, name: str, least: float, run_dir: Path, tmp_path: Path
) -> None:
    ious = overlaps(exact_objects(run_dir), read, export(run_dir, name, tmp_path))
    assert len(ious) > 20 and ious.mean() >= least, tool


def test_opencv_fills_polygons_as_is_measured() -> None:
    cv2 = pytest.importorskip("cv2")
    np = pytest.importorskip("numpy")
    rng = np.random.default_rng(0)
    for _ in range(300):
        polygon = rng.integers(0, 24, (rng.integers(3, 9), 2))
        image = np.zeros((24, 24), np.uint8)
        cv2.fillPoly(image, [polygon.astype(np.int32)], 1)
        assert np.array_equal(fill_as_opencv([polygon.ravel().tolist()], 24, 24), image == 1)


def test_datasets_loads_a_split_of_negatives_beside_others(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for split, objects in {"train": 3, "val": 0}.items():
        write_split(tmp_path / "run" / split, frames=2, objects=objects)
        convert_split(tmp_path / "run" / split, CocoConfig())
    flat = export(tmp_path / "run", "imagefolder, --layout flat", tmp_path)
    table = datasets.load_dataset("imagefolder", data_dir=str(flat), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    negatives = table.filter(lambda row: row["split"] == "val")
    assert len(negatives) == 2 and negatives.features["objects"]["bbox"].feature.feature.dtype == "float64"
    assert all(row["objects"]["id"] == [] for row in negatives)

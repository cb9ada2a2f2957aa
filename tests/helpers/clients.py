"""Read converted datasets with other people's tools, and compare their masks with the exact ones.

Run it on a run's folder to print the table of the page about other tools:
``python -m tests.helpers.clients build/default OUT``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO

from pipeline.data.formats import ExportOptions
from pipeline.data.formats.write import convert_to_format, find_splits
from tests.helpers.canvas import CHROMIUM, canvas_runs

Mask = npt.NDArray[np.bool_]
Objects = list[tuple[str, Mask]]
"""Class and mask of each object of an image that is not an ignore region."""
Key = tuple[str, str]
"""Name of the split, and of the image's file."""
Reader = Callable[[Path], Iterator[tuple[Key, Objects]]]

EXPORTS: dict[str, tuple[str, ExportOptions, bool]] = {
    "annotations.json": ("", ExportOptions(), False),
    "yolo-seg": ("yolo-seg", ExportOptions(), False),
    "yolo-seg, --outline edges": ("yolo-seg", ExportOptions(outline="edges"), False),
    "coco-polygons": ("coco-polygons", ExportOptions("coco"), False),
    "coco-polygons, --outline pixels": ("coco-polygons", ExportOptions("coco", "pixels"), False),
    "coco-polygons, --drop-ignored": ("coco-polygons", ExportOptions("coco"), True),
    "imagefolder": ("imagefolder", ExportOptions(), False),
    "imagefolder, --layout flat": ("imagefolder", ExportOptions("flat"), False),
}
"""Name -> format, options, drop_ignored; no format: the run itself."""


def export(run: Path, name: str, out: Path) -> Path:
    """Write a run as ``EXPORTS`` says; return the folder."""
    form, options, drop_ignored = EXPORTS[name]
    if not form:
        return run
    convert_to_format([run], form, out / name, options, drop_ignored)
    return out / name


def exact_objects(run: Path) -> dict[Key, Objects]:
    """Read the exact masks from the run lengths of a run's splits."""
    objects: dict[Key, Objects] = {}
    for split, folder in find_splits([run]).items():
        coco = COCO(str(folder / "annotations.json"))
        for image in coco.imgs.values():
            objects[split, image["file_name"]] = [
                (coco.cats[a["category_id"]]["name"], mask_utils.decode(a["segmentation"]).astype(bool))
                for a in coco.imgToAnns[image["id"]]
                if not a["iscrowd"]
            ]
    return objects


def overlaps(exact: dict[Key, Objects], read: Reader, folder: Path) -> npt.NDArray[np.float64]:
    """Compute the IoU of each object's exact mask and of what a tool reads.

    The tool must read the same images, and in each the same classes in the same order.
    """
    found = dict(read(folder))
    assert found.keys() == exact.keys()
    ious = []
    for key, objects in exact.items():
        assert [name for name, _ in found[key]] == [name for name, _ in objects], key
        for (_, mask), (_, other) in zip(objects, found[key], strict=True):
            ious.append((mask & other).sum() / (mask | other).sum())
    return np.array(ious)


# ------------------------------------------------------------------------------ readers


def read_with_pycocotools(folder: Path) -> Iterator[tuple[Key, Objects]]:
    for split, coco, image, labels in _coco_images(folder):
        names = [coco.cats[a["category_id"]]["name"] for a in labels]
        masks = [coco.annToMask(a).astype(bool) for a in labels]
        yield (split, image["file_name"]), list(zip(names, masks, strict=True))


def read_with_supervision(folder: Path) -> Iterator[tuple[Key, Objects]]:
    sv = pytest.importorskip("supervision")
    for split, path, images in _splits(folder):
        if path.suffix == ".json":
            found = sv.DetectionDataset.from_coco(str(images), str(path), force_masks=True)
        else:
            texts = folder / "labels" / split
            found = sv.DetectionDataset.from_yolo(str(images), str(texts), str(path), force_masks=True)
        for file, _, detections in found:
            ignored = detections.data.get("iscrowd", np.zeros(len(detections)))
            yield (
                (split, Path(file).name),
                [
                    (found.classes[detections.class_id[i]], detections.mask[i].astype(bool))
                    for i in np.flatnonzero(np.asarray(ignored) == 0)
                ],
            )


def read_with_datumaro(folder: Path) -> Iterator[tuple[Key, Objects]]:
    dm = pytest.importorskip("datumaro")
    tools = pytest.importorskip("datumaro.util.mask_tools")
    found = dm.Dataset.import_from(str(folder), "coco_instances")
    names = found.categories()[dm.AnnotationType.label]
    for item in found:
        height, width = item.media.size
        polygons: dict[int, list[Any]] = {}
        for a in item.annotations:
            if a.type == dm.AnnotationType.polygon and not a.attributes["is_crowd"]:
                polygons.setdefault(a.group, []).append(a)
        yield (
            (item.subset, f"{item.id}.png"),
            [
                (
                    names[parts[0].label].name,
                    tools.rles_to_mask([p.points for p in parts], width, height) != 0,
                )
                for _, parts in sorted(polygons.items())
            ],
        )


def read_with_datasets(folder: Path) -> Iterator[tuple[Key, Objects]]:
    datasets = pytest.importorskip("datasets")
    names = json.loads((folder / "categories.json").read_text())
    tables = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(folder / ".cache"))
    for name, table in tables.items():
        for row in table.cast_column("image", datasets.Image(decode=False)):
            objects, file = row["objects"], Path(row["image"]["path"]).name
            split = row.get("split") or {"validation": "val"}.get(name, name)
            yield (
                (split, file),
                [
                    (names[category], mask_utils.decode(json.loads(rle)).astype(bool))
                    for category, rle, ignored in zip(
                        objects["category"], objects["segmentation"], objects["iscrowd"], strict=True
                    )
                    if not ignored
                ],
            )


def read_with_sahi_shapely(folder: Path) -> Iterator[tuple[Key, Objects]]:
    """Read the polygons with which SAHI slices a dataset."""
    for key, labels, size in _sahi_images(folder):
        yield key, [(a.category_name, _fill([a._shapely_annotation.multipolygon], size)) for a in labels]


def read_with_sahi_masks(folder: Path) -> Iterator[tuple[Key, Objects]]:
    """Read the masks that SAHI draws with OpenCV."""
    cv = pytest.importorskip("sahi.utils.cv")
    for split, coco, image, labels in _coco_images(folder):
        yield (
            (split, image["file_name"]),
            [
                (
                    coco.cats[a["category_id"]]["name"],
                    cv.get_bool_mask_from_coco_segmentation(
                        a["segmentation"], image["width"], image["height"]
                    ),
                )
                for a in labels
            ],
        )


def read_with_label_studio(folder: Path) -> Iterator[tuple[Key, Objects]]:
    """Read the tasks that Label Studio's importer makes; their points are per cent."""
    coco = pytest.importorskip("label_studio_sdk.converter.imports.coco")
    shapely = pytest.importorskip("shapely")
    for split, path, _ in _splits(folder):
        coco.convert_coco_to_ls(str(path), str(folder / "tasks.json"))
        for task in json.loads((folder / "tasks.json").read_text()):
            objects: list[tuple[str, list[Any]]] = []
            for result in task["annotations"][0]["result"]:
                size = result["original_height"], result["original_width"]
                if result["type"] == "rectanglelabels":
                    objects.append((result["value"]["rectanglelabels"][0], []))
                if result["type"] == "polygonlabels":
                    points = np.array(result["value"]["points"]) / 100 * size[::-1]
                    objects[-1][1].append(shapely.Polygon(points))
            file = task["data"]["image"].rpartition("/")[2].rpartition("=")[2]
            yield (split, file), [(name, _fill(parts, size)) for name, parts in objects]


def read_with_shapely(folder: Path) -> Iterator[tuple[Key, Objects]]:
    """Read the polygons as they are: valid, of the mask's area, and pixels by their centres."""
    shapely = pytest.importorskip("shapely")
    for split, coco, image, labels in _coco_images(folder):
        objects = []
        for a in labels:
            parts = [shapely.Polygon(np.reshape(p, (-1, 2))) for p in a["segmentation"]]
            assert all(part.is_valid for part in parts)
            assert sum(part.area for part in parts) == pytest.approx(a["area"], rel=0.005)
            mask = _fill(parts, (image["height"], image["width"]))
            objects.append((coco.cats[a["category_id"]]["name"], mask))
        yield (split, image["file_name"]), objects


def read_with_canvas(folder: Path) -> Iterator[tuple[Key, Objects]]:
    """Read what an HTML canvas of Chromium fills, by its default non-zero rule."""
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    for split, coco, image, labels in _coco_images(folder):
        size = image["height"], image["width"]
        runs = canvas_runs([a["segmentation"] for a in labels], size, folder / "canvas")
        masks = [np.repeat(np.arange(len(r)) % 2 == 1, r).reshape(size) for r in runs]
        names = [coco.cats[a["category_id"]]["name"] for a in labels]
        yield (split, image["file_name"]), list(zip(names, masks, strict=True))


def _splits(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, annotations (or YOLO's data.yaml) and images of each split."""
    if (folder / "data.yaml").is_file():
        for images in sorted((folder / "images").iterdir()):
            yield images.name, folder / "data.yaml", images
    elif (folder / "annotations").is_dir():
        for path in sorted((folder / "annotations").glob("instances_*.json")):
            split = path.stem.removeprefix("instances_")
            yield split, path, folder / "images" / split
    else:
        for split, path in find_splits([folder]).items():
            yield split, path / "annotations.json", path / "images"


def _coco_images(folder: Path) -> Iterator[tuple[str, COCO, dict[str, Any], list[dict[str, Any]]]]:
    """Each image with its annotations that are not ignore regions."""
    for split, path, _ in _splits(folder):
        coco = COCO(str(path))
        for image in coco.imgs.values():
            yield split, coco, image, [a for a in coco.imgToAnns[image["id"]] if not a["iscrowd"]]


def _sahi_images(folder: Path) -> Iterator[tuple[Key, list[Any], tuple[int, int]]]:
    coco = pytest.importorskip("sahi.utils.coco")
    for split, path, images in _splits(folder):
        for image in coco.Coco.from_coco_dict_or_path(str(path), image_dir=str(images)).images:
            kept = [a for a in image.annotations if not a.iscrowd]
            yield (split, Path(image.file_name).name), kept, (image.height, image.width)


def _fill(polygons: list[Any], size: tuple[int, int]) -> Mask:
    """The pixels whose centre is in one of shapely's polygons."""
    shapely = pytest.importorskip("shapely")
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for polygon in polygons:
        shapely.prepare(polygon)
    return np.any([shapely.contains_xy(polygon, x, y) for polygon in polygons], axis=0)


TABLE: list[tuple[str, Reader, str, float]] = [
    ("pycocotools", read_with_pycocotools, "coco-polygons", 1.0),
    ("supervision", read_with_supervision, "annotations.json", 1.0),
    ("supervision", read_with_supervision, "coco-polygons, --outline pixels", 0.97),
    ("supervision", read_with_supervision, "yolo-seg", 0.97),
    ("datumaro", read_with_datumaro, "coco-polygons", 1.0),
    ("datasets", read_with_datasets, "imagefolder", 1.0),
    ("datasets", read_with_datasets, "imagefolder, --layout flat", 1.0),
    ("SAHI, slicing (shapely)", read_with_sahi_shapely, "coco-polygons, --drop-ignored", 1.0),
    ("SAHI, masks (OpenCV)", read_with_sahi_masks, "coco-polygons, --outline pixels", 0.97),
    ("Label Studio", read_with_label_studio, "coco-polygons, --drop-ignored", 1.0),
    ("shapely", read_with_shapely, "coco-polygons", 1.0),
    ("Chromium, canvas", read_with_canvas, "coco-polygons", 1.0),
]
"""Tool, reader, what it reads, and the least mean IoU."""


def main(run: Path, out: Path) -> None:
    """Print the table for a run."""
    exact = exact_objects(run)
    print("| tool | reads | mean IoU | least IoU |\n| --- | --- | --- | --- |")
    for tool, read, name, _ in TABLE:
        ious = overlaps(exact, read, export(run, name, out))
        print(f"| {tool} | `{name}` | {ious.mean():.4f} | {ious.min():.4f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""COCO files with polygons instead of run lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pycocotools import mask as mask_utils

from blender.contract import canonical_json
from pipeline.data.formats.images import image_files
from pipeline.data.formats.registry import (
    CocoSet,
    ExportOptions,
    OutputFile,
    data_format,
    print_changed,
)
from pipeline.data.polygons import mask_to_polygons
from pipeline.data.rasterise import count_changed_pixels
from pipeline.data.rle import as_rle
from pipeline.data.values import has_mask


@data_format("coco-polygons", "split", "coco")
def coco_polygons(splits: list[CocoSet], options: ExportOptions) -> Iterator[OutputFile]:
    """Export COCO with polygons instead of RLE; ignore regions stay RLE, as in COCO's own files.

    An object without a mask stays a box. The layout "coco" is that of COCO's own files:
    annotations/instances_train.json and images/train/.
    """
    changed, pixels = Counter[str](), 0
    for split in splits:
        as_coco = options.layout == "coco"
        yield from image_files(split, f"images/{split.name}/" if as_coco else f"{split.folder}images/")
        sizes = {i["id"]: (i["width"], i["height"]) for i in split.dataset["images"]}
        annotations = []
        for a in split.dataset["annotations"]:
            if a["iscrowd"] or not has_mask(a) or isinstance(a["segmentation"], list):
                annotations.append(a)
                continue
            mask = mask_utils.decode(as_rle(a["segmentation"], *sizes[a["image_id"]]))
            polygons = [options.trace(polygon, "edges") for polygon in mask_to_polygons(mask)]
            changed.update(count_changed_pixels(mask, polygons))
            pixels += int(mask.sum())
            annotations.append(a | {"segmentation": polygons})
        # Depth and normals are not copied, so their paths are left out.
        images = [{k: value for k, value in i.items() if k != "arrays"} for i in split.dataset["images"]]
        name = f"annotations/instances_{split.name}.json" if as_coco else f"{split.folder}annotations.json"
        yield name, canonical_json(split.dataset | {"images": images, "annotations": annotations})
    print_changed(changed, pixels)

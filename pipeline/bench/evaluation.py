"""Time and memory of conversion, judging and validation, beside what pycocotools alone needs for the same."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import canonical_json, sha256_bytes
from pipeline.bench.child import measured
from pipeline.bench.plan import Plan
from pipeline.bench.synthetic import annotation_file, results_of, write_split
from pipeline.config import CocoConfig


def measure(plan: Plan) -> dict[str, Any]:
    """Convert and judge sets of each size, ours and the plain way in turns, and validate one file."""
    figures: dict[str, Any] = {"convert": [], "judge": []}
    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as name:
        for count in plan.masks:
            split = Path(name) / str(count)
            write_split(split, count)
            row = {
                "ours": measured(f"{count} masks to COCO", convert, split),
                "reference": measured(f"{count} masks, pycocotools alone", encode, split),
            }
            figures["convert"].append({"masks": count, **row})
            (split / "results.json").write_bytes(canonical_json(results_of(split / "annotations.json")))
            row = {
                "ours": measured(f"{count} masks judged", judge, split, 200),
                "without intervals": measured(f"{count} masks judged, no intervals", judge, split, 0),
                "reference": measured(f"{count} masks, pycocotools alone", cocoeval, split),
            }
            figures["judge"].append({"masks": count, **row})
        file = Path(name) / "instances.json"
        file.write_bytes(canonical_json(annotation_file(plan.annotations // 10, plan.annotations)))
        figures["validate"] = {
            "images": plan.annotations // 10,
            "annotations": plan.annotations,
            "megabytes": round(file.stat().st_size / 2**20, 1),
            "ours": measured(f"{plan.annotations} annotations validated", validate, file),
            "reference": measured(f"{plan.annotations} annotations, pycocotools loads them", load, file),
        }
    return figures


@contextlib.contextmanager
def timed() -> Iterator[dict[str, Any]]:
    """Put the seconds of what happens inside into a table: on the wall, and of the processor."""
    table: dict[str, Any] = {}
    began, computed = time.perf_counter(), time.process_time()
    yield table
    table["seconds"] = time.perf_counter() - began
    table["cpu_seconds"] = time.process_time() - computed


def convert(split: Path) -> dict[str, Any]:
    """``transpalette coco``."""
    from pipeline.data.convert import convert_split

    with timed() as table:
        convert_split(split, CocoConfig())
    return table


def encode(split: Path) -> dict[str, Any]:
    """The least that a converter must do: read each mask, encode each id, write one file. No check."""
    with timed() as table:
        found = []
        for image_id, path in enumerate(sorted((split / "masks").glob("*.png")), start=1):
            with Image.open(path) as picture:
                mask = np.asarray(picture)
            for number in np.unique(mask)[1:]:
                rle = mask_utils.encode(np.asfortranarray(mask == number, dtype=np.uint8))
                area, box = int(mask_utils.area(rle)), [float(v) for v in mask_utils.toBbox(rle)]
                rle["counts"] = rle["counts"].decode("ascii")
                found.append({"image_id": image_id, "segmentation": rle, "area": area, "bbox": box})
        text = json.dumps({"annotations": found})
        (split / "plain.json").write_text(text)
    return table | {"sha256": sha256_bytes(text.encode())[:16]}


def judge(split: Path, bootstrap: int) -> dict[str, Any]:
    """What ``transpalette evaluate`` does with predictions: COCO's figures, intervals, weaknesses."""
    from pipeline.data.coco_io import read_coco
    from pipeline.evaluation.bootstrap import run_bootstrap
    from pipeline.evaluation.matching import evaluate_detections, with_rle
    from pipeline.evaluation.summary import summarize

    with timed() as table:
        results = json.loads((split / "results.json").read_bytes())
        evaluation = evaluate_detections(with_rle(read_coco(split / "annotations.json")), results)
        metrics = summarize(evaluation, 0.5, run_bootstrap(evaluation, bootstrap))
    return table | {"AP": metrics["overall"]["segm"]["AP"]}


def cocoeval(split: Path) -> dict[str, Any]:
    """pycocotools' own evaluation of boxes and masks."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with timed() as table, contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(split / "annotations.json"))
        results = truth.loadRes(str(split / "results.json"))
        for kind in ("bbox", "segm"):
            evaluation = COCOeval(truth, results, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    return table | {"AP": float(evaluation.stats[0])}


def validate(file: Path) -> dict[str, Any]:
    """``transpalette validate``."""
    from pipeline.data.validation.check import validate_file

    with timed() as table:
        unusable = validate_file(file, None)
    return table | {"sound": not unusable}


def load(file: Path) -> dict[str, Any]:
    """pycocotools reads the file and indexes it; it checks nothing."""
    from pycocotools.coco import COCO

    with timed() as table, contextlib.redirect_stdout(io.StringIO()):
        COCO(str(file))
    return table

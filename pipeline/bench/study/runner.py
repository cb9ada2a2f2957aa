"""Run a study: render, train and evaluate every variant of a profile.

The models that variants start from are trained first, if the study has any. Every variant is rendered, once
if several variants have the same scenes, and trained with each seed. All models are evaluated on the same
test split, that of the profile without a variant's changes. Where the variants differ in rendering effort, a
few frames of each are also timed, one variant after the other. An interrupted study continues when the
command is repeated; finished steps are reused.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from blender.contract import (
    UserError,
    canonical_json,
    load_profile,
    merge_tables,
    sha256_bytes,
    write_atomic,
)
from pipeline.bench.study.profiles import absolute_model_files, profile_changes, read_study
from pipeline.bench.study.report import IOU_TYPES, page
from pipeline.common.processes import module_command
from pipeline.common.toml import to_toml
from pipeline.evaluation.slices import FEWEST

WORST = 5
"""Number of slices in the mean recall of the worst."""
SCENE_TABLES = ("seed", "classes", "splits", "people", "render", "scene")
"""The tables of a profile that decide on the images of a split."""


@dataclass(frozen=True)
class LabelledSet:
    """A labelled set that every model is evaluated on."""

    name: str
    annotations: Path
    images: Path


def run(study_file: Path, out: Path, photographs: list[LabelledSet]) -> None:
    """Run a study and print its table.

    Args:
        study_file: the file of the study.
        out: folder for renders, models, study.json and study.md.
        photographs: sets to evaluate on, beside the rendered test split.

    Raises:
        UserError: the study or the profile of a variant is wrong, or a step failed.
    """
    study, text = read_study(study_file), ""
    origin = study_file.parent / study.profile
    base = merge_tables(_load(origin), study.common)
    loops = {name: changes.get("improve", {}) for name, changes in study.variants.items()}
    profiles = {
        (name, seed): merge_tables(merge_tables(base, profile_changes(changes)), {"seed": seed})
        for seed in study.seeds  # the outer loop, so that the first table is complete early
        for name, changes in study.variants.items()
    }
    starts = {name: _load(study_file.parent / path) for name, path in study.starts.items()}
    checked = [
        base,
        *starts.values(),
        *(_with_start(p, dict.fromkeys(starts, "auto")) for p in profiles.values()),
    ]
    for number, profile in enumerate(checked):  # check all profiles before the work starts
        path = _write_profile(out / "profiles" / f"{number:03}.toml", profile)
        _call("pipeline", "check", "--profile", path)
    costs = {}
    if study.timed_frames:  # one after the other, so that the times can be compared
        for name in study.variants:
            costs[name] = measure_rendering(profiles[name, study.seeds[0]], study.timed_frames, out)
    models = {name: str(train_model(profile, out)) for name, profile in starts.items()}
    profiles = {key: _with_start(profile, models) for key, profile in profiles.items()}
    test = _render_splits(base, ("test",), out)["test"]
    sets = [LabelledSet("renders", test / "annotations.json", test / "images"), *photographs]
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, ((name, seed), profile) in enumerate(profiles.items(), start=1):
        click.echo(f"study: {name}, seed {seed} ({number} of {len(profiles)})", err=True)
        rows.setdefault(name, []).append(measure_variant(profile, sets, out, loops[name]))
        text = "\n".join(page(study, rows, [labelled.name for labelled in sets], costs))
        write_atomic(out / "study.json", json.dumps(rows, indent=1).encode())
        write_atomic(out / "study.md", (text + "\n").encode())
    click.echo(text)
    click.echo(f"study: {out / 'study.json'}, {out / 'study.md'}")


def measure_rendering(profile: dict[str, Any], frames: int, out: Path) -> dict[str, float]:
    """Measure the seconds per frame, and their ratio to the seconds that Cycles alone needs."""
    scene = {key: profile[key] for key in SCENE_TABLES if key in profile}
    folder = out / "costs" / _digest(scene | {"n": frames})
    path, result = _write_profile(folder / "profile.toml", profile), folder / "render.json"
    if not result.is_file():
        people = _bake_people(profile, path, out)
        options = ["--people", people, "--out", result, "--frames", frames, "--sweeps", ""]
        _call("blender.bench", "--profile", path, *options)
    figures = json.loads(result.read_bytes())
    return {"seconds": figures["seconds"]["total"], "ratio": figures["ratio"]}


def measure_variant(
    profile: dict[str, Any], sets: list[LabelledSet], out: Path, loop: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Train a variant, run its loop if it has one, and evaluate it.

    Args:
        profile: the variant's profile.
        sets: the sets to evaluate on.
        out: folder of the study.
        loop: options of ``transpalette improve``; None or {}: no loop.

    Returns:
        The seconds of the training, or of the loop; for each set and class the AP50 by IoU type; and
        ``worst``: the mean recall of the ``WORST`` slices of the first set with the lowest.
    """
    model = train_model(profile, out)
    seconds = None
    if loop:
        model = run_loop(profile, model, out, loop)
        seconds = sum(json.loads((model.parent / "clock.json").read_bytes()).values())
    row: dict[str, Any] = {}
    for labelled in sets:
        result = model.parent / labelled.name
        options = ["--annotations", labelled.annotations, "--images", labelled.images, "--out", result]
        _call("pipeline", "evaluate", model, *options, "--bootstrap", 0)
        metrics = json.loads((result / "metrics.json").read_bytes())
        row["seconds"] = metrics["training"]["seconds"] if seconds is None else seconds
        if labelled is sets[0]:
            row["worst"] = mean_of_worst(metrics["factors"])
        row[labelled.name] = {
            name: {iou_type: scores[iou_type]["AP50"] for iou_type in IOU_TYPES}
            for name, scores in metrics["classes"].items()
        }
    return row


def run_loop(profile: dict[str, Any], model: Path, out: Path, options: dict[str, Any]) -> Path:
    """Run ``transpalette improve`` on a variant's model; return the best checkpoint.

    Loops with other options have other folders, beside the same model.
    """
    run_folder = model.parent
    splits = _render_splits(profile, ("train", "val"), out)
    people = _bake_people(profile, run_folder / "profile.toml", out)
    for name, folder in (*splits.items(), ("people", people)):
        if not (run_folder / name).exists():
            (run_folder / name).symlink_to(folder.resolve(), target_is_directory=True)
    target = run_folder / f"improve-{_digest(options)}"
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    file = run_folder / "profile.toml"
    _call("pipeline", "improve", run_folder, "--profile", file, "--out", target, "--all-rounds", *flags)
    return target / "model.safetensors"


def mean_of_worst(rows: list[dict[str, Any]]) -> float:
    """Return the mean recall of the ``WORST`` slices with the lowest recall, of those that can be ranked."""
    recalls = [row["recall"] for row in rows if row["recall"] is not None]
    values = sorted(part["value"] for part in recalls if part["count"] >= FEWEST)
    return sum(values[:WORST]) / max(1, len(values[:WORST]))


def train_model(profile: dict[str, Any], out: Path) -> Path:
    """Render the splits of a profile, train on them, and return the checkpoint."""
    splits = _render_splits(profile, ("train", "val"), out)
    run_folder = out / "models" / _digest(profile)
    path = _write_profile(run_folder / "profile.toml", profile)
    options = ["--train", splits["train"], "--val", splits["val"], "--out", run_folder]
    _call("pipeline", "train", "--profile", path, *options)
    return run_folder / "model.safetensors"


def _load(path: Path) -> dict[str, Any]:
    """Read a profile, to be written elsewhere."""
    return absolute_model_files(load_profile(path), path.parent)


def _with_start(profile: dict[str, Any], models: dict[str, str]) -> dict[str, Any]:
    """Replace the name of a start in [model] weights by the path of its model."""
    name = profile.get("model", {}).get("weights", "")
    return merge_tables(profile, {"model": {"weights": models[name]}}) if name in models else profile


def _render_splits(profile: dict[str, Any], names: tuple[str, ...], out: Path) -> dict[str, Path]:
    """Render and convert splits of a profile; variants with the same scenes share a folder."""
    scene = {key: profile[key] for key in SCENE_TABLES if key in profile}
    folder = out / "renders" / _digest({**scene, "coco": profile.get("coco", {})})
    path = _write_profile(folder / "profile.toml", profile)
    people = _bake_people(profile, path, out)
    for name in names:
        split = folder / name
        _call(
            "blender.render", "--profile", path, "--split", name, "--people", people, "--out", split,
            "--update",
        )  # fmt: skip
        _call("pipeline", "coco", "--profile", path, split)
    return {name: folder / name for name in names}


def _bake_people(profile: dict[str, Any], path: Path, out: Path) -> Path:
    """Create the posed body meshes of a profile, whose file is ``path``; returns their folder."""
    people = out / "people" / _digest(profile.get("people", {}))
    if not (people / "manifest.json").is_file():
        _call("pipeline", "people", "--profile", path, "--out", people)
    return people


def _digest(table: Any) -> str:
    return sha256_bytes(canonical_json(table))[:12]


def _write_profile(path: Path, profile: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, to_toml(profile).encode())
    return path


def _call(module: str, *arguments: object) -> None:
    """Run a module of this program in another process; its output goes to standard error.

    Raises:
        UserError: the command failed.
    """
    process = subprocess.run(module_command(module, *arguments), stdout=sys.stderr, check=False)
    if process.returncode:
        raise UserError(f"{module} {arguments[0]} ended with status {process.returncode}, see above")

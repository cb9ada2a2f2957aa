"""``python -m pipeline.bench.study``: what a change of the profile brings in AP, on renders and photographs.

A study is a TOML file: a profile to start from, what all its variants change, and what each one changes, as
tables that are laid over the profile's. Every variant is rendered (once, where several need the same
pictures) and trained with each seed; all are judged on one test split, that of the profile without a
variant's changes. Where renders differ in effort, it also times a few frames of each variant, one after the
other. Repeat the command to go on; what is finished stays.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import click

from blender.contract import (
    UserError,
    canonical_json,
    exit_on_user_error,
    from_table,
    load_profile,
    sha256_bytes,
    write_atomic,
)
from pipeline.bench.cells import table as markdown
from pipeline.cli.group import FILE, FOLDER

SCENE = ("seed", "classes", "splits", "people", "render", "scene")
"""The tables of a profile that decide on a split's pictures."""
GEOMETRIES = ("bbox", "segm")
"""What AP50 is given of."""


@dataclass(frozen=True)
class Study:
    """A study's file."""

    title: str
    profile: str
    """What the variants are variants of; relative to the file."""
    variants: dict[str, Any]
    """Name to what it changes, in the order of the table."""
    common: dict[str, Any] = field(default_factory=dict)
    """What all of them change: fewer and smaller pictures, say."""
    seeds: tuple[int, ...] = (0,)
    timed_frames: int = 0
    """Frames of each variant that are rendered to time them, in one process; 0: none."""


@dataclass(frozen=True)
class Judge:
    """A labelled set that every model is measured on."""

    name: str
    annotations: Path
    images: Path


def read_study(path: Path) -> Study:
    """Read a study.

    Raises:
        UserError: no such file, not TOML, or a wrong key.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such study; see assets/studies/") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    study = from_table(Study, found, str(path))
    if not study.variants:
        raise UserError(f"{path}: it has no [variants]")
    return study


def laid_over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``table`` with ``changes``, of which each names a value of the table, or of a table in it."""
    merged = dict(table)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = laid_over(below, value) if both else value  # type: ignore[arg-type]
    return merged


def located(profile: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """``profile`` to be written elsewhere: the model files it names relative to ``folder``, absolute."""
    scene = profile.get("scene", {})
    objects = {
        name: laid_over(one, {"ranges": {"file": str((folder / one["ranges"]["file"]).resolve())}})
        if "file" in one.get("ranges", {})
        else one
        for name, one in scene.get("objects", {}).items()
    }
    return laid_over(profile, {"scene": {"objects": objects}}) if objects else dict(profile)


def as_toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """A profile as TOML: one line a value, under its whole name."""
    lines = []
    for key, value in table.items():
        name = f"{prefix}{json.dumps(key)}"
        lines.append(
            as_toml(value, f"{name}.") if isinstance(value, dict) else f"{name} = {json.dumps(value)}\n"
        )
    return "".join(lines)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("study", type=FILE)
@click.option("--out", type=FOLDER, required=True, help="Gets renders, models, study.json and study.md.")
@click.option("--annotations", type=FILE, help="Labelled photographs to judge on, beside the test split.")
@click.option("--images", type=FOLDER, help="Their folder.")
def main(study: Path, out: Path, annotations: Path | None, images: Path | None) -> None:
    """Render, train and judge each variant of STUDY; write a table."""
    with exit_on_user_error():
        if (annotations is None) != (images is None):
            raise UserError("--annotations and --images go together")
        photos = [Judge("photographs", annotations, images)] if annotations and images else []
        run(study, out, photos)


def run(study: Path, out: Path, photos: list[Judge]) -> None:
    """Do what the study says, and print its table.

    Raises:
        UserError: the study or a variant's profile is wrong, or a step failed.
    """
    plan, text = read_study(study), ""
    origin = study.parent / plan.profile
    base = laid_over(located(load_profile(origin), origin.parent), plan.common)
    profiles = {
        (name, seed): laid_over(laid_over(base, changes), {"seed": seed})
        for seed in plan.seeds  # all with the first: a whole table by half of the time
        for name, changes in plan.variants.items()
    }
    for number, profile in enumerate([base, *profiles.values()]):  # all mistakes before the work
        path = _write(out / "profiles" / f"{number:03}.toml", profile)
        _call("-m", "blender.config", path)
        _call("-m", "pipeline", "check", "--profile", path)
    costs = {}
    if plan.timed_frames:  # one after the other, so that they can be compared
        costs = {name: _cost(profiles[name, plan.seeds[0]], plan.timed_frames, out) for name in plan.variants}
    test = _rendered(base, ("test",), out)["test"]
    judges = [Judge("renders", test / "annotations.json", test / "images"), *photos]
    rows: dict[str, list[dict[str, Any]]] = {}
    for done, ((name, seed), profile) in enumerate(profiles.items(), start=1):
        click.echo(f"study: {name}, seed {seed} ({done} of {len(profiles)})", err=True)
        rows.setdefault(name, []).append(_measured(profile, judges, out))
        text = "\n".join(page(plan, rows, [judge.name for judge in judges], costs))
        write_atomic(out / "study.json", json.dumps(rows, indent=1).encode())
        write_atomic(out / "study.md", (text + "\n").encode())
    click.echo(text)
    click.echo(f"study: {out / 'study.json'}, {out / 'study.md'}")


def page(
    study: Study,
    rows: Mapping[str, list[dict[str, Any]]],
    judges: list[str],
    costs: Mapping[str, Mapping[str, float]] | None = None,
) -> list[str]:
    """The table in Markdown: for each variant the means over its seeds, plus or minus half their range.

    Args:
        rows: what ``_measured`` gave for each seed of each variant.
        costs: what ``_cost`` gave for each variant; None or empty: it was not asked.
    """
    classes = list(next(iter(rows.values()))[0][judges[0]])
    kinds = [(judge, name) for judge in judges for name in classes]
    head = ["", "seeds", *(["a frame, s", "over Cycles alone"] if costs else []), "training, s"]
    head += [f"{judge}: {name}, box / mask AP50" for judge, name in kinds]
    lines = []
    for variant, found in rows.items():
        cells = [variant, str(len(found))]
        if costs:
            cells += [f"{costs[variant]['seconds']:.2f}", f"{costs[variant]['ratio']:.2f}"]
        cells.append(f"{mean(row['seconds'] for row in found):.0f}")
        for judge, name in kinds:
            cells.append(" / ".join(_spread([row[judge][name][key] for row in found]) for key in GEOMETRIES))
        lines.append(cells)
    return [f"### {study.title}", "", *markdown(head, lines)]


def _spread(values: list[float]) -> str:
    middle = f"{mean(values):.3f}"
    return middle if len(values) == 1 else f"{middle} ±{(max(values) - min(values)) / 2:.3f}"


def _cost(profile: dict[str, Any], frames: int, out: Path) -> dict[str, float]:
    """Seconds that a frame of a profile takes, and how many times what Cycles alone takes."""
    folder = out / "costs" / _digest({key: profile[key] for key in SCENE if key in profile} | {"n": frames})
    path, found = _write(folder / "profile.toml", profile), folder / "render.json"
    if not found.is_file():
        words = ["--people", _people(profile, path, out), "--out", found, "--frames", frames, "--sweeps", ""]
        _call("-m", "blender.bench", "--profile", path, *words)
    figures = json.loads(found.read_bytes())
    return {"seconds": figures["seconds"]["whole"], "ratio": figures["ratio"]}


def _measured(profile: dict[str, Any], judges: list[Judge], out: Path) -> dict[str, Any]:
    """Train a variant and judge it: seconds of training, and per judge and class the AP50."""
    splits = _rendered(profile, ("train", "val"), out)
    run = out / "models" / _digest(profile)
    path = _write(run / "profile.toml", profile)
    words = ["--train", splits["train"], "--val", splits["val"], "--out", run]
    _call("-m", "pipeline", "train", "--profile", path, *words)
    row: dict[str, Any] = {}
    for judge in judges:
        into = run / judge.name
        words = ["--annotations", judge.annotations, "--images", judge.images, "--out", into]
        _call("-m", "pipeline", "evaluate", run / "model.safetensors", *words, "--bootstrap", 0)
        metrics = json.loads((into / "metrics.json").read_bytes())
        row["seconds"] = metrics["training"]["seconds"]
        row[judge.name] = {
            name: {key: scores[key]["AP50"] or 0.0 for key in GEOMETRIES}
            for name, scores in metrics["classes"].items()
        }
    return row


def _rendered(profile: dict[str, Any], names: tuple[str, ...], out: Path) -> dict[str, Path]:
    """The splits of a profile, rendered and converted; variants that share the scenes share the folder."""
    scene = {key: profile[key] for key in SCENE if key in profile}
    folder = out / "renders" / _digest({**scene, "coco": profile.get("coco", {})})
    path = _write(folder / "profile.toml", profile)
    people = _people(profile, path, out)
    for name in names:
        split = folder / name
        _call(
            "-m", "blender.render", "--profile", path, "--split", name, "--people", people, "--out", split,
            "--update",
        )  # fmt: skip
        _call("-m", "pipeline", "coco", "--profile", path, split)
    return {name: folder / name for name in names}


def _people(profile: dict[str, Any], path: Path, out: Path) -> Path:
    """The baked bodies of a profile, which is in ``path`` too."""
    people = out / "people" / _digest(profile.get("people", {}))
    if not (people / "manifest.json").is_file():
        _call("-m", "pipeline", "people", "--profile", path, "--out", people)
    return people


def _digest(table: Any) -> str:
    return sha256_bytes(canonical_json(table))[:12]


def _write(path: Path, profile: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, as_toml(profile).encode())
    return path


def _call(*words: object) -> None:
    done = subprocess.run([sys.executable, *map(str, words)], stdout=sys.stderr, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(map(str, words[1:3]))} ended with status {done.returncode}, see above")


if __name__ == "__main__":
    main()

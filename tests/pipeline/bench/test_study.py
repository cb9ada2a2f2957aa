"""Profile studies: the profiles of the variants, errors, the table, and a small real run."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from blender.config.profile import load_config
from blender.contract import UserError, load_profile, merge_tables
from pipeline.bench.study import runner
from pipeline.bench.study.profiles import absolute_model_files, profile_changes, read_study
from pipeline.bench.study.report import page
from pipeline.common.toml import to_toml
from pipeline.config import read_profile
from pipeline.models.checkpoint import load_checkpoint
from tests.conftest import ROOT, TINY

STUDIES = sorted((ROOT / "assets" / "studies").glob("*.toml"))

SMALL = """
title = "Two rates"
profile = "tiny.toml"
seeds = [0, 1]
timed_frames = 2
[common]
splits = { train = 2, val = 1, test = 2 }
[variants.slow]
train.lr = 1e-4
[variants.fast]
train.lr = 1e-3
"""


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_variant_is_a_valid_and_different_profile(path: Path, tmp_path: Path) -> None:
    study = read_study(path)
    base = merge_tables(load_profile(path.parent / study.profile), study.common)
    texts = set()
    for changes in study.variants.values():
        profile = merge_tables(base, profile_changes(changes))
        (tmp_path / "p.toml").write_text(to_toml(profile))
        assert tomllib.loads((tmp_path / "p.toml").read_text()) == profile
        load_config(tmp_path / "p.toml")
        texts.add(
            repr(read_profile(tmp_path / "p.toml"))
            + repr(load_config(tmp_path / "p.toml"))
            + repr(changes.get("improve"))
        )
    assert len(texts) == len(study.variants), "a variant changes nothing"


def test_model_files_stay_valid_in_the_folder_of_a_variant(tmp_path: Path) -> None:
    (tmp_path / "robot.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 0 1\nf 1 2 3\n")
    robot = {"builder": "model", "count": [0, 1], "distance": [2.0, 9.0], "ranges": {"file": "robot.obj"}}
    profile = tomllib.loads(TINY)
    profile["scene"].setdefault("objects", {})["robot"] = robot
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "p.toml").write_text(to_toml(absolute_model_files(profile, tmp_path)))
    objects = load_config(tmp_path / "study" / "p.toml").scene.objects
    assert Path(objects["robot"].ranges["file"]) == tmp_path / "robot.obj"
    assert robot["ranges"] == {"file": "robot.obj"}
    assert absolute_model_files({"name": "bare"}, tmp_path) == {"name": "bare"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "key 'title' is missing"),
        (SMALL.replace("title", "titel"), "titel"),
        ('title = "a"\nprofile = "b"\n[variants]\n', "no [variants]"),
        ("title =", "not valid TOML"),
    ],
)
def test_wrong_study_file_is_reported(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UserError) as error:
        read_study(tmp_path / "s.toml")
    assert message in str(error.value)


def test_missing_profile_is_reported(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SMALL)
    done = run_study(tmp_path / "s.toml", tmp_path / "out")
    assert done.returncode == 2 and "tiny.toml" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_table_has_means_and_half_ranges_of_the_seeds() -> None:
    def row(ap: float) -> dict[str, Any]:
        return {"seconds": 10, "renders": {"truck": {"bbox": ap, "segm": ap / 2}}}

    lines = page(read_study(STUDIES[0]), {"one": [row(0.2), row(0.4)], "two": [row(0.5)]}, ["renders"])
    assert lines[-2:] == [
        "| one | 2 | 10 | 0.300 ±0.100 / 0.150 ±0.050 |",
        "| two | 1 | 10 | 0.500 / 0.250 |",
    ]
    costs = {"one": {"seconds": 2.0, "ratio": 1.5}}
    lines = page(read_study(STUDIES[0]), {"one": [row(0.2)]}, ["renders"], costs)
    assert lines[2].startswith("|  | seeds | seconds per frame | relative to Cycles alone | training, s |")
    assert lines[-1] == "| one | 1 | 2.00 | 1.50 | 10 | 0.200 / 0.100 |"


def test_variant_with_a_loop_goes_on_from_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    folder = tmp_path / "renders"
    monkeypatch.setattr(runner, "_call", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(runner, "_render_splits", lambda *_: {"train": folder, "val": folder})
    monkeypatch.setattr(runner, "_bake_people", lambda *_: folder)
    (tmp_path / "run").mkdir()
    folder.mkdir()
    options = {"policy": "uniform", "choose_frames": 9}
    model = runner.run_loop({}, tmp_path / "run" / "model.safetensors", tmp_path, options)
    assert calls[0][:3] == ("pipeline", "improve", tmp_path / "run")
    assert calls[0][-3:] == ("--all-rounds", "--policy=uniform", "--choose-frames=9")
    assert model.parent.parent == tmp_path / "run" and (tmp_path / "run" / "people").is_dir()
    other = runner.run_loop({}, tmp_path / "run" / "model.safetensors", tmp_path, {"policy": "weak"})
    assert other != model


def test_table_of_a_loop_has_the_recall_of_the_worst_slices() -> None:
    rows = [{"recall": {"count": 9, "value": v / 10}} for v in range(9)] + [{"recall": None}]
    assert runner.mean_of_worst([*rows, {"recall": {"count": 4, "value": 0.0}}]) == pytest.approx(0.2)
    study = read_study(ROOT / "assets/studies/loop.toml")
    row = {"seconds": 10, "worst": 0.25, "renders": {"truck": {"bbox": 0.2, "segm": 0.1}}}
    lines = page(study, {"weak scenes": [row]}, ["renders"])
    assert "worst slices, recall" in lines[2]
    assert lines[-1] == "| weak scenes | 1 | 0.250 | 10 | 0.200 / 0.100 |"


def run_study(path: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.bench.study", path, "--out", out]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_variants_start_from_a_model_that_the_study_trains(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "other.toml").write_text(
        'extends = "tiny.toml"\nname = "other"\nclasses = ["pedestrian", "cage"]\n'
        'remove = ["scene.objects.pallet_truck"]\n[scene.objects.cages]\nbuilder = "cage"\ncount = [1, 2]\n'
        "distance = [2.0, 6.0]\nranges.variants = { mesh_box = 1 }\n"
    )
    study = SMALL.replace("seeds = [0, 1]", 'seeds = [0]\nstarts.other = "other.toml"').replace(
        "timed_frames = 2", "timed_frames = 0"
    )
    (tmp_path / "s.toml").write_text(study + 'model.weights = "other"\n')
    done = run_study(tmp_path / "s.toml", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    models = [load_checkpoint(path) for path in (tmp_path / "out" / "models").glob("*/model.safetensors")]
    starts = {model.start["kind"]: model for model in models if model.classes[1] == "pallet_truck"}
    assert starts.keys() == {"embedded", "checkpoint"}, "one variant starts from it"
    (other,) = (model for model in models if model.classes[1] == "cage")
    assert other.images == 4 and starts["checkpoint"].images == 2


@pytest.mark.slow
def test_small_study_runs_and_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "s.toml").write_text(SMALL)
    done = run_study(tmp_path / "s.toml", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [len(rows[name]) for name in ("slow", "fast")] == [2, 2]
    assert "| fast | 2 | " in (tmp_path / "out" / "study.md").read_text()
    assert len(list((tmp_path / "out" / "renders").iterdir())) == 2, "one folder per seed"
    assert len(list((tmp_path / "out" / "costs").iterdir())) == 1, (
        "variants with the same scenes share a timing"
    )
    assert "| relative to Cycles alone |" in done.stdout
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    again = run_study(tmp_path / "s.toml", tmp_path / "out")
    assert again.returncode == 0 and again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == before

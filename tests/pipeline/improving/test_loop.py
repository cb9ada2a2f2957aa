"""The loop on tiny renders with real training: its files, resume after kills, the budget, user errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from blender.contract import UserError, load_profile, read_manifest, read_toml, sha256_bytes
from pipeline.cli import main
from pipeline.common.durations import parse_duration
from pipeline.improving.settings import Loop, claim_folder, owner_of
from pipeline.models import safetensors_file
from tests.conftest import ROOT, TINY, create_once, render, run
from tests.helpers import improve_loop

PROFILE = TINY.replace("train = 4", "train = 4\ntest = 2").replace("[train]", "[train]\npictures = 0")
KILLED_AFTER = (
    "settings.json",
    "choose/images/*.png",
    "choose.json",
    "round-00/evaluation/predictions.json",
    "round-00/decision.json",
    "round-01/frames.json",
    "round-01/renders/images/*.png",
    "round-01/training/last.safetensors",
    "round-01/metrics.json",
    "round-02/model.safetensors",
)
"""Files in the order in which the loop writes them."""


@pytest.fixture(scope="module")
def trained(
    tiny_split: Path, tiny_people: Path, tiny_profile: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a finished run of the tiny profile: people, two splits and a model."""

    def make(folder: Path) -> subprocess.CompletedProcess[str]:
        folder.mkdir()
        (folder / "profile.toml").write_text(PROFILE)
        shutil.copytree(tiny_people, folder / "people")
        shutil.copytree(tiny_split, folder / "train")
        rendered = render(folder / "profile.toml", tiny_people, folder / "val", "--workers", 1, split="val")
        assert rendered.returncode == 0, rendered.stderr
        profile = ["--profile", folder / "profile.toml"]
        for split in ("train", "val"):
            run("-m", "pipeline", "coco", *profile, folder / split)
        return run(
            "-m", "pipeline", "train", *profile, "--train", folder / "train", "--val", folder / "val",
            "--out", folder,
        )  # fmt: skip

    return create_once(tmp_path_factory, "improve-run", make)


@pytest.fixture(scope="module")
def finished(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the loop without interruption; return its folder."""
    out = tmp_path_factory.mktemp("finished") / "improve"
    done = run("-m", "tests.helpers.improve_loop", trained, out)
    assert done.returncode == 0, done.stderr
    return out


RESULTS = ("model.safetensors", "patch.toml", "frames.json", "metrics.json", "decision.json", "manifest.json")


def results_of(out: Path) -> dict[str, str]:
    """Return the hashes of all results: not of training's and evaluate's own folders, which have times.

    A checkpoint names the file that it started from, so the folder of the loop is left out of it.
    """
    hashes = {}
    for path in sorted(out.rglob("*")):
        if path.name in RESULTS and not {"training", "evaluation"} & set(path.parts):
            data = path.read_bytes()
            if path.suffix == ".safetensors":
                tensors, metadata = safetensors_file.decode(data), safetensors_file.verify(data)
                named = {key: text.replace(str(out), "") for key, text in metadata.items()}
                data = safetensors_file.encode(tensors, named)
            hashes[str(path.relative_to(out))] = sha256_bytes(data)
    return hashes


@pytest.mark.slow
def test_rounds_render_what_is_weak_and_train_on_it(finished: Path, trained: Path) -> None:
    for number in (1, 2):
        folder = finished / f"round-{number:02d}"
        patch = read_toml(folder / "patch.toml")["scene"]
        assert patch["camera"]["mounts"]["overhead"]["weight"] > 2
        assert patch["layouts"]["wall"] > patch["layouts"]["aisle"]
        frames = json.loads((folder / "frames.json").read_bytes())
        rendered = read_manifest(folder / "renders")
        assert [int(name) for name in rendered.frames] == frames["frames"] and len(frames["frames"]) == 2
        assert rendered.split == frames["split"] == f"improve_{number:02d}"
        metrics = json.loads((folder / "metrics.json").read_bytes())
        assert metrics["gain"]["over"] in (0, 1) and len(metrics["weak"]) == 2
    profile = read_toml(finished / "round-02" / "profile.toml")
    assert len(profile["train"]["extra"]) == 2
    best = json.loads((finished / "round-02" / "decision.json").read_bytes())["best"]
    source = finished / f"round-{best:02d}" / "model.safetensors" if best else trained / "model.safetensors"
    assert (finished / "model.safetensors").read_bytes() == source.read_bytes()


@pytest.mark.slow
def test_every_rendered_frame_is_the_one_that_profile_and_seed_define(
    finished: Path, tiny_people: Path, tmp_path: Path
) -> None:
    folder = finished / "round-01"
    frame = json.loads((folder / "frames.json").read_bytes())["frames"][-1]
    again = render(
        folder / "profile.toml", tiny_people, tmp_path / "again", f"--frames={frame}", split="improve_01"
    )
    assert again.returncode == 0, again.stderr
    name = f"frames/{frame:06d}.json"
    assert (tmp_path / "again" / name).read_bytes() == (folder / "renders" / name).read_bytes()


@pytest.mark.slow
def test_kills_do_not_change_the_result(finished: Path, trained: Path, tmp_path: Path) -> None:
    """SIGKILL shortly after each of ten files appears; the last command runs to its end."""
    out, rng = tmp_path / "improve", np.random.default_rng(0)
    command = [sys.executable, "-m", "tests.helpers.improve_loop", str(trained), str(out)]
    for pattern in KILLED_AFTER:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list(out.glob(pattern)):
            assert process.poll() is None, f"the loop ended before it wrote {pattern}"
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.3)))
        process.kill()
        process.wait()
        assert not (out / "model.safetensors").exists()
    last = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert results_of(out) == results_of(finished)


@pytest.mark.slow
def test_repeated_command_writes_no_result_again(finished: Path, trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    improve_loop.run(trained, finished)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_budget_ends_the_loop_and_a_larger_one_goes_on(
    finished: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "improve"
    shutil.copytree(finished, out)
    for name in ("round-01", "round-02"):
        shutil.rmtree(out / name)
    (out / "round-00" / "decision.json").unlink()
    improve_loop.run(trained, out, budget=1.0)
    assert "the budget is spent" in capsys.readouterr().out
    assert not (out / "round-01").exists()
    improve_loop.run(trained, out, budget=1.0)  # recorded: the same decision
    assert not (out / "round-01").exists()
    improve_loop.run(trained, out, rounds=1, budget=1e6)
    assert (out / "round-01" / "model.safetensors").is_file()
    name = "round-01/model.safetensors"
    assert results_of(out)[name] == results_of(finished)[name]


# ------------------------------------------------------------------------------ errors for people


@pytest.fixture
def stub(tmp_path: Path, tiny_profile: Path) -> Path:
    """Return a folder with the files that a run needs, all empty, and the note that names its profile."""
    folder = tmp_path / "run"
    names = ("model.safetensors", "people/manifest.json", "train/annotations.json", "val/annotations.json")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / ".profile-path").write_text(f"{tiny_profile}\n")
    return folder


def test_mistakes_give_one_line_and_status_2(stub: Path, tmp_path: Path) -> None:
    empty, bare = tmp_path / "empty", tmp_path / "bare.toml"
    empty.mkdir()
    bare.write_text(TINY.replace("train = 4", "learn = 4"))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    cases: list[tuple[list[object], str]] = [
        ([empty], "does not say which profile it is of; name it with --profile"),
        ([empty, "--profile", "smoke"], "model.safetensors: missing; make it first (make train)"),
        ([stub, "--budget", "soon"], "'soon' is no duration; write it with a unit"),
        ([stub, "--profile", bare], "no split 'train' in [splits]"),
        ([stub, "--out", tmp_path / "used"], "has other files; name a new folder with --out"),
    ]
    for arguments, message in cases:
        done = CliRunner().invoke(main, ["improve", *map(str, arguments)])
        assert done.exit_code == 2, done.output
        assert message in done.output and len(done.output.strip().splitlines()) == 1
    assert (tmp_path / "used" / "notes.txt").read_text() == "mine"
    assert not (stub / "improve").exists()


def test_folder_of_another_loop_is_refused(stub: Path, tmp_path: Path) -> None:
    profile = owner_of(stub)
    loop = Loop(stub, profile, tmp_path / "loop", improve_loop.SETTINGS, 3, None)
    tables = load_profile(profile)
    claim_folder(loop, tables)
    claim_folder(replace(loop, rounds=5, budget=60.0), tables)
    changed = replace(loop, settings=replace(loop.settings, frames=7))
    with pytest.raises(UserError, match=r"has a loop with another --frames \(2, now 7\)"):
        claim_folder(changed, tables)
    with pytest.raises(UserError, match="another profile"):
        claim_folder(loop, tables | {"seed": 9})
    (stub / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match="another model"):
        claim_folder(loop, tables)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45min", 2700), ("1h30min", 5400), ("1.5 h", 5400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "0min", "h", "2 days"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no duration"):
        parse_duration(text)

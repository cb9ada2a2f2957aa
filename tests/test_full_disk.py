"""A full disk in each command that writes files: the error names the path, the earlier result stays valid.

A limit for the size of files simulates the full disk: the write that exceeds it fails.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from blender.contract import frame_is_complete, read_manifest
from pipeline import load_model
from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from pipeline.inference.video import open_video, read_video
from pipeline.models.checkpoint import load_checkpoint
from tests.conftest import ROOT, TINY
from tests.helpers.synthetic import write_split, write_tiny_model

RUN_WITH_LIMIT = """
import resource, runpy, signal, sys
module, limit = sys.argv[1], int(sys.argv[2])
sys.argv = [module, *sys.argv[3:]]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module(module, run_name="__main__")
"""
UNLIMITED = -1


@dataclass(frozen=True)
class Writer:
    """Two commands that write the same output; {run} stands for the folder of the run."""

    first: str
    """Command that writes the earlier result."""
    second: str
    """Command that should replace the result, and fails because the disk is full."""
    outputs: tuple[str, ...]
    """Files of the result. They must not change when the second command fails."""
    limit: int = 300
    """Maximum size of a file in bytes."""


MODEL = "{run}/model.safetensors"
EVALUATE = f"evaluate {MODEL} --annotations {{run}}/test/annotations.json --images {{run}}/test/images"
TRAIN = "train --train {run}/train --val {run}/test --out {run}/trained --profile"
WRITERS = {
    "coco": Writer("coco --profile {run}/a.toml {run}/test", "coco --profile {run}/b.toml {run}/test",
                   ("test/annotations.json",)),
    "train": Writer(f"{TRAIN} {{run}}/a.toml", f"{TRAIN} {{run}}/b.toml",
                    ("trained/model.safetensors", "trained/last.safetensors", "trained/metrics.jsonl"),
                    limit=100_000),
    "evaluate": Writer(f"{EVALUATE} --out {{run}}/evaluation --bootstrap 0",
                       f"{EVALUATE} --out {{run}}/evaluation --bootstrap 2",
                       ("evaluation/metrics.json", "evaluation/predictions.json")),
    "predict": Writer(f"predict {MODEL} {{run}}/test/images --out {{run}}/predicted --threshold 0.1",
                      f"predict {MODEL} {{run}}/test/images --out {{run}}/predicted --threshold 0",
                      ("predicted/000000.png", "predicted/predictions.json")),
    "report": Writer("report --profile {run}/a.toml {run}", "report --profile {run}/b.toml {run}",
                     ("report.html", "report.json", "model_card.md")),
    "stats": Writer("stats {run}/test --out {run}/stats", "stats {run}/train --out {run}/stats",
                    ("stats/stats.png", "stats/stats.json")),
    "card": Writer("card {run}/test --out {run}/card.md", "card {run}/train --out {run}/card.md",
                   ("card.md",)),
    "preview": Writer("preview {run}/test --out {run}/sheet.png", "preview {run}/train --out {run}/sheet.png",
                      ("sheet.png",)),
    "validate --fix": Writer("validate {run}/test/annotations.json --fix {run}/fixed.json",
                             "validate {run}/train/annotations.json --fix {run}/fixed.json", ("fixed.json",)),
    "export onnx": Writer(f"export {MODEL} --format onnx --out {{run}}/model.onnx",
                          f"export {MODEL} --format onnx --out {{run}}/model.onnx", ("model.onnx",),
                          limit=100_000),
    "video": Writer(f"predict {MODEL} {{run}}/film.mp4 --out {{run}}/predicted --threshold 0.9",
                    f"predict {MODEL} {{run}}/film.mp4 --out {{run}}/predicted --threshold 0",
                    ("predicted/film.mp4", "predicted/predictions.json")),
    # No earlier result: the output folder must be new.
    "convert": Writer("validate {run}/test/annotations.json",
                      "convert {run}/test --to imagefolder --out {run}/converted", ("model.safetensors",)),
}  # fmt: skip


def run_with_limit(module: str, limit: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a module as a command with a maximum file size in bytes."""
    return subprocess.run(
        [sys.executable, "-c", RUN_WITH_LIMIT, module, str(limit), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def split_command(text: str, run: Path) -> list[str]:
    """Split a command of ``WRITERS`` into words and insert the folder of the run."""
    return [word.format(run=run) for word in text.split()]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create the files of a complete run, with images of simple shapes instead of renders."""
    run = tmp_path_factory.mktemp("run")
    (run / "a.toml").write_text(TINY.replace("val = 2", "val = 2\ntest = 4"))
    (run / "b.toml").write_text(
        TINY.replace("val = 2", "val = 2\ntest = 4").replace("seed = 0", "seed = 1")
        + "[coco]\nmin_pixels = 900\n[evaluate]\ngallery = 1\n"
    )
    for seed, split in enumerate(("train", "val", "test")):
        write_split(run / split, seed=seed)
        convert_split(run / split, CocoConfig())
    write_tiny_model(run / "model.safetensors")
    with open_video(run / "film.mp4", (96, 64)) as show:
        for image in sorted((run / "test" / "images").iterdir()):
            show(Image.open(image).resize((96, 64)), 0.0)
    table = {key: {"AP": 0.3, "AP50": 0.5, "AP75": 0.4} for key in ("bbox", "segm")}
    scores = {"classes": dict.fromkeys(("pedestrian", "pallet_truck"), table), "overall": table}
    line = {"epoch": 1, "losses": {"loss": 2.0}, "best": True, "seconds": 3.0, "val": scores}
    (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    words = f"{EVALUATE} --out {run}/evaluation --bootstrap 0".format(run=run).split()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return run


SLOW = ("train", "report", "predict", "evaluate", "export onnx", "video")
"""Writers that start torch several times."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in WRITERS]
)
def test_full_disk_keeps_the_earlier_result(name: str, run_dir: Path, tmp_path: Path) -> None:
    writer, run = WRITERS[name], tmp_path / "run"
    shutil.copytree(run_dir, run)
    first, second = split_command(writer.first, run), split_command(writer.second, run)
    done = run_with_limit("pipeline", UNLIMITED, *first)
    assert done.returncode == 0, done.stderr
    before = {path: (run / path).read_bytes() for path in writer.outputs}
    names = {path for path in run.rglob("*") if path.is_file()}
    done = run_with_limit("pipeline", writer.limit, *second)
    assert done.returncode == 2, (done.stdout, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: {run}/") and last.endswith(": File too large"), done.stderr
    assert "Traceback" not in done.stderr
    assert {path: (run / path).read_bytes() for path in writer.outputs} == before
    assert not list(run.rglob("*.tmp"))
    for path in {path for path in run.rglob("*") if path.is_file()} - names:
        load(path)
    for output in writer.outputs:
        load(run / output)
    done = run_with_limit("pipeline", UNLIMITED, *second)
    assert done.returncode == 0, done.stderr


def load(path: Path) -> None:
    """Read a file of any type completely."""
    if "tfevents" in path.name:
        return  # TensorBoard checks its own records
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".safetensors":
        load_checkpoint(path)
    elif path.suffix == ".onnx":
        load_model(path)
    elif path.suffix == ".mp4":
        assert len(list(read_video(path))) == 4
    elif path.suffix in (".json", ".jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line)
    else:
        assert path.read_text().rstrip()[-1] in ">.", path


def test_full_disk_during_a_render_keeps_complete_frames(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    shutil.copytree(tiny_split, out)
    (out / "frames" / "000003.json").unlink()
    arguments = ["--profile", tiny_profile, "--split", "train", "--people", tiny_people, "--out", out]
    fingerprint = read_manifest(out).fingerprint
    for limit in (8192, 2_000):
        done = run_with_limit("blender.render", limit, *arguments, "--workers", 1)
        assert done.returncode == 2, done.stderr
        assert "error: /" in done.stderr and "Traceback" not in done.stderr
        assert "set TMPDIR" in done.stderr, "the disk is full for Blender's temporary files first"
        assert not list(out.rglob("*.tmp"))
        assert [frame_is_complete(out, frame, fingerprint) for frame in range(4)] == [True, True, True, False]
    done = run_with_limit("blender.render", UNLIMITED, *arguments)
    assert done.returncode == 0, done.stderr
    assert read_coco(convert_split(out, CocoConfig()))["images"][3]["frame"] == 3

"""The benchmark: its page follows from its JSON, and what it runs is real, however small."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blender.contract import UserError
from pipeline.bench.child import measured
from pipeline.bench.machine import machine
from pipeline.bench.page import page
from tests.conftest import ROOT, run


def test_the_committed_page_is_that_of_the_committed_json() -> None:
    file = ROOT / "docs" / "performance.json"
    if not file.exists():
        pytest.skip(
            "not measured yet: make bench BENCH='--publish docs', on a machine that does nothing else"
        )
    results = json.loads(file.read_bytes())
    text = (ROOT / "docs" / "PERFORMANCE.md").read_text()
    assert page(results) == text
    for part in results["parts"].values():
        assert part["machine"]["cpu"] in text and part["machine"]["python"] in text
    next(iter(results["parts"].values()))["machine"]["cpu"] = "another processor"
    assert "another processor" in page(results)


def test_a_part_that_was_not_measured_has_no_figure() -> None:
    text = page({"parts": {}})
    assert text.count("not measured") >= 8 and "yes" not in text


def hold(megabytes: int, below: int) -> dict[str, Any]:
    """Hold so much memory for a second, in this process and in one below it."""
    data = bytearray(b"x") * (megabytes * 2**20)
    code = f"import time; data = bytearray(b'x') * ({below} * 2**20); time.sleep(1)"
    subprocess.run([sys.executable, "-c", code], check=True)
    return {"held": len(data)}


def refuse() -> dict[str, Any]:
    """A user's mistake."""
    raise UserError("wrong; write it right")


def die() -> dict[str, Any]:
    """What a crash or a lack of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_memory_is_that_of_all_who_work() -> None:
    small, large = measured("memory", hold, 1, 1), measured("memory", hold, 200, 100)
    assert 290 < large["peak_mb"] - small["peak_mb"] < 320
    assert large["held"] == 200 * 2**20


def test_what_ends_the_work_is_told() -> None:
    with pytest.raises(UserError, match="write it right"):
        measured("refused", refuse)
    with pytest.raises(RuntimeError, match="status -9"):
        measured("dead", die)


def test_the_machine_has_no_name_of_its_own() -> None:
    state = machine(2)
    assert state["cpu"] and state["torch"] and state["cores"] == 2
    assert os.uname().nodename not in json.dumps(state).split('"')


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["--only", "rendering"], "known: render"),
        (["--masks", "few"], "whole numbers"),
        (["--images", "1"], "--images must be at least 2"),
        (["--model", "nowhere.pt"], "make train"),
        (["--only", "train", "--images", "400"], "has 4 images"),
    ],
)
def test_mistakes_are_one_line(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path, arguments: list[str], cure: str
) -> None:
    done = run(
        "-m", "pipeline.bench", "--profile", tiny_profile, "--people", tiny_people, "--out", tmp_path / "out",
        *arguments,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert cure in line and "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "bench.json").exists()


def test_a_tiny_render_is_taken_apart(tiny_profile: Path, tiny_people: Path, tmp_path: Path) -> None:
    out = tmp_path / "render.json"
    done = run(
        "-m", "blender.bench", "--profile", tiny_profile, "--people", tiny_people, "--out", out,
        "--frames", 2, "--sweep-frames", 1, "--sweeps", "resolution,objects,images", "--device", "cpu",
        "--until", 60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_bytes())
    seconds, whole = found["seconds"], found["seconds"]["whole"]
    stages = {"layout", "build", "device", "rgb", "ids", "amodal", "records", "sensor", "files", "rest"}
    assert stages <= set(seconds)
    assert sum(seconds[name] for name in seconds if " " not in name and name != "whole") == pytest.approx(
        whole
    )
    for stage in ("rgb", "ids"):
        phases = [seconds[f"{stage} {phase}"] for phase in ("sync", "trace", "read")]
        assert min(phases) > 0 and sum(phases) == pytest.approx(seconds[stage])
    assert found["ratio"] == pytest.approx(whole / found["cycles"]["whole"])
    assert 0 < found["traced_share"] <= found["traced_and_denoised_share"] < 1
    rows = found["sweeps"]["objects"]
    assert rows[0]["labelled"] == 0 < rows[1]["labelled"] < rows[2]["labelled"]
    early, late = found["sweeps"]["images"]
    assert (early["after"], late["after"]) == (30, 60)
    assert late["resident_mb"] - early["resident_mb"] < 300


@pytest.mark.slow
def test_a_tiny_run_of_everything(tiny_profile: Path, tiny_people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ["-m", "pipeline.bench", "--profile", tiny_profile, "--people", tiny_people, "--out", out]
    done = run(
        *common, "--frames", 3, "--until", 60, "--images", 2, "--rounds", 2, "--masks", "20,40",
        "--annotations", 100,
        "--accuracy", "--seeds", "0", "--accuracy-images", 2, "--accuracy-rounds", 1,
        "--publish", tmp_path / "docs",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((out / "bench.json").read_bytes())
    assert list(results["parts"]) == ["render", "train", "inference", "evaluate", "accuracy"]
    train = results["parts"]["train"]["figures"]
    assert train["speedup"] == pytest.approx(
        train["reference"]["seconds_per_image"] / train["ours"]["seconds_per_image"], rel=1e-3
    )
    assert {row["masks"] for row in results["parts"]["evaluate"]["figures"]["judge"]} == {20, 40}
    assert results["parts"]["evaluate"]["figures"]["validate"]["ours"]["sound"]
    ways = results["parts"]["inference"]["figures"]["ways"]
    assert ways["torchvision"]["milliseconds"] > 0 and ways["eager"]["peak_mb"] > 100
    text = (out / "PERFORMANCE.md").read_text()
    assert text == page(results) == (tmp_path / "docs" / "PERFORMANCE.md").read_text()
    assert "nan" not in text and not re.search(r"/(tmp|home|root|work)\b", text)

    again = run(*common, "--only", "evaluate", "--masks", "10,30", "--annotations", 50)
    assert again.returncode == 0, again.stderr
    kept = json.loads((out / "bench.json").read_bytes())["parts"]
    assert kept["render"] == results["parts"]["render"]
    assert kept["evaluate"]["figures"]["convert"][1]["masks"] == 30

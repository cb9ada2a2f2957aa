"""The benchmark: page and JSON agree, memory measurement, wrong options, and small real runs."""

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
from pipeline.bench.machine import machine_info
from pipeline.bench.measurement import measure_in_subprocess
from pipeline.bench.report.page import page
from tests.conftest import ROOT, run


def test_published_page_is_generated_from_the_published_json() -> None:
    file = ROOT / "docs" / "performance.json"
    if not file.exists():
        pytest.skip("not measured yet: run make bench BENCH='--publish docs' on an idle machine")
    results = json.loads(file.read_bytes())
    text = (ROOT / "docs" / "PERFORMANCE.md").read_text()
    assert page(results) == text
    for part in results["parts"].values():
        assert part["machine"]["cpu"] in text and part["machine"]["python"] in text
    next(iter(results["parts"].values()))["machine"]["cpu"] = "another processor"
    assert "another processor" in page(results)


def test_missing_part_is_shown_as_not_measured() -> None:
    text = page({"parts": {}})
    assert text.count("not measured") >= 8 and "yes" not in text


def allocate(megabytes: int, in_child: int) -> dict[str, Any]:
    """Allocate memory for a second, in this process and in a child process."""
    data = bytearray(b"x") * (megabytes * 2**20)
    code = f"import time; data = bytearray(b'x') * ({in_child} * 2**20); time.sleep(1)"
    subprocess.run([sys.executable, "-c", code], check=True)
    return {"allocated": len(data)}


def raise_user_error() -> dict[str, Any]:
    """Fail as with a user's mistake."""
    raise UserError("wrong; write it right")


def kill_own_process() -> dict[str, Any]:
    """Die as after a crash or when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_peak_memory_includes_child_processes() -> None:
    small = measure_in_subprocess("memory", allocate, 1, 1)
    large = measure_in_subprocess("memory", allocate, 200, 100)
    assert 290 < large["peak_mb"] - small["peak_mb"] < 320
    assert large["allocated"] == 200 * 2**20


def test_errors_of_the_subprocess_are_raised() -> None:
    with pytest.raises(UserError, match="write it right"):
        measure_in_subprocess("user error", raise_user_error)
    with pytest.raises(RuntimeError, match="status -9"):
        measure_in_subprocess("killed", kill_own_process)


def test_machine_info_does_not_contain_the_host_name() -> None:
    info = machine_info(2)
    assert info["cpu"] and info["torch"] and info["cores"] == 2
    assert os.uname().nodename not in json.dumps(info).split('"')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "rendering"], "known: render"),
        (["--masks", "few"], "expected integers"),
        (["--images", "1"], "--images must be at least 2"),
        (["--model", "nowhere.pt"], "make train"),
        (["--only", "train", "--images", "400"], "has 4 images"),
    ],
)
def test_wrong_option_is_reported_in_one_line(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(
        "-m", "pipeline.bench", "--profile", tiny_profile, "--people", tiny_people, "--out", tmp_path / "out",
        *arguments,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert message in line and "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "bench.json").exists()


@pytest.mark.slow
def test_rendering_benchmark_splits_a_frame_into_stages(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    out = tmp_path / "render.json"
    done = run(
        "-m", "blender.bench", "--profile", tiny_profile, "--people", tiny_people, "--out", out,
        "--frames", 2, "--sweep-frames", 1, "--sweeps", "objects,images", "--device", "cpu",
        "--until", 40,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_bytes())
    seconds, total = figures["seconds"], figures["seconds"]["total"]
    stages = {
        "scene", "build", "device", "rgb", "ids", "amodal", "annotations", "sensor", "files", "other",
    }  # fmt: skip
    assert stages <= set(seconds)
    of_stages = [value for name, value in seconds.items() if " " not in name and name != "total"]
    assert sum(of_stages) == pytest.approx(total)
    for stage in ("rgb", "ids"):
        phases = [seconds[f"{stage} {phase}"] for phase in ("sync", "trace", "read")]
        assert min(phases) > 0 and sum(phases) == pytest.approx(seconds[stage])
    assert figures["ratio"] == pytest.approx(total / figures["cycles"]["total"])
    assert 0 < figures["traced_share"] <= figures["traced_and_denoised_share"] < 1
    rows = figures["sweeps"]["objects"]
    assert rows[0]["labelled"] == 0 < rows[1]["labelled"] < rows[2]["labelled"]
    early, late = figures["sweeps"]["images"]
    assert (early["after"], late["after"]) == (20, 40)
    assert late["resident_mb"] - early["resident_mb"] < 300


@pytest.mark.slow
def test_all_parts_complete_a_small_run(tiny_profile: Path, tiny_people: Path, tmp_path: Path) -> None:
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
        train["reference"]["seconds_per_image"] / train["transpalette"]["seconds_per_image"], rel=1e-3
    )
    assert {row["masks"] for row in results["parts"]["evaluate"]["figures"]["evaluate"]} == {20, 40}
    assert results["parts"]["evaluate"]["figures"]["validate"]["transpalette"]["valid"]
    models = results["parts"]["inference"]["figures"]["models"]
    assert models["torchvision"]["milliseconds"] > 0 and models["eager"]["peak_mb"] > 100
    text = (out / "PERFORMANCE.md").read_text()
    assert text == page(results) == (tmp_path / "docs" / "PERFORMANCE.md").read_text()
    assert "nan" not in text and not re.search(r"/(tmp|home|root|work)\b", text)

    again = run(*common, "--only", "evaluate", "--masks", "10,30", "--annotations", 50)
    assert again.returncode == 0, again.stderr
    parts = json.loads((out / "bench.json").read_bytes())["parts"]
    assert parts["render"] == results["parts"]["render"]
    assert parts["evaluate"]["figures"]["convert"][1]["masks"] == 30

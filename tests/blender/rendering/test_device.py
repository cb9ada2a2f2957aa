"""Choice of the rendering device: every backend works or reports why not, and the choice is recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from blender.contract import read_manifest
from tests.conftest import render, run


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "optix", "hip", "oneapi", "metal"])
def test_device_works_or_the_error_gives_the_reason(
    device: str, tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    done = render(tiny_profile, tiny_people, out, "--device", device, "--frames", "0:1")
    if done.returncode == 0:
        (note,) = read_manifest(out).notes["devices"]
        assert f"on {note}\n" in done.stderr
        assert device == "auto" or note.startswith(device.upper())
    else:
        assert device not in ("auto", "cpu")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: --device {device}: ")
        assert line.endswith("use --device auto or cpu")
        assert not list(out.rglob("*.*"))


def run_with_two_gpus(code: str, tmp_path: Path) -> object:
    """Run code in a process whose CUDA backend seems to have two GPUs; returns its variable ``result``."""
    script = (
        "import json, pathlib\nfrom blender.rendering import device\nfrom blender.contract import UserError\n"
        "check_device, scratch = device.check_device, pathlib.Path({scratch!r})\n"
        "device.gpu_names = lambda backend: ['A', 'B'] if backend == 'cuda' else []\n{code}\n"
        "print('result', json.dumps(result))"
    )
    done = run("-c", script.format(scratch=str(tmp_path), code=code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("result ")[2])


def test_several_gpus_are_assigned_to_workers_in_turn(tmp_path: Path) -> None:
    code = """
device.check_device = lambda *_: ""
chosen = [device.choose_device("auto", worker, scratch) for worker in range(3)]
result = [[d.note, d.backend, d.index, d.count] for d in chosen]
"""
    a, b = ["CUDA A (1 of 2)", "cuda", 0, 2], ["CUDA B (2 of 2)", "cuda", 1, 2]
    assert run_with_two_gpus(code, tmp_path) == [a, b, a]


def test_broken_gpu_falls_back_to_the_cpu_and_is_reported(tmp_path: Path) -> None:
    code = """
device.check_device = lambda *_: "no kernel"
result = [device.choose_device("auto", 0, scratch).note]
try:
    device.choose_device("cuda", 1, scratch)
except UserError as error:
    result.append(str(error))
result.append(check_device(device.Device("CPU"), scratch))
result.append(check_device(device.Device("phantom", "cuda", 0, 2), scratch) != "")
"""
    assert run_with_two_gpus(code, tmp_path) == [
        "CPU; CUDA A (1 of 2) failed: no kernel",
        "--device cuda: CUDA B (2 of 2) failed: no kernel; use --device auto or cpu",
        "",
        True,
    ]


def test_manifest_accumulates_devices_outside_its_digest(
    tiny_profile: Path, tiny_people: Path, tiny_split: Path, tmp_path: Path
) -> None:
    out = tmp_path / "train"
    shutil.copytree(tiny_split, out)
    (out / "frames" / "000001.json").unlink()
    done = render(tiny_profile, tiny_people, out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    before, after = read_manifest(tiny_split), read_manifest(out)
    assert after.notes["devices"] == sorted({"CPU", *before.notes["devices"]})
    assert after.digest() == before.digest()

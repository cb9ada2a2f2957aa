"""Fixtures that many tests share: a tiny profile, its people and its rendered split, created once per run."""

from __future__ import annotations

import fcntl
import functools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from blender.assets import load_assets
from blender.config.profile import load_config
from blender.contract import write_atomic
from blender.rendering.frame import frame_scene
from blender.spec import SceneSpec

ROOT = Path(__file__).resolve().parents[1]

# Set before torch is imported, here and in the processes that tests start: small tensors are slower on
# several threads, and training is reproducible to the bit only with the same number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY = """
name = "tiny"
seed = 0
classes = ["pedestrian", "pallet_truck"]
[splits]
train = 4
val = 2
[people]
count = 6
poses = { standing = 1, pushing = 1, pulling = 1, carrying = 1, scanning = 1, sitting = 1 }
[render]
width = 96
height = 72
samples = 1
[scene]
layouts = { aisle = 1, staging = 1, wall = 1 }
negatives = 0.0
[scene.hall]
length = [9.0, 12.0]
width = [7.0, 9.0]
[scene.rack]
uprights = { blue = 1 }
beams = { orange = 1 }
bays = [1, 2]
[scene.pallet]
load = { cartons = 1, crate = 1 }
[scene.objects.pallet_truck]
builder = "pallet_truck"
category = "pallet_truck"
count = [1, 2]
distance = [1.8, 4.0]
[scene.objects.pallet_truck.ranges]
paint = { red = 1, yellow = 1 }
handle_paint = { same = 1 }
[scene.objects.pedestrian]
builder = "pedestrian"
category = "pedestrian"
count = [1, 1]
distance = [1.8, 4.0]
[model]
weights = "embedded"
min_size = 72
max_size = 96
[train]
epochs = 1
batch_size = 2
warmup_iterations = 1
"""


def run(*arguments: object, cwd: Path = ROOT, **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in the repository, without a check of the exit status."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def render(
    profile: Path, people: Path, out: object, *more: object, split: str = "train"
) -> subprocess.CompletedProcess[str]:
    """Render a split in a separate process."""
    return run(
        "-m", "blender.render", "--profile", profile, "--split", split, "--people", people, "--out", out,
        *more,
    )  # fmt: skip


def create_once(
    factory: pytest.TempPathFactory,
    name: str,
    make: Callable[[Path], subprocess.CompletedProcess[str] | None],
) -> Path:
    """Return a folder that ``make`` fills once per session, also if several processes run the tests."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            made = make(folder)
            assert made is None or made.returncode == 0, made.stderr
            done.touch()
    return folder


@functools.lru_cache(maxsize=128)
def default_scene(people: Path, frame: int) -> SceneSpec:
    """A training frame's scene of the default profile; do not change it.

    Sampling takes 70 ms, so the processes that run the tests share the scenes as files beside ``people``.
    """
    file = people.parent / f"default-scene-{frame}.pickle"
    if not file.is_file():
        config = load_config(ROOT / "assets/profiles/default.toml", "train")
        write_atomic(file, pickle.dumps(frame_scene(config, load_assets(people), frame)))
    scene: SceneSpec = pickle.loads(file.read_bytes())
    return scene


@pytest.fixture(autouse=True)
def skip_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: files of tests need not survive a power cut, and the wait takes long."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def tiny_profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny profile and return its path."""
    path = tmp_path_factory.mktemp("profile") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_people(tiny_profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tiny profile's posed body meshes."""
    command = ["-m", "pipeline", "people", "--profile", tiny_profile, "--out"]
    return create_once(tmp_path_factory, "people", lambda out: run(*command, out))


@pytest.fixture(scope="session")
def tiny_split(tiny_profile: Path, tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the rendered training split of the tiny profile. Tests must not change it, only copies of it."""
    return create_once(
        tmp_path_factory, "train", lambda out: render(tiny_profile, tiny_people, out, "--workers", 1)
    )

"""The stream of exposures: frames with linear light as photographs with drawn settings of the sensor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, TINY, render

LIGHT = TINY.replace("samples = 1", 'samples = 1\npasses = ["depth", "light"]').replace(
    "train = 4", "train = 2"
)


@pytest.fixture(scope="module")
def light_split(tiny_people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Render two frames with their linear light; return the profile and the split."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "light.toml").write_text(LIGHT)
    done = render(folder / "light.toml", tiny_people, folder / "train", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return folder / "light.toml", folder / "train"


def expose_again(profile: Path, frames: Path, *more: object) -> tuple[int, bytes, str]:
    """Run the program on the split "train"; return status, standard output and standard error."""
    command = [
        "-m",
        "blender.imaging.exposures",
        "--profile",
        profile,
        "--split",
        "train",
        "--frames",
        frames,
    ]
    arguments = [sys.executable, *map(str, [*command, *more])]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def test_exposures_have_the_drawn_settings_and_are_the_same_each_time(light_split: tuple[Path, Path]) -> None:
    sensor = json.dumps({"exposure": [1.5, 1.6], "saturation": [0.0, 0.0], "jpeg": 0.0})
    status, data, _ = expose_again(*light_split, "--draws", 2, "--sensor", sensor)
    assert status == 0
    assert expose_again(*light_split, "--draws", 2, "--sensor", sensor)[1] == data
    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    assert head["exposures"] == 4
    assert head["sensor"]["exposure"] == [-1.0, 0.9], "the profile's own ranges"
    assert set(head["camera"]) == {"lenses", "mounts"}
    pictures = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        entry = json.loads(line)
        assert 1.5 <= entry["settings"]["exposure"] <= 1.6
        count = entry["width"] * entry["height"] * 3
        pictures.append(
            (entry["frame"], np.frombuffer(rest[:count], np.uint8).reshape(entry["height"], -1, 3))
        )
        rest = rest[count:]
    assert [frame for frame, _ in pictures] == [0, 0, 1, 1]
    assert all((np.ptp(pixels.astype(int), axis=2) <= 1).all() for _, pixels in pictures), (
        "saturation 0 is grey"
    )
    assert (pictures[0][1] != pictures[1][1]).any()


def test_mistakes_are_one_line(light_split: tuple[Path, Path], tiny_split: Path) -> None:
    status, _, errors = expose_again(light_split[0], tiny_split)
    assert status == 2
    assert errors == (
        f"error: {tiny_split}/light/000000.npy: no such file; "
        'render the split with passes = ["depth", "light"]\n'
    )
    status, _, errors = expose_again(*light_split, "--sensor", '{"jpeg": 3}')
    assert (status, errors) == (2, "error: --sensor: jpeg must be a number from 0 to 1, not 3\n")

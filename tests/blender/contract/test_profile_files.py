"""Files of profiles: names, encodings, and all problems of a profile in one run."""

from __future__ import annotations

import codecs
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from blender.config.profile import load_config
from blender.contract import UserError, find_profile, load_profile, read_toml
from blender.contract.render_options import RENDER_OPTIONS
from pipeline.cli import main
from pipeline.config import check_profile, read_profile
from tests.conftest import ROOT, TINY

SHIPPED = ROOT / "assets" / "profiles"


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", ["smoke", "smoke.toml", "default", "near.toml"])
def test_a_shipped_profile_has_a_name_with_or_without_its_suffix(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_profile(name) == SHIPPED / f"{name.removesuffix('.toml')}.toml"
    (tmp_path / Path(name).stem).mkdir()  # a folder of that name is no profile
    assert find_profile(name).is_file()


def test_a_file_comes_before_a_shipped_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke.toml").write_text(TINY)
    assert load_profile(find_profile("smoke.toml"))["name"] == "tiny"
    assert load_profile(find_profile("smoke"))["name"] == "smoke"


def test_a_path_is_never_the_name_of_a_shipped_profile(tmp_path: Path) -> None:
    for path in (tmp_path / "smoke.toml", Path("no such folder/smoke"), Path("smoke.json"), Path("nothing")):
        assert find_profile(path) == path
    with pytest.raises(
        UserError, match=r"nothing: no such profile; .* default, foundation, near, ordinary, smoke"
    ):
        load_profile(find_profile("nothing"))


def test_every_command_with_a_profile_accepts_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (option,) = (option for option in RENDER_OPTIONS if option.name == "--profile")
    assert option.type("smoke") == SHIPPED / "smoke.toml"
    context = click.Context(main)
    for name, command in main.commands.items():
        for parameter in (p for p in command.params if p.name == "profile"):
            assert parameter.process_value(context, "smoke") == SHIPPED / "smoke.toml", name


def test_a_profile_extends_a_shipped_one_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "smoke"\nname = "mine"\n')
    profile = load_profile(tmp_path / "mine.toml")
    assert profile == load_profile(SHIPPED / "smoke.toml") | {"name": "mine"}


# ------------------------------------------------------------------------------ encodings


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + TINY.encode(),
        codecs.BOM_UTF8 + TINY.replace("\n", "\r\n").encode(),
        TINY.replace('"tiny"', '"tiny" # Hänge-Förderer').encode(),
    ],
    ids=["mark", "mark and CRLF", "no mark"],
)
def test_utf8_is_read_with_and_without_a_byte_order_mark(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(data)
    assert load_config(path).profile == read_profile(path).name == "tiny"
    (tmp_path / "child.toml").write_bytes(codecs.BOM_UTF8 + b'extends = "p.toml"\nseed = 3\n')
    assert load_config(tmp_path / "child.toml").seed == 3


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (TINY.encode("utf-16"), "UTF-16; save it as UTF-8"),
        (codecs.BOM_UTF16_BE + TINY.encode("utf-16-be"), "UTF-16; "),
        (TINY.encode("utf-16-le"), "UTF-16 or UTF-32; "),
        (TINY.encode("utf-32"), "UTF-32; "),
        (b"\n# Stra\xdfe\n" + TINY.encode(), r"not UTF-8 \(byte 0xdf in line 2\), perhaps Windows-1252; "),
        (b"name = 'a\0b'\n", "not text"),
    ],
)
def test_another_encoding_is_named(data: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"p\.toml: the text is {name}") as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 3000 + "]" * 3000])
def test_toml_that_python_cannot_hold_is_an_error_in_one_line(value: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f"seed = {value}\n")
    with pytest.raises(UserError, match=r"p\.toml: not valid TOML: ") as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extended", [False, True])
def test_a_link_to_itself_is_no_profile(extended: bool, tmp_path: Path) -> None:
    path = tmp_path / "loop.toml"
    path.symlink_to("loop.toml")
    if extended:
        path = tmp_path / "p.toml"
        path.write_text('extends = "loop.toml"\n')
    with pytest.raises(UserError, match=r"loop\.toml: cannot be read: Too many levels"):
        load_profile(path)


# ------------------------------------------------------------------------------ all problems at once


def check(profile: Path, *arguments: str) -> list[str]:
    """Run ``transpalette check`` and return its lines; check that it fails."""
    done = CliRunner().invoke(main, ["check", "--profile", str(profile), *arguments])
    assert done.exit_code == 2
    return done.output.splitlines()


def test_check_reports_each_problem_of_renderer_and_pipeline_once(tmp_path: Path) -> None:
    path, text = tmp_path / "p.toml", TINY
    for old, new in (
        ("seed = 0", "seed = -1\nsede = 1"),  # read by renderer and pipeline
        ('"pallet_truck"]', '"pallet_truck", "ghost"]'),
        ("standing = 1", "standing = -1"),
        ("samples = 1", "samples = 0"),
        ("uprights = { blue", "uprights = { bleu"),
        (
            "[model]",
            "[scene.camera]\nlenses = { equisolid = { weight = 1, fov = [90, 150] } }\n"
            "mounts = { crane = { weight = 1 } }\n[model]",
        ),
        ("epochs = 1", "epochs = 0"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    lines = check(path, "--split", "train", "--split", "test", "--split", "demo")
    expected = (
        "no split 'test'; known: train, val",
        "no split 'demo'",
        "unknown key 'sede'",
        "seed must be an integer",
        "[people.poses]: standing must be a number from 0 to 1e+09, not -1",
        "[train]: epochs must be",
        "[render]: samples must be",
        "[scene.camera.lenses.equisolid]: fov [90, 150] would put",
        "[scene.camera.mounts.crane]: key 'height' is missing",
        "[scene.rack.uprights]: unknown key 'bleu'",
        "no table of [scene.objects] has the category of class 'ghost'",
    )
    assert all(line.startswith(f"error: {path}: ") for line in lines)
    for message in expected:
        assert sum(message in line for line in lines) == 1, message
    assert len(lines) == len(expected)


@pytest.mark.parametrize(
    "people",
    [
        "poses = { standing = 0 }",
        "poses = { standing = -1, walking = 2 }",
        "poses = {}",
        "poses = { standing = 1e308, walking = 1 }",
        "poses = { flying = 1 }",
        "poses = ['standing']",
        "women = 2.0",
        "women = -0.1",
        "age = [66, 18]",
        "age = [0, 5]",
        "age = [18, 300]",
        "age = 30",
        "count = 0",
        "count = 2.5",
        "count = 100001",
        "cuont = 3",
    ],
)
def test_wrong_people_are_problems_of_the_profile(people: str, tmp_path: Path) -> None:
    head, rest = TINY.split("[people]\n")
    path = tmp_path / "p.toml"
    path.write_text(f"{head}[people]\n{people}\n[render]{rest.split('[render]')[1]}")
    (line,) = check_profile(path)
    assert line.startswith(f"{path}: [people")

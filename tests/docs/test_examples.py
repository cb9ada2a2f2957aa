"""The examples in the pages: the crate renders, profiles are valid, commands have existing options only."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from blender.config.profile import load_config
from blender.contract import load_profile, read_record
from pipeline.cli import main
from pipeline.config import check_profile, read_profile
from tests.conftest import ROOT, TINY, run

PAGES = {path.name: path.read_text() for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]}
HEAD = 'name = "x"\nseed = 0\nclasses = ["a"]\nsplits = { train = 1 }\n'
"""What a profile needs besides the tables of an example."""
INDENT = re.compile(r"^ {3}", re.M)


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page, without the indentation of a list."""
    return [INDENT.sub("", text) if text.startswith("   ") else text
            for text in re.findall(rf" *```{language}\n(.*?) *```", PAGES[page], re.S)]  # fmt: skip


def test_crate_example_renders_and_is_labelled(tiny_people: Path, tmp_path: Path) -> None:
    (code,) = blocks("objects.md", "python")
    (table,) = (text for text in blocks("objects.md", "toml") if "crate" in text)
    shutil.copytree(ROOT / "blender", tmp_path / "blender", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "blender" / "objects" / "crate.py").write_text(code)
    profile = tmp_path / "mine.toml"
    crate = table[table.index("[scene") :].replace("[0, 3]", "[2, 3]").replace("[2.0, 9.0]", "[1.8, 5.0]")
    profile.write_text(
        TINY.replace('"pallet_truck"]', '"pallet_truck", "crate"]', 1).replace("[model]", crate + "\n[model]")
    )
    out = tmp_path / "train"
    done = run(
        tmp_path / "blender" / "render.py", "--", "--profile", profile, "--split", "train",
        "--people", tiny_people, "--out", out, "--workers", 1, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = [read_record(path) for path in sorted(out.glob("frames/*.json"))]
    crates = [i for r in records for i in r.instances if i.category == "crate"]
    assert sum(i.visible_pixels > 20 for i in crates) >= 2


def test_model_file_example_is_a_valid_table(tmp_path: Path) -> None:
    (table,) = (text for text in blocks("objects.md", "toml") if "robot" in text)
    profile = tmp_path / "mine.toml"
    text = TINY.replace('"pallet_truck"]', '"pallet_truck", "robot"]', 1)
    profile.write_text(text.replace("[model]", table + "\n[model]"))
    config = load_config(profile)
    assert set(config.files()) == {"robot.glb"} and config.scene.objects["robot"].category == "robot"


def test_crate_profile_extends_the_default(tmp_path: Path) -> None:
    (text,) = (text for text in blocks("objects.md", "toml") if "crate" in text)
    profile = tmp_path / "mine.toml"
    profile.write_text(text.replace("assets/", f"{ROOT}/assets/"))
    objects = load_profile(profile)["scene"]["objects"]
    assert objects["crate"]["count"] == [0, 3] and objects["pallet_truck"]["category"]


def test_extended_profile_example_is_valid(tmp_path: Path) -> None:
    text, with_ordinary = blocks("profiles.md", "toml")
    profile = tmp_path / "night.toml"
    profile.write_text(text.replace("assets/", f"{ROOT}/assets/"))
    config = load_config(profile)
    assert (config.frames, config.scene.light.dark) == (1000, 0.8)
    assert "trolleys" not in config.scene.objects and "cages" in config.scene.objects
    profile.write_text(with_ordinary.replace("default.toml", f"{ROOT}/assets/profiles/default.toml"))
    trucks = load_config(profile, "ordinary").scene.objects["pallet_truck"]
    assert (trucks.frames, trucks.count) == (0.08, (1, 2))


def test_training_examples_are_valid_profiles(tmp_path: Path) -> None:
    with_auxiliary, example, with_negatives = blocks("training.md", "toml")
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + example)
    profile = read_profile(path)
    read = (profile.model.name, profile.train.accumulate, profile.train.unfreeze["stage3"])
    assert read == ("timm/convnext_atto", 4, 8)
    path.write_text(HEAD + with_negatives)
    assert len(read_profile(path).train.negatives) == 2
    path.write_text(f'extends = "{ROOT}/assets/profiles/default.toml"\n{with_auxiliary}')
    assert "rack_guard" in load_config(path).categories() and len(read_profile(path).model.auxiliary) == 6


def test_extra_set_examples_are_valid_profiles(tmp_path: Path) -> None:
    example, profile = blocks("photographs.md", "toml")
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + example)
    (extra,) = read_profile(path).train.extra
    assert extra.map == {"person": "pedestrian"}
    path.write_text(profile)
    mixed = read_profile(path)
    (extra,) = mixed.train.extra
    assert extra.repeat == 10 and "stage2" in mixed.train.pretrained_trainable and not check_profile(path)


def command_lines(page: str) -> list[list[str]]:
    """Return the words of each line of a page's shell and YAML blocks; shell variables become "1"."""
    lines: list[str] = []
    for text in blocks(page, "sh"):
        lines += text.replace("\\\n", " ").splitlines()
    for text in blocks(page, "yaml"):
        lines += [line for string in strings(yaml.safe_load(text)) for line in string.splitlines()]
    return [shlex.split(re.sub(r"\$\{\{.*?\}\}|\$\w+", "1", line), comments=True) for line in lines]


def strings(value: Any) -> Iterator[str]:
    """Yield all strings in a YAML value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def parse(words: list[str]) -> str:
    """Check a command line of this project; return its command, or "" for other programs."""
    if len(words) < 3 or "=" in words[0]:
        return ""
    verb, rest = "", list[str]()
    for name in ("blender.render", "blender/render.py"):
        if name in words:
            verb, rest = "render", [word for word in words[words.index(name) + 1 :] if word != "--"]
    for name in ("transpalette", ".venv/bin/transpalette", "pipeline"):
        if name in words[:-1]:
            verb, *rest = words[words.index(name) + 1 :]
    if verb:
        command = main.get_command(click.Context(main), verb)
        assert command is not None, words
        command.make_context(verb, rest)
    return verb


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_only_options_that_exist(page: str) -> None:
    for text in blocks(page, "sh"):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for words in command_lines(page):
        if words[:1] == ["make"]:
            assert words[1] in targets, words
        else:
            parse(words)


def test_cluster_files_are_complete() -> None:
    jobs = [yaml.safe_load(text) for text in blocks("cluster.md", "yaml")]
    assert [job.get("kind", job.get("name")) for job in jobs] == ["Job", "Job", "render"]
    commands = [parse(words) for words in command_lines("cluster.md")]
    assert (commands.count("render"), commands.count("merge")) == (7, 3)

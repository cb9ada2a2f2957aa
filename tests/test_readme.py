"""What the pages say: the README's own-object example is rendered, the commands and files are right."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from blender.config.run import load_config
from blender.contract import read_record
from blender.render import _parser
from pipeline.cli import main
from tests.conftest import ROOT, TINY, run


def test_the_readmes_object_renders_and_is_labelled(tiny_people: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S)
    table = re.search(r"\n( *\[scene\.objects\.crate\].*?)```", text, re.S)
    assert code and table
    indent = re.compile(r"^ {3}", re.M)
    shutil.copytree(ROOT / "blender", tmp_path / "blender", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "blender" / "objects" / "crate.py").write_text(indent.sub("", code.group(1)))
    profile = tmp_path / "mine.toml"
    crate = indent.sub("", table.group(1)).replace("[0, 3]", "[2, 3]").replace("[2.0, 9.0]", "[1.8, 5.0]")
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


def test_the_readmes_table_of_a_file_is_right(tmp_path: Path) -> None:
    table = re.search(r"\n(\[scene\.objects\.robot\].*?)```", (ROOT / "README.md").read_text(), re.S)
    assert table
    profile = tmp_path / "mine.toml"
    text = TINY.replace('"pallet_truck"]', '"pallet_truck", "robot"]', 1)
    profile.write_text(text.replace("[model]", table.group(1) + "\n[model]"))
    config = load_config(profile)
    assert set(config.files()) == {"robot.glb"} and config.scene.objects["robot"].category == "robot"


def test_the_readme_names_only_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert (
        set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.M)) <= targets
    )
    verbs = set(re.findall(r"transpalette ([a-z]+)", text))
    known = run("-m", "pipeline", "--help").stdout
    assert verbs and all(re.search(rf"^  {verb}\b", known, re.M) for verb in verbs)


def strings(value: Any) -> Iterator[str]:
    """All strings in a YAML file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def test_the_cluster_pages_files_are_right() -> None:
    page = (ROOT / "docs" / "CLUSTER.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```", page, re.S)
    lines: list[str] = []
    for kind, text in blocks:
        if kind == "sh":
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)
            lines += text.replace("\\\n", " ").splitlines()
        elif kind == "yaml":
            lines += [line for string in strings(yaml.safe_load(text)) for line in string.splitlines()]
    jobs = [yaml.safe_load(text) for kind, text in blocks if kind == "yaml"]
    assert [job.get("kind", job.get("name")) for job in jobs] == ["Job", "Job", "render"]
    renders = merges = 0
    for line in lines:
        # A variable of the shell's or of the workflow's stands for a number or a name.
        words = shlex.split(re.sub(r"\$\{\{.*?\}\}|\$\w+", "1", line), comments=True)
        if "blender.render" in words:
            options = _parser().parse_args(words[words.index("blender.render") + 1 :])
            assert options.out and re.fullmatch(r"\d/\d+", options.shard)
            renders += 1
        for name in ("transpalette", ".venv/bin/transpalette"):
            if name in words[:2] and len(words) > 2:
                verb, *rest = words[words.index(name) + 1 :]
                main.commands[verb].make_context(verb, rest)
                merges += verb == "merge"
    assert (renders, merges) == (7, 3)

"""The README's own-object example, taken from the README and rendered."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from blender.contract import read_record
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


def test_the_readme_names_only_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert (
        set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.M)) <= targets
    )
    verbs = set(re.findall(r"transpalette ([a-z]+)", text))
    known = run("-m", "pipeline", "--help").stdout
    assert verbs and all(re.search(rf"^  {verb}\b", known, re.M) for verb in verbs)

"""Strict profiles, atomic files, records."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from blender import contract
from blender.config.run import load_config
from blender.contract import UserError, from_table, split, write_atomic
from pipeline.config import read_profile
from tests.conftest import ROOT, TINY, run


@dataclass(frozen=True)
class Sample:
    number: int
    share: float = 0.5
    span: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nubmer": 1}, "did you mean 'number'"),
        ({}, "'number' is missing"),
        ({"number": "1"}, "expected int"),
        ({"number": True}, "expected int"),
        ({"number": 1, "share": "x"}, "expected float"),
        ({"number": 1, "span": [1.0]}, "expected 2 values"),
        ({"number": 1, "names": ["a", 2]}, "expected str"),
        ([], "expected a table"),
    ],
)
def test_wrong_tables_are_named(table: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_table(Sample, table, "here")


def test_an_integer_serves_as_a_float() -> None:
    assert from_table(Sample, {"number": 1, "share": 1, "span": [0, 2]}, "here") == Sample(1, 1.0, (0.0, 2.0))


def test_write_atomic_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


MISTAKES = [
    ("seed = 0", "seed = 0\nsede = 1", "unknown key 'sede'"),
    ("seed = 0", "seed = -1", "seed must be"),
    ("train = 4", "train = 0", "[splits]"),
    ("width = 96", "widht = 96", "did you mean 'width'"),
    ("width = 96", "width = '96'", "expected int"),
    ("samples = 1", "samples = 0", "samples must be"),
    ("aisle = 1", "aile = 1", "unknown 'aile'"),
    ('builder = "pallet_truck"', 'builder = "palet_truck"', "unknown kind of object"),
    ('category = "pedestrian"', 'category = "pedestrain"', "missing from classes"),
    ('classes = ["pedestrian", ', 'classes = ["ghost", "pedestrian", ', "'ghost' is made by no table"),
    ("paint = { red = 1, yellow = 1 }", "paint = { red = 1, yellow = 'x' }", "paint.yellow"),
    ("paint = { red = 1, yellow = 1 }", "paint = { rde = 1 }", "paint: unknown 'rde'; known: red"),
    ("paint = { red = 1, yellow = 1 }", "paint = { red = 1 }\nvariants = { walky = 1 }", "unknown 'walky'"),
    ("handle_paint = { same = 1 }", "handle_paint = { some = 1 }", "handle_paint: unknown 'some'"),
    ("uprights = { blue = 1 }", "uprights = { bleu = 1 }", "uprights: unknown 'bleu'"),
    ("load = { cartons = 1, crate = 1 }", "load = { carton = 1 }", "load: unknown 'carton'"),
    *(
        (
            "[model]",
            f"[scene.objects.x]\nbuilder = '{kind}'\nranges = {{ variants = {{ no = 1 }}{more} }}\n[model]",
            "variants: unknown 'no'",
        )
        for kind, more in (
            ("clutter", ""),
            ("guard", ""),
            ("cage", ""),
            ("forklift", ", paint = { red = 1 }"),
        )
    ),
    ("distance = [1.8, 4.0]", "distance = [4.0, 1.8]", "range"),
    ("seed = 0", "seed = ", "not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_mistakes_in_the_renderers_tables(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "p.toml"
    assert old in TINY
    path.write_text(TINY.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load_config(path, "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 1", "epoch = 1", "did you mean 'epochs'"),
        ("epochs = 1", "epochs = 0", "epochs"),
        ("min_size = 72", "min_size = 'big'", "expected int"),
        ("[model]", "[modle]", "unknown key 'modle'"),
    ],
)
def test_mistakes_in_the_pipelines_tables(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TINY.replace(old, new, 1))
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        read_profile(path)


@pytest.mark.parametrize("name", ["smoke", "default", "full"])
def test_shipped_profiles_are_right(name: str) -> None:
    path = ROOT / "assets" / "profiles" / f"{name}.toml"
    assert load_config(path, "train").profile == read_profile(path).name == name


def test_a_missing_profile_is_one_line_and_status_2(tmp_path: Path) -> None:
    for command in (["-m", "blender.config"], ["-m", "pipeline", "check", "--profile"]):
        done = run(*command, tmp_path / "none.toml")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "none.toml" in done.stderr


def test_each_half_keeps_to_itself() -> None:
    """Import everything of one half in a fresh process: the other half's libraries must not come along."""
    for package, forbidden in (
        ("blender", ("torch", "click", "PIL", "pycocotools", "pipeline")),
        ("pipeline", ("bpy",)),
    ):
        names = [
            ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for path in sorted((ROOT / package).rglob("*.py"))
            if path.name not in ("__init__.py", "__main__.py")
        ]
        code = (
            f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
            f"print(sorted(set({forbidden!r}) & set(sys.modules)))"
        )
        done = run("-c", code)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_pipeline_takes_only_the_contract_from_blender() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from blender", "import blender")):
                assert re.match(r"from blender\.contract(\.\w+)? import ", line), f"{path}: {line}"


def test_record_round_trip(tmp_path: Path) -> None:
    instance = contract.Instance(1, "pedestrian", {"a": 1}, 2.5, 10, 20, 0.5, True, ((1.0, 2.0, 2),))
    record = contract.FrameRecord(1, 3, 0, "train", "f", 4, 5, {}, {}, "aisle", "i", "m", (instance,))
    path = tmp_path / "000003.json"
    write_atomic(path, record.to_bytes())
    assert contract.read_record(path) == record


def test_a_frame_committed_twice_is_never_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes may render the same frame; one may be done, and list it, while the other commits it."""
    seen: list[bool] = []
    plain = split.write_atomic

    def watched(path: Path, data: bytes) -> None:
        seen.append((tmp_path / "frames" / "000003.json").is_file())
        plain(path, data)

    monkeypatch.setattr(split, "write_atomic", watched)
    record = contract.FrameRecord(1, 3, 0, "train", "f", 4, 5, {}, {}, "aisle", "i", "m")
    for one in (record, record, dataclasses.replace(record, fingerprint="g")):
        contract.commit_frame(tmp_path, one, b"image", b"mask", {})
        assert contract.read_record(tmp_path / "frames" / "000003.json") == one
    first, again, changed = seen[:3], seen[3:6], seen[6:]
    assert (first, again, changed) == ([False] * 3, [True] * 3, [False] * 3)


def test_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000000.json"
    path.write_text('{"schema": 99}')
    with pytest.raises(UserError, match="schema"):
        contract.read_record(path)


def test_every_package_is_installed() -> None:
    """setuptools finds a package by its __init__.py: a folder without one would be left out of a wheel."""
    for half in ("blender", "pipeline"):
        folders = {path.parent for path in (ROOT / half).rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []

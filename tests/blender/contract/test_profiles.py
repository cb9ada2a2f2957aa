"""Profiles: errors, ``extends``, and the shipped profiles."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from blender.config.profile import load_config
from blender.contract import UserError, load_profile, merge_tables, move_model_files
from pipeline.config import read_people, read_profile
from tests.conftest import ROOT, TINY, run

PROFILES = ROOT / "assets" / "profiles"
TRUCK = "[scene.objects.pallet_truck.ranges"
MISTAKES = [
    ("seed = 0", "seed = 0\nsede = 1", "p.toml: unknown key 'sede'; known: name, seed, "),
    ("seed = 0", "seed = -1", "p.toml: seed must be an integer from 0 to below "),
    ("seed = 0", "seed = ", "p.toml: not valid TOML"),
    ("seed = 0\n", "", "p.toml: key 'seed' is missing"),
    ('classes = ["', 'classes = ["pallet_truck", "', "classes must differ from each other"),
    ('classes = ["pedestrian", ', 'classes = ["ghost", "pedestrian", ', "has the category of class 'ghost'"),
    ('classes = ["pedestrian", ', "classes = [", "'pedestrian' of [scene.objects] is missing from classes"),
    ("train = 4", "train = 0", "p.toml: [splits]: train must be an integer of at least 1, not 0"),
    ("width = 96", "widht = 96", "[render]: unknown key 'widht'"),
    ("width = 96", "widht = 96", "did you mean 'width'?"),
    ("width = 96", "width = '96'", "[render]: width must be an integer from 16 to 8192, not '96'"),
    ("aisle = 1", "aile = 1", "[scene.layouts]: unknown key 'aile'; known: aisle, staging"),
    ("aisle = 1", "aisle = -1", "[scene.layouts]: aisle must be a number from 0 to 1e+09, not -1"),
    ('builder = "pallet_truck"', 'builder = "palet_truck"', "pallet_truck]: unknown kind of object"),
    ("paint = { red = 1", "paint = { red = 'x'", f"{TRUCK}.paint]: red must be a number from 0 to 1e+09"),
    ("paint = { red = 1", "paint = { rde = 1", f"{TRUCK}.paint]: unknown key 'rde'; known: red"),
    ("handle_paint = { same", "handle_paint = { some", f"{TRUCK}.handle_paint]: unknown key 'some'"),
    ("uprights = { blue = 1 }", "uprights = { bleu = 1 }", "[scene.rack.uprights]: unknown key 'bleu'"),
    ("load = { cartons = 1", "load = { carton = 1", "[scene.pallet.load]: unknown key 'carton'"),
    ("distance = [1.8, 4.0]", "distance = [4.0, 1.8]", "distance must be a range [low, high] of numbers"),
    *(
        (
            "[model]",
            f"[scene.objects.x]\nbuilder = '{kind}'\nranges = {{ variants = {{ no = 1 }}{more} }}\n[model]",
            "[scene.objects.x.ranges.variants]: unknown key 'no'",
        )
        for kind, more in [("clutter", ""), ("guard", ""), ("cage", ""), ("forklift", ", paint = {red = 1}")]
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_mistakes_in_the_renderers_tables_are_reported(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
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
        ("epochs = 1", "epoch = 1", "[train]: unknown key 'epoch'"),
        ("epochs = 1", "epoch = 1", "did you mean 'epochs'?"),
        ("epochs = 1", "epochs = 0", "[train]: epochs must be an integer of at least 1, not 0"),
        ("min_size = 72", "min_size = 'big'", "[model]: min_size must be an integer of at least 32"),
        ("min_size = 72", "min_size = 97", "[model]: max_size must be at least min_size (97), not 96"),
        ("[model]", "[modle]", "unknown key 'modle'"),
        ("standing = 1", "standign = 1", "[people.poses]: unknown key 'standign'"),
        ("[train]", "[train]\nextra = [{ images = 'x' }]", "[train.extra #1]: key 'annotations' is missing"),
    ],
)  # fmt: skip
def test_mistakes_in_the_pipelines_tables_are_reported(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TINY.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        read_profile(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_profile_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    for command in (["-m", "blender.config"], ["-m", "pipeline", "check", "--profile"]):
        done = run(*command, tmp_path / "none.toml")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "none.toml" in done.stderr


@pytest.mark.parametrize("name", ["smoke", "default", "ordinary", "near", "clips", "foundation"])
def test_shipped_profiles_are_valid(name: str) -> None:
    path = PROFILES / f"{name}.toml"
    assert load_config(path, "train").profile == read_profile(path).name == name
    assert read_people(path).seed == 0


# ------------------------------------------------------------------------------ extends


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


def test_a_profile_extends_another(tmp_path: Path) -> None:
    write(
        tmp_path,
        base=TINY,
        middle='extends = "base.toml"\nseed = 7\n[render]\nsamples = 3\n[scene.layouts]\ndock = 2\n',
        top='extends = "middle.toml"\nname = "top"\n[render]\nsamples = 4\n[scene.rack]\nbays = [2, 3]\n',
    )
    expected = tomllib.loads(TINY)
    expected |= {"name": "top", "seed": 7}
    expected["render"]["samples"] = 4
    expected["scene"]["layouts"]["dock"] = 2
    expected["scene"]["rack"]["bays"] = [2, 3]
    assert load_profile(tmp_path / "top.toml") == expected
    assert list(load_profile(tmp_path / "top.toml")["scene"]["layouts"]) == [
        "aisle",
        "staging",
        "wall",
        "dock",
    ]


@pytest.mark.parametrize("name", ["ordinary", "near", "clips", "foundation"])
def test_an_extending_profile_gives_only_what_differs(name: str) -> None:
    profile = tomllib.loads((PROFILES / f"{name}.toml").read_text())
    other = load_profile(PROFILES / profile.pop("extends"))
    assert merge_tables(other, profile) != other

    def same(table: dict, other: dict) -> list[str]:
        return [
            key
            for key, value in table.items()
            if (same(value, other.get(key, {})) if isinstance(value, dict) else other.get(key) == value)
        ]

    assert same(profile, other) == []


def test_an_extended_profile_can_remove_tables_and_keys(tmp_path: Path) -> None:
    child = 'extends = "base.toml"\nremove = ["scene.objects.pedestrian", "render.samples"]\n'
    write(tmp_path, base=TINY, child=f'{child}classes = ["pallet_truck"]\n')
    config = load_config(tmp_path / "child.toml")
    assert (list(config.scene.objects), config.render.samples) == (["pallet_truck"], 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "none.toml"', "child.toml: extends {folder}/none.toml, which does not exist"),
        ('extends = "child.toml"', "child.toml: profiles extend each other in a circle: "),
        ('extends = "loop.toml"', "-> {folder}/loop.toml -> {folder}/child.toml; remove one 'extends'"),
        ("extends = 3", "child.toml: extends must be the path of a profile, not 3"),
        ('extends = "broken.toml"', "broken.toml: not valid TOML"),
        ('extends = "base.toml"\nremove = ["render.sample"]', "remove names 'render.sample', which the "),
        ('extends = "base.toml"\nremove = ["nmae.x"]', "remove names 'nmae.x', which the extended"),
        ('extends = "base.toml"\nremove = "render"', "remove must be a list of names such as "),
        ('remove = ["render"]', "remove needs extends"),
        ('extends = "base.toml"\nsede = 1', "child.toml: unknown key 'sede'"),
        ('extends = "base.toml"\nremove = ["seed"]', "child.toml: key 'seed' is missing"),
    ],
)  # fmt: skip
def test_mistakes_in_extends_are_reported_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, base=TINY, child=text, loop='extends = "child.toml"', broken="name =")
    with pytest.raises(UserError) as caught:
        load_profile(tmp_path / "child.toml")
    assert message.format(folder=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_model_files_are_relative_to_the_profile_that_names_them(tmp_path: Path) -> None:
    robot = '\n[scene.objects.robot]\nbuilder = "model"\nranges = { file = "models/robot.glb" }\n'
    fixed = '\n[scene.objects.crane]\nbuilder = "model"\nranges = { file = "/models/crane.glb" }\n'
    write(tmp_path / "shared", base=TINY + robot + fixed)
    write(tmp_path / "mine", child='extends = "../shared/base.toml"\n')
    write(tmp_path / "mine", own=f'extends = "../shared/base.toml"\n{robot}')
    assert load_config(tmp_path / "shared/base.toml").files() == ["models/robot.glb", "/models/crane.glb"]
    assert load_config(tmp_path / "mine/child.toml").files() == [
        "../shared/models/robot.glb",
        "/models/crane.glb",
    ]
    assert load_config(tmp_path / "mine/own.toml").files() == ["models/robot.glb", "/models/crane.glb"]
    profile = load_profile(tmp_path / "shared/base.toml")
    assert move_model_files(profile, tmp_path / "shared", tmp_path / "shared") == profile


def test_merging_changes_neither_table() -> None:
    table, changes = {"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"c": [5]}, "e": {"f": 1}}
    assert merge_tables(table, changes) == {"a": {"b": 1, "c": [5]}, "d": 3, "e": {"f": 1}}
    assert table == {"a": {"b": 1, "c": [1, 2]}, "d": 3} and changes == {"a": {"c": [5]}, "e": {"f": 1}}

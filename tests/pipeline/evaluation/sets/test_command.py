"""evaluate --set: several named sets, their files, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.config import CocoConfig
from pipeline.data.coco_io import read_coco
from pipeline.data.convert import convert_split
from tests.helpers.synthetic import write_split, write_tiny_model


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, words)])


def files(folder: Path) -> str:
    return f"{folder / 'annotations.json'}:{folder / 'images'}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, the split test, and photos: boxes without masks, and one image without an object."""
    folder = tmp_path_factory.mktemp("sets")
    write_tiny_model(folder / "model.safetensors", score_threshold=0.2)
    for seed, name in enumerate(("test", "photos", "empty")):
        write_split(folder / name, frames=3, seed=seed, size=(60, 80))
        convert_split(folder / name, CocoConfig())
    path = folder / "photos" / "annotations.json"
    dataset = read_coco(path)
    dataset["annotations"] = [a | {"segmentation": []} for a in dataset["annotations"]]
    path.write_text(json.dumps(dataset))
    path = folder / "empty" / "annotations.json"
    path.write_text(json.dumps(read_coco(path) | {"annotations": []}))
    return folder


def test_each_set_has_figures_and_false_alarms_of_its_own(folder: Path, tmp_path: Path) -> None:
    test = ("--annotations", folder / "test" / "annotations.json", "--images", folder / "test" / "images")
    more = [word for name in ("photos", "empty") for word in ("--set", f"{name}={files(folder / name)}")]
    model, out = folder / "model.safetensors", tmp_path / "e"
    done = run(model, *test, *more, "--bootstrap", 5, "--out", out)
    assert done.exit_code == 0, done.output
    metrics = json.loads((out / "metrics.json").read_bytes())
    assert [s["name"] for s in metrics["sets"]] == ["test", "photos", "empty"]
    assert metrics["images"] == 3 and metrics["measured"] == ["bbox", "segm"], "AP is of the first set"
    assert "photos: no object has a mask" in str(metrics["notes"])
    tables = [s["classes"]["pedestrian"] for s in metrics["sets"]]
    assert ["segm" in table for table in tables] == [True, False, True]
    assert tables[2]["objects"] == 0 and tables[2]["recall"] is None
    alarms = json.loads((out / "false_alarms.json").read_bytes())
    for of_set in metrics["sets"]:
        predictions = "" if of_set["name"] == "test" else f"-{of_set['name']}"
        found = json.loads((out / f"predictions{predictions}.json").read_bytes())
        counted = sum(table["false_alarms"] for table in of_set["classes"].values()) * of_set["images"]
        crops = sum(len(group["crops"]) for group in alarms[of_set["name"]])
        assert crops == min(24, round(counted)) <= len(found)
    lines = [line for line in done.output.splitlines() if line.startswith(("test ", "photos ", "empty "))]
    assert len(lines) == 6, "a line per set and class"
    page = (out / "evaluation.html").read_text()
    assert page.count("<img ") == sum(len(g["crops"]) for groups in alarms.values() for g in groups) > 0
    assert str(folder) not in page
    again = run(model, *test, *more, "--bootstrap", 5, "--out", out)
    assert "up to date" in again.output and (out / "evaluation.html").read_text() == page
    fewer = run(model, *test, *more[:2], "--bootstrap", 5, "--out", out)
    assert "up to date" not in fewer.output, "the sets are inputs"
    alone = run(
        model, *more[:2], "--bootstrap", 0, "--extra", files(folder / "test"), "--out", tmp_path / "x"
    )
    assert alone.exit_code == 0, alone.output
    (of_set,) = json.loads((tmp_path / "x" / "metrics.json").read_bytes())["sets"]
    assert of_set["name"] == "photos" and of_set["images"] == 6, "--extra joins the first set"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --annotations FILE, or --set NAME=FILE:IMAGES"),
        (("--set", "a.json:images"), "NAME=FILE:IMAGES"),
        (("--set", "a=a.json"), "NAME=FILE:IMAGES"),
        (("--set", "../a=a.json:images"), "NAME=FILE:IMAGES"),
        (("--set", "a=a.json:b", "--set", "a=c.json:d"), "another set is named 'a', too"),
        (("--set", "a=no.json:b"), "no.json: no such file"),
        (("--set", "a=a.json:b", "--set", "b=a.json:b", "--predictions", "r.json"), "MODEL"),
    ],
)
def test_wrong_sets_are_named_in_one_line(
    folder: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = run(folder / "model.safetensors", *options, "--out", tmp_path / "e")
    assert done.exit_code == 2 and message in done.output, done.output
    assert done.output.count("\n") == 1 and not (tmp_path / "e").exists()


def test_the_first_set_needs_objects_and_predictions_are_of_one_set(folder: Path, tmp_path: Path) -> None:
    done = run(folder / "model.safetensors", "--set", f"empty={files(folder / 'empty')}")
    assert done.exit_code == 2 and "no annotations to evaluate on" in done.output
    sets = ("--set", f"a={files(folder / 'test')}", "--set", f"b={files(folder / 'photos')}")
    done = run("--predictions", tmp_path / "r.json", *sets)
    assert done.exit_code == 2 and "--predictions are of one set" in done.output

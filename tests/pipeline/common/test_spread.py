"""Tasks of the pipeline on a Dask scheduler's workers: the bytes of one process, mistakes in one line."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from blender.contract import UserError, scheduler
from pipeline.cli import main
from pipeline.common import task_pool as spreading
from pipeline.common.task_pool import spread
from pipeline.config import CocoConfig
from pipeline.data.convert import convert_split
from pipeline.people import bake as people
from tests.blender.test_render import tree_hash
from tests.blender.workers.test_dask_backend import local_cluster
from tests.helpers.synthetic import write_split, write_tiny_model
from tests.helpers.work import shifted


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster(2) as found:
        yield found.scheduler_address


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.mark.parametrize("batch", [1, 7])
def test_results_come_in_order_from_other_processes(address: str, batch: int) -> None:
    work = functools.partial(shifted, 5)
    here, there = (list(spread(work, range(30), where, batch)) for where in (None, address))
    assert [value for value, _ in here] == [value for value, _ in there] == list(range(5, 35))
    assert {process for _, process in here} == {os.getpid()}
    assert os.getpid() not in {process for _, process in there}


def test_results_come_in_order_from_processes_of_this_machine() -> None:
    found = list(spread(functools.partial(shifted, 5), range(30), None, processes=2))
    assert [value for value, _ in found] == list(range(5, 35))
    assert os.getpid() not in {process for _, process in found}
    with pytest.raises(UserError, match="99: no such number"):
        list(spread(functools.partial(shifted, 0), range(200), None, processes=2))
    with pytest.raises(UserError, match="a process that did a part of the work died"):
        list(spread(os._exit, [3], None, processes=2))


@pytest.mark.slow
def test_people_of_two_processes_are_those_of_one(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "BODIES_A_PROCESS", 1)
    monkeypatch.setattr(people, "core_count", lambda: 2)
    people.bake_people(tiny_profile, tmp_path / "people")
    assert tree_hash(tmp_path / "people") == tree_hash(tiny_people)


def test_a_mistake_met_at_a_worker_is_the_users(address: str) -> None:
    with pytest.raises(UserError, match="99: no such number"):
        list(spread(functools.partial(shifted, 0), range(200), address))


@pytest.mark.slow
def test_workers_that_go_for_good_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "LOST", 1)
    monkeypatch.setattr(scheduler, "ASK", 0.2)
    monkeypatch.setattr(spreading, "LOOK", 0.2)
    with local_cluster(1) as found:
        threading.Timer(3, found.scale, [0]).start()
        with pytest.raises(UserError, match="its workers are gone, and no other came for 1 seconds"):
            list(spread(time.sleep, [600], found.scheduler_address))


@pytest.mark.slow
def test_work_that_kills_its_worker_ends_in_one_line() -> None:
    with local_cluster(1) as found, pytest.raises(UserError, match="workers died of one task"):
        list(spread(os._exit, [3], found.scheduler_address))


def test_annotations_are_the_bytes_of_one_process(address: str, tiny_profile: Path, tmp_path: Path) -> None:
    for name in ("here", "there"):
        write_split(tmp_path / name / "train", frames=20, size=(48, 64))
    convert_split(tmp_path / "here" / "train", CocoConfig())
    command = ["coco", "--profile", tiny_profile, "--scheduler", address]
    done = call(*command, tmp_path / "there" / "train")
    assert done.exit_code == 0, done.output
    assert tree_hash(tmp_path / "there") == tree_hash(tmp_path / "here")
    (tmp_path / "there" / "train" / ".coco.stamp.json").unlink()
    broken = tmp_path / "there" / "train" / "masks" / "000018.png"
    broken.write_bytes(b"")
    done = call(*command, tmp_path / "there" / "train")
    assert done.exit_code == 2 and f"error: {broken}: corrupt" in done.output


@pytest.mark.slow
def test_predictions_are_the_bytes_of_one_process(address: str, tmp_path: Path) -> None:
    split, model = tmp_path / "test", tmp_path / "model.pt"
    write_split(split)
    convert_split(split, CocoConfig())
    write_tiny_model(model, start={"kind": "none", "source": "nothing", "fallback": ""})
    files = ["--annotations", split / "annotations.json", "--images", split / "images"]
    metrics: list[dict[str, Any]] = []
    for name, more in (("here", ()), ("there", ("--scheduler", address))):
        out = tmp_path / name
        done = call("evaluate", model, *files, "--bootstrap", 5, "--baseline", "start", "--out", out, *more)
        assert done.exit_code == 0, done.output
        metrics.append(json.loads((out / "metrics.json").read_bytes()))
        assert metrics[-1].pop("latency")["threads"] == 1
    assert metrics[0] == metrics[1]
    assert metrics[0]["baseline"]["kind"] == "start" and metrics[0]["predictions"] > 0
    here, there = ((tmp_path / name / "predictions.json").read_bytes() for name in ("here", "there"))
    assert here == there


@pytest.mark.slow
def test_people_are_the_bytes_of_one_process(
    address: str, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    done = call("people", "--profile", tiny_profile, "--out", tmp_path / "people", "--scheduler", address)
    assert done.exit_code == 0, done.output
    assert tree_hash(tmp_path / "people") == tree_hash(tiny_people)


def test_nobody_at_the_address_is_one_line(tiny_profile: Path, tmp_path: Path) -> None:
    out = tmp_path / "people"
    done = call("people", "--profile", tiny_profile, "--out", out, "--scheduler", "nonsense://x")
    assert done.exit_code == 2 and "error: --scheduler nonsense://x: no Dask scheduler answers" in done.output
    assert not out.exists()

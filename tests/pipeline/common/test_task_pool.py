"""Run tasks in worker processes and on a Dask cluster: the same bytes as one process, errors in one line."""

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
from pipeline.common import task_pool
from pipeline.common.task_pool import map_tasks
from pipeline.config import CocoConfig
from pipeline.data.convert import convert_split
from tests.blender.test_render import tree_hash
from tests.blender.workers.test_dask_backend import local_cluster
from tests.helpers.synthetic import write_split, write_tiny_model
from tests.helpers.tasks import add_in_process


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster(2) as cluster:
        yield cluster.scheduler_address


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.mark.parametrize("batch", [1, 7])
def test_cluster_yields_results_in_order(address: str, batch: int) -> None:
    task = functools.partial(add_in_process, 5)
    local, remote = (list(map_tasks(task, range(30), where, batch)) for where in (None, address))
    assert [value for value, _ in local] == [value for value, _ in remote] == list(range(5, 35))
    assert {process for _, process in local} == {os.getpid()}
    assert os.getpid() not in {process for _, process in remote}


def test_worker_processes_yield_results_in_order() -> None:
    results = list(map_tasks(functools.partial(add_in_process, 5), range(30), None, processes=2))
    assert [value for value, _ in results] == list(range(5, 35))
    assert os.getpid() not in {process for _, process in results}
    with pytest.raises(UserError, match="99: no such number"):
        list(map_tasks(functools.partial(add_in_process, 0), range(200), None, processes=2))
    with pytest.raises(UserError, match="a worker process died"):
        list(map_tasks(os._exit, [3], None, processes=2))


def test_user_error_of_a_task_is_raised(address: str) -> None:
    with pytest.raises(UserError, match="99: no such number"):
        list(map_tasks(functools.partial(add_in_process, 0), range(200), address))


@pytest.mark.slow
def test_wait_for_lost_workers_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "NO_WORKERS_TIMEOUT", 1)
    monkeypatch.setattr(scheduler, "COUNT_INTERVAL", 0.2)
    monkeypatch.setattr(task_pool, "POLL_INTERVAL", 0.2)
    with local_cluster(1) as cluster:
        threading.Timer(3, cluster.scale, [0]).start()
        with pytest.raises(UserError, match="no new worker connected for 1 seconds"):
            list(map_tasks(time.sleep, [600], cluster.scheduler_address))


@pytest.mark.slow
def test_task_that_kills_its_worker_is_an_error_in_one_line() -> None:
    with local_cluster(1) as cluster, pytest.raises(UserError, match="workers died of one task"):
        list(map_tasks(os._exit, [3], cluster.scheduler_address))


def test_cluster_writes_the_same_annotations(address: str, tiny_profile: Path, tmp_path: Path) -> None:
    for name in ("local", "remote"):
        write_split(tmp_path / name / "train", frames=20, size=(48, 64))
    convert_split(tmp_path / "local" / "train", CocoConfig())
    command = ["coco", "--profile", tiny_profile, "--scheduler", address]
    done = call(*command, tmp_path / "remote" / "train")
    assert done.exit_code == 0, done.output
    assert tree_hash(tmp_path / "remote") == tree_hash(tmp_path / "local")
    (tmp_path / "remote" / "train" / ".coco.stamp.json").unlink()
    broken = tmp_path / "remote" / "train" / "masks" / "000018.png"
    broken.write_bytes(b"")
    done = call(*command, tmp_path / "remote" / "train")
    assert done.exit_code == 2 and f"error: {broken}: corrupt" in done.output


@pytest.mark.slow
def test_cluster_writes_the_same_predictions(address: str, tmp_path: Path) -> None:
    split, model = tmp_path / "test", tmp_path / "model.safetensors"
    write_split(split)
    convert_split(split, CocoConfig())
    write_tiny_model(model, start={"kind": "none", "source": "nothing", "fallback": ""})
    files = ["--annotations", split / "annotations.json", "--images", split / "images"]
    metrics: list[dict[str, Any]] = []
    for name, more in (("local", ()), ("remote", ("--scheduler", address))):
        out = tmp_path / name
        done = call("evaluate", model, *files, "--bootstrap", 5, "--baseline", "start", "--out", out, *more)
        assert done.exit_code == 0, done.output
        metrics.append(json.loads((out / "metrics.json").read_bytes()))
        assert metrics[-1].pop("latency")["threads"] == 1
    assert metrics[0] == metrics[1]
    assert metrics[0]["baseline"]["kind"] == "start" and metrics[0]["predictions"] > 0
    local, remote = ((tmp_path / name / "predictions.json").read_bytes() for name in ("local", "remote"))
    assert local == remote


@pytest.mark.slow
def test_cluster_bakes_the_same_bodies(
    address: str, tiny_profile: Path, tiny_people: Path, tmp_path: Path
) -> None:
    done = call("people", "--profile", tiny_profile, "--out", tmp_path / "people", "--scheduler", address)
    assert done.exit_code == 0, done.output
    assert tree_hash(tmp_path / "people") == tree_hash(tiny_people)


@pytest.mark.parametrize("address", ["127.0.0.1", "https://example"])
@pytest.mark.parametrize("command", ["people", "coco", "evaluate"])
def test_mistyped_scheduler_ends_every_command_at_once(
    command: str, address: str, tiny_profile: Path, tmp_path: Path
) -> None:
    """Before it reads a file: none of the named files exists."""
    out = tmp_path / "out"
    arguments = {
        "people": ["--profile", tiny_profile, "--out", out],
        "coco": ["--profile", tiny_profile, tmp_path / "none"],
        "evaluate": [tmp_path / "none.safetensors", "--annotations", "none.json", "--images", tmp_path],
    }
    done = call(command, *arguments[command], "--scheduler", address)
    assert done.exit_code == 2 and done.output.startswith(f"error: --scheduler {address}: ")
    assert done.output.count("\n") == 1
    assert not out.exists()

"""The command serve: its mistakes in one line, and the settings of the page."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.serving.command import EXAMPLES, _set_environment
from pipeline.serving.page import NOTICE, build_page
from pipeline.serving.service import Service
from tests.conftest import ROOT, run
from tests.helpers.synthetic import write_tiny_model
from tests.pipeline.serving.conftest import CLASSES


@pytest.fixture(autouse=True)
def restore_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_without_gradio_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = CliRunner().invoke(main, ["serve", "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 2
    assert result.output == "error: serve needs gradio: pip install 'transpalette[app]'\n"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.safetensors")
    words = ["serve", str(tmp_path / "model.safetensors"), "--keep", str(tmp_path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and result.output.count("\n") == 1
    assert result.output.startswith(f"error: {tmp_path}: contains other files")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.safetensors")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(
            "-m", "pipeline", "serve", tmp_path / "model.safetensors", "--port", port, cwd=ROOT, timeout=120
        )
    assert (done.returncode, done.stderr) == (2, f"error: port {port} is in use; give another --port\n")


def test_the_page_predicts_one_at_a_time_and_offers_no_api(service: Service, tmp_path: Path) -> None:
    _set_environment(tmp_path)
    examples = [ROOT / "assets" / "demo" / name for name in EXAMPLES]
    page = build_page(service, 0.5, examples)
    functions = list(page.fns.values())
    assert len(functions) >= 6
    assert {(f.concurrency_limit, f.concurrency_id) for f in functions} == {(1, "model")}
    assert {f.api_visibility for f in functions} == {"private"} and not page.analytics_enabled
    components = page.get_config_file()["components"]
    values = {c["props"].get("elem_id"): c["props"].get("value") for c in components}
    assert values["notice"] == NOTICE and values["threshold"] == 0.5
    assert values["classes"] == list(CLASSES)
    (offered,) = (c["props"]["samples"] for c in components if c["props"].get("elem_id") == "examples")
    assert [Path(sample[0]["path"]).name for sample in offered] == list(EXAMPLES)

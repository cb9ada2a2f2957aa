"""A checkpoint and its export, which all tests of the export share."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.models.checkpoint import load_model
from tests.conftest import create_once
from tests.helpers.synthetic import write_tiny_model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: small tensors are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with mirror images and an auxiliary class, and its export, model.onnx."""
    return create_once(tmp_path_factory, "export", write_export)


def write_export(path: Path) -> None:
    """Write the files of ``folder``."""
    path.mkdir()
    write_tiny_model(path / "model.safetensors", auxiliary=("forklift",))
    model, checkpoint = load_model(path / "model.safetensors")
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias += torch.tensor(
            [0.0, 0.0, 1.0, 0.0]
        )  # more pallet trucks
    config = checkpoint.config | {"mirror": True}
    write_tiny_model(path / "model.safetensors", state=model.state_dict(), config=config)
    done = run_export(path / "model.safetensors", path / "model.onnx")
    assert done.exit_code == 0, done.output
    assert "as its checkpoint: " in done.output
    assert sorted(p.name for p in path.iterdir()) == ["model.onnx", "model.safetensors"]


def run_export(model: Path, out: Path, *options: object) -> Result:
    """Run the command ``export``."""
    words = ["export", model, "--out", out, *options]
    return CliRunner().invoke(main, [str(word) for word in words])


def unpack_page(text: str) -> dict[str, bytes]:
    """Return the parts of a page of ``export --format html`` by name, among them "model"."""
    parts = re.findall(r'<script type="text/plain" id="(\w+)">([A-Za-z0-9+/=]+)</script>', text)
    return {name: gzip.decompress(base64.b64decode(part)) for name, part in parts}

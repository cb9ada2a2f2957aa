"""Damaged and foreign .onnx files end in an error of one line."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from blender.contract import UserError
from pipeline import load_model
from pipeline.cli import main
from pipeline.inference.exported import METADATA_KEY, append_checksum
from tests.pipeline.export.images import make_images


def foreign_model(data: bytes) -> bytes:
    """A valid model that this program did not export."""
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab"]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]).SerializeToString()


def change_metadata(data: bytes, **fields: object) -> bytes:
    """An exported file with other metadata, and the right checksum."""
    proto = onnx.load_from_string(data)
    metadata = json.loads(next(p.value for p in proto.metadata_props if p.key == METADATA_KEY)) | fields
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(metadata)})
    return append_checksum(proto.SerializeToString())


def with_external_weights(data: bytes) -> bytes:
    """An exported file of which some weights are to be read from another file of the user."""
    proto = onnx.load_from_string(data)
    tensor = max(proto.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../../../etc/passwd")
    return append_checksum(proto.SerializeToString())


CASES = {
    "empty": (lambda data: b"", "truncated"),
    "text": (lambda data: b"hello, world\n" * 40, "truncated"),
    "foreign": (foreign_model, "not written by 'transpalette export'"),
    "foreign, with checksum": (lambda data: append_checksum(foreign_model(data)), "have no 'transpalette'"),
    "garbage, with checksum": (
        lambda data: append_checksum(b"\xff" * 999), "not a model that onnxruntime can run",
    ),
    "truncated": (lambda data: data[: len(data) // 2], "truncated"),
    "truncated by a byte": (lambda data: data[:-1], "truncated"),
    "a flipped bit": (lambda data: data[:99999] + bytes([data[99999] ^ 1]) + data[100000:], "damaged"),
    "classes of another model": (lambda data: change_metadata(data, classes=["pedestrian"]), "impossible"),
    "no classes": (lambda data: change_metadata(data, classes=[]), "classes must be named"),
    "wrong type": (lambda data: change_metadata(data, score_threshold="high"), "must be a number"),
    "unknown field": (lambda data: change_metadata(data, colour="red"), "unknown key 'colour'"),
    "later format": (lambda data: change_metadata(data, format=3), "export again"),
    "external weights": (with_external_weights, "not a model that onnxruntime can run"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_damaged_and_foreign_files_end_in_one_line(folder: Path, tmp_path: Path, case: str) -> None:
    make, message = CASES[case]
    (tmp_path / "x.onnx").write_bytes(make((folder / "model.onnx").read_bytes()))
    Image.fromarray(next(make_images())).save(tmp_path / "a.png")
    words = ["predict", tmp_path / "x.onnx", tmp_path / "a.png", "--out", tmp_path / "out", "--threshold", 0]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == (1 if case == "classes of another model" else 2), done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert "x.onnx" in line and message in line


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model; write it first"):
        load_model(tmp_path / "no.onnx")

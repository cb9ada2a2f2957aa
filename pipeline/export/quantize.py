"""Quantise an ONNX model's weights to 8 bits."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.common.optional import import_optional
from pipeline.export.onnx_model import serialize, without_warnings
from pipeline.inference.exported import ExportMetadata
from pipeline.models.eight_bit import MAX_INT8

Floats = npt.NDArray[np.float32]


def quantize_file(data: bytes, metadata: ExportMetadata) -> bytes:
    """Return the content of an .onnx file with its weights in 8 bits.

    Args:
        data: the content of an .onnx file with 32-bit weights.
        metadata: its metadata.
    """
    onnx = import_optional("onnx", "export", "--int8")
    with without_warnings():
        proto = quantize_weights(onnx.load_from_string(data))
    return serialize(proto, dataclasses.replace(metadata, precision="int8"))


def quantize_weights(proto: Any) -> Any:
    """Quantise an ONNX model to a quarter of its size.

    Matrix products are computed in 8 bits (onnxruntime's dynamic quantisation). Convolutions have 8-bit
    weights with a scale for each channel, and are computed in float32: onnxruntime's 8-bit convolutions take
    four times as long as float32 on a CPU, and lose more accuracy.
    """
    onnx = import_optional("onnx", "export", "--int8")
    quantization = import_optional("onnxruntime.quantization", "export", "--int8")
    with tempfile.TemporaryDirectory(prefix="transpalette-") as folder:
        path = Path(folder) / "int8.onnx"
        quantization.quantize_dynamic(proto, path, op_types_to_quantize=["MatMul", "Gemm"])
        proto = onnx.load(path)
    convolutions = {n.input[1]: n for n in proto.graph.node if n.op_type in ("Conv", "ConvTranspose")}
    constants, nodes = [], []
    for constant in proto.graph.initializer:
        convolution = convolutions.get(constant.name)
        if convolution is None:
            constants.append(constant)
            continue
        name, axis = constant.name, int(convolution.op_type == "ConvTranspose")  # axis of the output channels
        integers, scale = _to_int8(onnx.numpy_helper.to_array(constant), axis)
        constants.append(onnx.numpy_helper.from_array(integers, f"{name}_8"))
        constants.append(onnx.numpy_helper.from_array(scale, f"{name}_scale"))
        inputs = [f"{name}_8", f"{name}_scale"]
        nodes.append(
            onnx.helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}_float", axis=axis)
        )
    nodes += proto.graph.node
    for field, values in ((proto.graph.initializer, constants), (proto.graph.node, nodes)):
        del field[:]
        field.extend(values)
    return proto


def _to_int8(weights: Floats, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Quantise weights to integers -127..127 with a scale for each channel along ``axis``."""
    others = tuple(number for number in range(weights.ndim) if number != axis)
    scale = np.abs(weights).max(axis=others, keepdims=True) / np.float32(MAX_INT8)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.round(weights / scale).astype(np.int8), scale.reshape(-1)

"""Weights in 8 bits: how, and what they cost on somebody's COCO file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blender.contract import UserError
from pipeline.common.optional import import_optional
from pipeline.data.combine import select_categories
from pipeline.data.images import find_image
from pipeline.data.validation.check import load_validated_coco
from pipeline.evaluation.evaluate import label_ids, shared_classes
from pipeline.evaluation.matching import with_rle
from pipeline.evaluation.metrics import coco_metrics
from pipeline.evaluation.run_model import find_in_all
from pipeline.inference.exported import Exported
from pipeline.inference.predictions import Floats

MOST_LOSS = 0.02
"""Of AP50, boxes or masks, that 8-bit weights may cost."""


def quantised(proto: Any) -> Any:
    """An ONNX model, a quarter of its size.

    Matrix products are computed in 8 bits (onnxruntime's dynamic quantisation). Convolutions keep 8-bit
    weights, a scale for each channel, and compute in float32: onnxruntime's own 8-bit ones are four times as
    slow as float32 on a CPU, and lose more.
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
        node = convolutions.get(constant.name)
        if node is None:
            constants.append(constant)
            continue
        name, axis = constant.name, int(node.op_type == "ConvTranspose")  # of the channels that come out
        whole, scale = _in_8_bits(onnx.numpy_helper.to_array(constant), axis)
        constants.append(onnx.numpy_helper.from_array(whole, f"{name}_8"))
        constants.append(onnx.numpy_helper.from_array(scale, f"{name}_scale"))
        parts = [f"{name}_8", f"{name}_scale"]
        nodes.append(
            onnx.helper.make_node("DequantizeLinear", parts, [name], name=f"{name}_float", axis=axis)
        )
    nodes += proto.graph.node
    for field, values in ((proto.graph.initializer, constants), (proto.graph.node, nodes)):
        del field[:]
        field.extend(values)
    return proto


def _in_8_bits(weights: Floats, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Weights as whole numbers from -127 to 127, and what they are multiplied by along ``axis``."""
    others = tuple(number for number in range(weights.ndim) if number != axis)
    scale = np.abs(weights).max(axis=others, keepdims=True) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.round(weights / scale).astype(np.int8), scale.reshape(-1)


@dataclass(frozen=True)
class Truth:
    """What AP50 is measured on."""

    dataset: dict[str, Any]
    """COCO, its masks as compressed RLE."""
    paths: dict[int, Path]
    """Of its images, by id."""
    labels: dict[int, int]
    """The model's label to the file's category id."""


def read_truth(annotations: Path, images: Path, classes: tuple[str, ...]) -> Truth:
    """Read the COCO file on which two models are compared.

    Raises:
        UserError: it is missing or unsound, shares no class with the model, or has nothing to find.
    """
    dataset = load_validated_coco(annotations)
    shared, _ = shared_classes(classes, dataset["categories"], str(annotations))
    dataset = with_rle(select_categories(dataset, shared.values()))
    if not any(not a["iscrowd"] for a in dataset["annotations"]):
        raise UserError(
            f"{annotations}: no object of the model's classes, so there is nothing to measure with"
        )
    paths = {i["id"]: find_image(images, i["file_name"]) for i in dataset["images"]}
    return Truth(dataset, paths, label_ids(classes, shared))


def check_int8(plain: Exported, int8: Exported, truth: Truth) -> str:
    """Compare AP50 of the same model with 32-bit and with 8-bit weights; a line that says both.

    Raises:
        UserError: 8 bits cost more than ``MOST_LOSS``, or there is nothing to lose.
    """
    before = _ap50(plain, truth)
    if max(before.values()) <= MOST_LOSS:
        raise UserError(f"{plain.name}: it finds next to nothing in these images, so no loss can be measured")
    after = _ap50(int8, truth)
    says = "int8: AP50 " + ", ".join(f"{kind} {before[kind]:.3f} -> {after[kind]:.3f}" for kind in before)
    says += f" on {len(truth.paths)} images"
    if max(before[kind] - after[kind] for kind in before) > MOST_LOSS:
        raise UserError(
            f"{int8.name}: {says}: a loss of at most {MOST_LOSS} is wanted; export without --int8"
        )
    return says


def _ap50(exported: Exported, truth: Truth) -> dict[str, float]:
    results, _ = find_in_all(
        exported.find, truth.dataset["images"], truth.paths, truth.labels, title=exported.facts.precision
    )
    overall = coco_metrics(truth.dataset, results)["overall"]
    return {"boxes": overall["bbox"]["AP50"], "masks": overall["segm"]["AP50"]}

"""Trace a network to an ONNX model.

The exporter is torch.onnx's tracer (``dynamo=False``). The newer exporter (``dynamo=True``) fails with torch
2.14.1 and torchvision 0.29.1 in ``torch.export.export``, which does not support sizes that depend on an
image's content:

- torchvision/ops/boxes.py, ``batched_nms``: "Could not guard on data-dependent expression 4*u1 > 4000" (with
  ``strict=True``), and in ``_batched_nms_coordinate_trick`` "Could not guard on data-dependent expression
  Eq(4*u1, 0)": the number of proposals is unknown.
- With a replacement for it, torchvision/ops/poolers.py, ``_multiscale_roi_align``: "Could not extract
  specialized integer from data-dependent expression Min(300, u2)": ``len(rois)`` must be a number.
- ``preprocess`` computes the resized size from the image's size as numbers, which the exporter fixes at the
  example's size.

So the exported model would need another RPN, RoIAlign and post-processing than the checkpoint.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from blender.contract import UserError
from blender.contract.messages import first_line
from pipeline.common.optional import import_optional
from pipeline.export.traceable import traceable_detector
from pipeline.inference.exported import INPUT, METADATA_KEY, OUTPUTS, ExportMetadata, append_checksum
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN

OPSET = 17
"""Version of the ONNX operators (2022): not the newest, so that older runtimes can run the file."""
EXAMPLE_SIZE = (96, 128)
"""Height and width of the image that is traced; the exported model takes images of any size."""
MIN_BOX_SCORE = "min_box_score"
"""Name of the constant in the graph for the lowest box score."""


@dataclass(frozen=True)
class OnnxModel:
    """A traced network."""

    proto: Any
    """The onnx.ModelProto, in which the constant ``MIN_BOX_SCORE`` is not set."""

    def serialize(self, metadata: ExportMetadata) -> bytes:
        """Return the content of an .onnx file with this metadata and the lowest box score that it states."""
        onnx = import_optional("onnx", "export", "export")
        constants = self.proto.graph.initializer
        others = [constant for constant in constants if constant.name != MIN_BOX_SCORE]
        min_score = np.array(metadata.min_box_score, np.float32)
        del constants[:]
        constants.extend([*others, onnx.numpy_helper.from_array(min_score, MIN_BOX_SCORE)])
        return serialize(self.proto, metadata)


def trace(model: TranspaletteMaskRCNN, name: str, min_box_score: float) -> OnnxModel:
    """Trace a network.

    Args:
        model: the network.
        name: name of the model, for messages.
        min_box_score: an example of the lowest box score.

    Raises:
        UserError: a package is missing, or the network has an operator that ONNX lacks.
    """
    onnx = import_optional("onnx", "export", "export")
    import_optional("onnxruntime", "export", "export")
    detector, stream = traceable_detector(model), io.BytesIO()
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (*EXAMPLE_SIZE, 3), np.uint8))
    # Otherwise the tracer would print the complete network if it fails.
    getattr(torch._C, "_jit_set_onnx_log_enabled", lambda on: None)(False)
    try:
        with without_warnings(), torch.no_grad():
            torch.onnx.export(
                detector,
                (image, torch.tensor(min_box_score)),
                stream,  # type: ignore[arg-type]  # streams are documented but missing in the annotation
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT, MIN_BOX_SCORE],
                output_names=list(OUTPUTS),
                dynamic_axes={
                    INPUT: {0: "height", 1: "width"},
                    **{output: {0: "objects"} for output in OUTPUTS},
                },
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        line = first_line(error)
        raise UserError(f"{name} cannot be exported to ONNX: {line}") from None
    proto = onnx.load_from_string(stream.getvalue())
    del proto.graph.input[1]  # it becomes a constant of each file
    return OnnxModel(proto)


def serialize(proto: Any, metadata: ExportMetadata) -> bytes:
    """Return the content of an .onnx file: the model with metadata and a checksum."""
    onnx = import_optional("onnx", "export", "export")
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: metadata.to_json()})
    proto.producer_name, proto.producer_version = "transpalette", metadata.version
    return append_checksum(proto.SerializeToString())


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Silence the exporter's warnings about constants and deprecation; the parity check replaces them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

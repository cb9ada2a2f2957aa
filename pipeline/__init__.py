"""The pipeline: people, COCO data, models, training, evaluation and reports, without rendering.

In a notebook::

    from pipeline import load_model

    model = load_model("build/default/model.safetensors")
    detections = model.predict("photo.jpg")
    detections.boxes, detections.labels, detections.scores, detections.masks
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.inference.segmenter import Segmenter

__all__ = ["load_model"]


def load_model(path: str | Path, device: str = "cpu") -> Segmenter:
    """Load a checkpoint of ``transpalette train``, or an .onnx file of ``transpalette export``.

    torch is not needed for an .onnx file.

    Args:
        path: the file, such as model.safetensors.
        device: a device of torch, such as "cpu" or "cuda"; exported files run on the CPU.

    Returns:
        The model, with a method ``predict``.

    Raises:
        UserError: the file is missing, damaged or foreign.
    """
    from pipeline.inference.segmenter import load  # imported here for start-up time

    return load(Path(path), device)

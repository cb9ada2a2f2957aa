"""The pipeline: people, COCO data, models, training, evaluation and reports, without rendering.

In a notebook::

    from pipeline import load_model

    model = load_model("build/default/model.safetensors")
    detections = model.predict("photo.jpg")
    detections.boxes, detections.labels, detections.scores, detections.masks
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.inference.segmenter import Segmenter

__all__ = ["load_model"]


def load_model(path: str | Path | None = None, device: str = "cpu", classes: Sequence[str] = ()) -> Segmenter:
    """Load a checkpoint of ``transpalette train``, or an .onnx file of ``transpalette export``.

    torch is not needed for an .onnx file.

    Args:
        path: the file, such as model.safetensors; None: the general warehouse detector that comes with
            Transpalette.
        device: a device of torch, such as "cpu" or "cuda"; exported files run on the CPU.
        classes: the classes to detect, in the order of the labels, for a checkpoint only; empty: all that the
            file has, or pedestrians and pallet trucks of the general warehouse detector.

    Returns:
        The model, with a method ``predict``.

    Raises:
        UserError: the file is missing, damaged or foreign, or does not have a class.
    """
    from pipeline.inference.segmenter import load  # imported here for start-up time

    return load(None if path is None else Path(path), device, classes)

"""People, COCO, training, evaluation, reports. Everything but rendering; never imports bpy.

In a notebook::

    from pipeline import load_model

    model = load_model("build/default/model.safetensors")
    found = model.predict("photo.jpg")
    found.boxes, found.labels, found.scores, found.masks
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.inference.segmenter import Segmenter

__all__ = ["load_model"]


def load_model(path: str | Path, device: str = "cpu") -> Segmenter:
    """Load a model.safetensors of ``transpalette train``, or an .onnx or .torchscript file of ``export``.

    An .onnx file needs no torch. See ``pipeline.inference.segmenter.Segmenter`` for what it can do.

    Args:
        device: "cpu", "cuda", ... as torch names them; exported files run on the CPU.

    Raises:
        UserError: missing, damaged, or not a file of ours.
    """
    from pipeline.inference.segmenter import load  # torch: importing the package alone stays light

    return load(Path(path), device)

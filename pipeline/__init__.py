"""People, COCO, training, evaluation, reports. Everything but rendering; never imports bpy.

In a notebook::

    from pipeline import load_model

    model = load_model("build/default/model.pt")
    found = model.predict("photo.jpg")
    found.boxes, found.labels, found.scores, found.masks
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.segmenter import Segmenter

__all__ = ["load_model"]


def load_model(path: str | Path, device: str = "cpu") -> Segmenter:
    """Load a model.pt of ``transpalette train``, ready to predict; see ``pipeline.segmenter.Segmenter``.

    Args:
        device: "cpu", "cuda", ... as torch names them.

    Raises:
        UserError: missing, damaged, or not a checkpoint of ours.
    """
    from pipeline.segmenter import load  # torch: importing the package alone stays light

    return load(Path(path), device)

"""A trained model for notebooks and programs: one call from a picture to boxes, labels, scores and masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError
from pipeline.data.images import read_rgb, to_rgb
from pipeline.inference.exported import PARSERS, read_exported
from pipeline.inference.predictions import Prediction

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Segmenter:
    """A model and what it takes to read its answers."""

    model: Any
    """Of a model.safetensors: torchvision's MaskRCNN in eval mode, what its own tools expect; what ``find``
    adds, such as the mirror image, it does not. Of an exported file: onnxruntime's InferenceSession, or
    torch's ScriptModule."""
    classes: tuple[str, ...]
    """Label 1 is the first: ``classes[label - 1]``."""
    threshold: float
    """The score that was best on the validation split (F1)."""
    find: Callable[[npt.NDArray[np.uint8]], Prediction]
    """Pixels (H, W, 3) RGB to everything that the model finds, of any score."""

    def predict(self, image: Picture, threshold: float | None = None) -> Prediction:
        """Find the objects in one picture, the best score first.

        Args:
            image: a file's path, a PIL image of any mode (both turned as EXIF says), or RGB pixels
                (H, W, 3) uint8.
            threshold: the least score kept; None: the model's own.

        Returns:
            N objects: ``boxes`` (N, 4) float32, xyxy in pixels; ``labels`` (N,) int64, from 1;
            ``scores`` (N,) float32; ``masks`` (N, H, W) bool, pasted when asked for; ``rles``, the same masks
            as N compressed RLEs, which for large pictures is a thousandth of the memory.

        Raises:
            UserError: the file can't be read, or the pixels are of another shape or type.
        """
        return self.find(_pixels(image)).at_least(self.threshold if threshold is None else threshold)


def load(path: Path, device: str = "cpu") -> Segmenter:
    """Load a checkpoint or an exported file; what ``pipeline.load_model`` calls."""
    if path.suffix.lower() in PARSERS:
        if device != "cpu":
            raise UserError(
                f"{path}: exported files run on the CPU; give device 'cpu', or a model.safetensors"
            )
        exported = read_exported(path)
        facts = exported.facts
        return Segmenter(exported.network, facts.classes, facts.score_threshold, exported.find)
    from pipeline.inference.predictor import predict_array
    from pipeline.models.checkpoint import load_model  # torch, which exported files do without

    model, checkpoint = load_model(path, device)
    find = partial(predict_array, model)
    return Segmenter(model, checkpoint.classes, checkpoint.score_threshold, find)


def _pixels(image: Picture) -> npt.NDArray[np.uint8]:
    if isinstance(image, (str, Path)):
        return read_rgb(Path(image), upright=True)
    if isinstance(image, Image.Image):
        return to_rgb(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UserError(f"pixels must be (H, W, 3) uint8, RGB; these are {image.shape} {image.dtype}")
    return np.ascontiguousarray(image)

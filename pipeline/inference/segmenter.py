"""The Python API: load a trained model, and predict boxes, labels, scores and masks in an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError
from blender.contract.shipped import warehouse_path
from pipeline.data.images import ReadImage, read_image, to_rgb
from pipeline.inference.detections import Detections
from pipeline.inference.exported import check_suffix, is_exported, read_exported

MAX_PIXELS = 64_000_000
"""Pixels of the largest image that is predicted as it is. A larger one is reduced while it is read; it is
still larger than what networks take."""
MAIN_CLASSES = ("pedestrian", "pallet_truck")
"""Classes that the general warehouse detector detects unless others are named."""
MODEL_SUFFIXES = (".safetensors", ".onnx", ".torchscript", ".pt", ".pth")
"""Suffixes by which commands know a model among their arguments. The last three are refused
with a reason."""
AnyImage = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A file's path, a PIL image of any mode, or RGB pixels (H, W, 3) uint8."""


@dataclass(frozen=True)
class Segmenter:
    """A trained model, its classes and its score threshold."""

    model: Any
    """For a checkpoint: a torchvision MaskRCNN in eval mode, whose ``forward`` uses no mirror image.
    For an .onnx file: onnxruntime's InferenceSession."""
    classes: tuple[str, ...]
    """Class names; that of a label is ``classes[label - 1]``."""
    threshold: float
    """The score threshold with the best F1 on the validation split (and on that of ``--threshold-set``)."""
    predict_all: Callable[[npt.NDArray[np.uint8]], Detections]
    """Returns the detections of any score in pixels (H, W, 3) uint8 RGB."""

    def predict(self, image: AnyImage, threshold: float | None = None) -> Detections:
        """Detect the objects in one image.

        Args:
            image: a file's path or a PIL image (the EXIF orientation of both is applied), or RGB pixels
                (H, W, 3) uint8.
            threshold: the lowest score; None: the model's ``threshold``.

        Returns:
            N objects, the highest score first: ``boxes`` (N, 4) float32, xyxy in pixels; ``labels`` (N,)
            int64, from 1; ``scores`` (N,) float32; ``masks`` (N, H, W) bool; ``rles``, the same masks as
            compressed RLE.

        Raises:
            UserError: the file cannot be read, or the pixels have another shape or type.
        """
        min_score = self.threshold if threshold is None else threshold
        opened = _to_image(image)
        return self.predict_all(opened.pixels).filter(min_score).resize(opened.size)


def load(path: Path | None, device: str = "cpu", classes: Sequence[str] = ()) -> Segmenter:
    """Load a checkpoint or an exported .onnx file; see ``pipeline.load_model``."""
    if path is None:
        path, classes = warehouse_path(), classes or MAIN_CLASSES
    check_suffix(path)
    if is_exported(path):
        if classes:
            raise UserError(f"{path}: an exported file has fixed classes; give a checkpoint, or no classes")
        if device != "cpu":
            raise UserError(f"{path}: exported files run on the CPU; give device 'cpu', or a checkpoint")
        exported = read_exported(path)
        metadata = exported.metadata
        return Segmenter(exported.session, metadata.classes, metadata.score_threshold, exported.predict)
    # Imported here for start-up time: torch takes seconds, and exported models do not need it.
    from pipeline.inference.predictor import predict_array
    from pipeline.models.checkpoint import load_model

    model, checkpoint = load_model(path, device, classes)
    return Segmenter(model, checkpoint.classes, checkpoint.score_threshold, partial(predict_array, model))


def split_model(
    paths: tuple[Path, ...], classes: tuple[str, ...]
) -> tuple[Path, tuple[Path, ...], tuple[str, ...]]:
    """Split the arguments of a command into the model and the images.

    Args:
        paths: images, and before them the model, if any.
        classes: the classes to detect; empty: the model's.

    Returns:
        The model, or the general warehouse detector if there is none; the images; and the classes to detect.
    """
    if paths and paths[0].suffix.lower() in MODEL_SUFFIXES:
        return paths[0], paths[1:], classes
    return warehouse_path(), paths, classes or MAIN_CLASSES


def _to_image(image: AnyImage) -> ReadImage:
    if isinstance(image, (str, Path)):
        return read_image(Path(image), upright=True, max_pixels=MAX_PIXELS)
    if isinstance(image, Image.Image):
        image = to_rgb(image)
    elif image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UserError(f"pixels must be (H, W, 3) uint8, RGB; these are {image.shape} {image.dtype}")
    return ReadImage(np.require(image, requirements=["C", "W"]), (image.shape[1], image.shape[0]))

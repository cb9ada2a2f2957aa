"""A trained model's predictions, masks encoded image by image (pasted masks are large)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pycocotools import mask as mask_utils
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.coco import encode_mask

MASK_THRESHOLD = 0.4
"""Probability from which a pixel belongs to an object. The best IoU lies below one half, at IoU/(1 + IoU),
half the best Dice score (Lipton, Elkan and Naryanaswamy 2014); at 0.5 tillers and forks would be lost."""


@dataclass(frozen=True)
class Prediction:
    """What the model found in one image, best score first."""

    boxes: np.ndarray
    """(N, 4) xyxy float32, pixels."""
    labels: np.ndarray
    """(N,) int64, from 1: the profile's order."""
    scores: np.ndarray
    """(N,) float32."""
    rles: list[dict[str, Any]]
    """N masks of the image's size, as compressed RLE (``counts`` a str)."""
    size: tuple[int, int]
    """H, W of the image."""

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool, decoded anew each time: N times the picture's pixels in bytes."""
        if not self.rles:
            return np.zeros((0, *self.size), bool)
        return np.ascontiguousarray(np.moveaxis(mask_utils.decode(self.rles), 2, 0)).astype(bool)

    def at_least(self, score: float) -> Prediction:
        """What was found with at least this score."""
        kept = np.flatnonzero(self.scores >= score)
        rles = [self.rles[number] for number in kept]
        return Prediction(self.boxes[kept], self.labels[kept], self.scores[kept], rles, self.size)


def predict_image(model: MaskRCNN, image: Tensor) -> Prediction:
    """Predict one image (3, H, W), float in 0..1; ``model`` is in eval mode."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        (found,) = model([image.to(device)])
        masks = found["masks"][:, 0] >= MASK_THRESHOLD
        scores = found["scores"].float() * maskness(found["masks"][:, 0], masks)
        order = scores.argsort(descending=True, stable=True)
    return Prediction(
        boxes=found["boxes"][order].float().cpu().numpy(),
        labels=found["labels"][order].cpu().numpy(),
        scores=scores[order].cpu().numpy(),
        rles=[encode_mask(mask) for mask in masks[order].cpu().numpy()],
        size=(image.shape[1], image.shape[2]),
    )


def maskness(probabilities: Tensor, masks: Tensor) -> Tensor:
    """How sure each mask is of its own pixels, (N,): the mean probability (N, H, W) inside the mask.

    A factor of the score, so that among equal boxes the better mask ranks first (SOLOv2, Wang et al. 2020).
    """
    return (probabilities * masks).sum((1, 2)) / masks.sum((1, 2)).clamp(min=1)


def predict_array(model: MaskRCNN, image: np.ndarray) -> Prediction:
    """Predict one picture (H, W, 3) uint8; ``model`` is in eval mode."""
    return predict_image(model, torch.from_numpy(image).permute(2, 0, 1).float() / 255)


def to_coco(prediction: Prediction, image_id: int, categories: Mapping[int, int]) -> list[dict[str, Any]]:
    """One image's predictions as COCO results.

    Args:
        categories: label (from 1) to the annotation file's category id; others are left out.
    """
    results = []
    for box, label, score, rle in zip(
        prediction.boxes.tolist(), prediction.labels.tolist(), prediction.scores.tolist(), prediction.rles,
        strict=True,
    ):  # fmt: skip
        if label in categories:
            left, top, right, bottom = box
            results.append(
                {
                    "image_id": image_id,
                    "category_id": categories[label],
                    "bbox": [left, top, right - left, bottom - top],
                    "score": score,
                    "segmentation": rle,
                }
            )
    return results


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    """A COCO result with its box to 1/1000 px and its score to six decimals, as it is written."""
    box = [round(value, 3) for value in result["bbox"]]
    return result | {"bbox": box, "score": round(result["score"], 6)}


def predict_coco(
    model: MaskRCNN,
    samples: Iterable[tuple[int, Tensor]],
    categories: Mapping[int, int],
    progress: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Predict many images; one list of COCO results serves for boxes and masks.

    Args:
        samples: image id and image (3, H, W), float in 0..1.
        categories: label (from 1) to the annotation file's category id.
        progress: told the number of images done, 1 after each.
    """
    results: list[dict[str, Any]] = []
    for image_id, image in samples:
        results += to_coco(predict_image(model, image), image_id, categories)
        progress(1)
    return results

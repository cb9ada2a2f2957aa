"""Predict with a PyTorch model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.inference.detections import Detections, to_coco_results
from pipeline.inference.mask_pasting import paste_masks
from pipeline.models.detector import Detector


def predict_image(model: MaskRCNN, image: Tensor) -> Detections:
    """Predict one image (3, H, W), float in 0..1, with a model in eval mode."""
    device = next(model.parameters()).device
    detector = Detector(model)
    with torch.inference_mode():
        boxes, labels, scores, masks = detector(image.to(device))
    return paste_masks(
        boxes.float().cpu().numpy(),
        labels.cpu().numpy(),
        scores.float().cpu().numpy(),
        masks.float().cpu().numpy(),
        (image.shape[1], image.shape[2]),
        margin=detector.mask_margin,
    )


def predict_array(model: MaskRCNN, image: npt.NDArray[np.uint8]) -> Detections:
    """Predict one image (H, W, 3) uint8 RGB, with a model in eval mode."""
    return predict_image(model, torch.from_numpy(image).permute(2, 0, 1).float() / 255)


def predict_coco(
    model: MaskRCNN,
    samples: Iterable[tuple[int, Tensor]],
    category_ids: Mapping[int, int],
    progress: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Predict many images, with a model in eval mode.

    Args:
        model: the model.
        samples: pairs of an image id and an image (3, H, W), float in 0..1.
        category_ids: label (from 1) to the annotation file's category id; other labels are left out.
        progress: called with 1 after each image.

    Returns:
        COCO results, each with a box and a mask.
    """
    results: list[dict[str, Any]] = []
    for image_id, image in samples:
        results += to_coco_results(predict_image(model, image), image_id, category_ids)
        progress(1)
    return results

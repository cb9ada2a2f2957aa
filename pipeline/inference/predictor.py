"""A trained model's predictions, through torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from pipeline.inference.predictions import Prediction, pasted, to_coco
from pipeline.models.detector import Detector


def predict_image(model: MaskRCNN, image: Tensor) -> Prediction:
    """Predict one image (3, H, W), float in 0..1; ``model`` is in eval mode."""
    device = next(model.parameters()).device
    detector = Detector(model)
    with torch.inference_mode():
        boxes, labels, scores, masks = detector(image.to(device))
    return pasted(
        boxes.float().cpu().numpy(),
        labels.cpu().numpy(),
        scores.float().cpu().numpy(),
        masks.float().cpu().numpy(),
        (image.shape[1], image.shape[2]),
        margin=detector.mask_margin,
    )


def predict_array(model: MaskRCNN, image: np.ndarray) -> Prediction:
    """Predict one picture (H, W, 3) uint8; ``model`` is in eval mode."""
    return predict_image(model, torch.from_numpy(image).permute(2, 0, 1).float() / 255)


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

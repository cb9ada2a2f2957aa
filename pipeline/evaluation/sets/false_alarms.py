"""The worst false alarms of a set as crops, grouped by look.

The look of a detection is the mean of the backbone's pyramid features in its box. k-means groups the looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchvision.models.detection import MaskRCNN

from pipeline.data.rle import box_rle
from pipeline.evaluation.matching import EvaluationResult, Floats
from pipeline.models.detector import Detector
from pipeline.viz.crops import crop_window, data_uri, draw_crop
from pipeline.viz.overlays import Overlay, class_colour, readable

WORST = 24
"""Number of false alarms of a set that are cropped: those with the highest scores."""
_CROPS_PER_GROUP = 6
"""Mean number of crops in a group, which decides the number of groups."""
_ROUNDS = 50
"""Largest number of rounds of k-means; a few suffice."""

Pixels = npt.NDArray[np.uint8]


def worst_false_alarms(evaluation: EvaluationResult, threshold: float, count: int = WORST) -> list[int]:
    """Return the indices of the ``count`` false alarms with the highest scores, the highest first.

    They are the false alarms that ``set_figures`` counts: of boxes, at or above ``threshold``.
    """
    numbers = [
        number
        for ranked in evaluation.iou_types["bbox"].ranked["all"]
        for number in ranked.detection[ranked.false_positive[0] & (ranked.scores >= threshold)].tolist()
    ]
    return sorted(numbers, key=lambda number: (-evaluation.detections[number]["score"], number))[:count]


def group_false_alarms(
    model: MaskRCNN, evaluation: EvaluationResult, threshold: float, read: Callable[[dict[str, Any]], Pixels]
) -> list[dict[str, Any]]:
    """Crop the worst false alarms and group them by look.

    Args:
        model: the model, in eval mode.
        evaluation: the detections in the images of a set.
        threshold: the score threshold.
        read: returns the pixels (H, W, 3) of an image's entry in the COCO dataset.

    Returns:
        Groups, that of the highest score first: ``text`` (its size, classes, scores and heights) and
        ``crops``, the highest score first, each with ``file_name``, ``class``, ``score``, ``bbox`` (x, y, w,
        h), ``height_share`` (the box's height as a share of the image's) and ``jpeg`` (a data: URI).
    """
    dataset = evaluation.ground_truth
    images = {image["id"]: image for image in dataset["images"]}
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    colours = {c["id"]: class_colour(number) for number, c in enumerate(dataset["categories"])}
    chosen = [evaluation.detections[n] for n in worst_false_alarms(evaluation, threshold)]
    looks, crops = [np.zeros(0)] * len(chosen), [dict[str, Any]()] * len(chosen)
    for image_id in dict.fromkeys(d["image_id"] for d in chosen):
        image, numbers = images[image_id], [n for n, d in enumerate(chosen) if d["image_id"] == image_id]
        pixels = read(image)
        features = box_features(model, pixels, np.array([chosen[n]["bbox"] for n in numbers], float))
        for number, look in zip(numbers, features, strict=True):
            detection = chosen[number]
            window = crop_window([detection["bbox"]], image)
            box = box_rle(detection["bbox"], image["width"], image["height"])
            outline = Overlay(box, colours[detection["category_id"]], is_box=True)
            looks[number] = look
            crops[number] = {
                "file_name": image["file_name"],
                "class": names[detection["category_id"]],
                "score": detection["score"],
                "bbox": detection["bbox"],
                "height_share": round(detection["bbox"][3] / image["height"], 4),
                "jpeg": data_uri(draw_crop(pixels, [outline], window)),
            }
    groups: dict[int, list[dict[str, Any]]] = {}
    for crop, group in zip(crops, cluster(np.array(looks)), strict=True):
        groups.setdefault(group, []).append(crop)  # in descending order of score, so the groups are, too
    return [{"text": _describe(group), "crops": group} for group in groups.values()]


@torch.inference_mode()
def box_features(model: MaskRCNN, pixels: Pixels, boxes: Floats) -> Floats:
    """Compute the mean pyramid features in boxes, scaled to length 1.

    Args:
        model: the model, in eval mode.
        pixels: an image (H, W, 3).
        boxes: (N, 4) x, y, w, h in pixels of the image.

    Returns:
        (N, C)
    """
    detector, device = Detector(model), next(model.parameters()).device
    resized = detector.preprocess(torch.from_numpy(pixels).permute(2, 0, 1).to(device).float() / 255)
    levels = model.backbone(detector.transform.batch_images([resized]))
    height, width = resized.shape[1:]
    scale = np.array([width / pixels.shape[1], height / pixels.shape[0]] * 2)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) * scale
    regions = [torch.from_numpy(corners).to(device, resized.dtype)]
    pooled = model.roi_heads.box_roi_pool(levels, regions, [(height, width)]).float().mean((2, 3))
    features: Floats = torch.nn.functional.normalize(pooled).double().cpu().numpy()
    return features


def cluster(features: Floats, per_group: int = _CROPS_PER_GROUP) -> list[int]:
    """Group vectors with k-means, started from the first vector and those farthest from all chosen ones.

    There is no random number: equal vectors get equal groups.

    Args:
        features: (N, C)
        per_group: the mean size of a group; there are N / ``per_group`` groups, rounded up.

    Returns:
        The group of each vector, from 0.
    """
    if not len(features):
        return []
    centres = features[:1]
    for _ in range(1, -(-len(features) // per_group)):
        farthest = _distances(features, centres).min(axis=1).argmax()
        centres = np.concatenate([centres, features[farthest : farthest + 1]])
    groups = np.full(len(features), -1)
    for _ in range(_ROUNDS):
        nearest = _distances(features, centres).argmin(axis=1)
        if (nearest == groups).all():
            break
        groups = nearest
        for number in set(groups.tolist()):
            centres[number] = features[groups == number].mean(axis=0)
    return [int(group) for group in groups]


def _distances(features: Floats, centres: Floats) -> Floats:
    """Compute the squared distance of each vector to each centre: (N, K)."""
    squares: Floats = ((features[:, None] - centres[None]) ** 2).sum(axis=2)
    return squares


def _describe(crops: list[dict[str, Any]]) -> str:
    """Describe a group: its size, classes, range of scores, and range of heights."""
    classes = Counter(readable(crop["class"]) for crop in crops)
    parts = [f"{count} {name}" for name, count in classes.most_common()]
    heights = [100 * crop["height_share"] for crop in crops]
    parts.append(f"scores {crops[-1]['score']:.2f} to {crops[0]['score']:.2f}")
    parts.append(f"heights {min(heights):.0f} to {max(heights):.0f} % of the image")
    return ", ".join(parts)

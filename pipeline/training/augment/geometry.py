"""Geometric augmentation: flip, zoom and crop of an image with its masks, boxes and keypoints."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.transforms.v2 import functional as T  # noqa: N812 (the field's own name)

from blender.contract import KEYPOINTS
from pipeline.config import TrainConfig
from pipeline.models.samples import Sample, boxes_from_masks, clear_outside_keypoints, drop_small_objects

FOCUS_RANGE = (0.25, 0.75)
"""Range of the position of the target object's centre in a crop, as a share of the crop's width and height:
the
middle half, so that most of the object is in the crop, and not always at its centre."""


def _mirrored_name(name: str) -> str:
    side, _, rest = name.partition("_")
    return f"{'right' if side == 'left' else 'left'}_{rest}" if rest else name


FLIPPED_KEYPOINTS = tuple(KEYPOINTS.index(_mirrored_name(name)) for name in KEYPOINTS)
"""For each COCO keypoint the index of its counterpart in a mirrored image: left and right are swapped."""


def random_geometry(
    sample: Sample, config: TrainConfig, rng: np.random.Generator, classes: int | None = None
) -> Sample:
    """Flip, zoom and crop a sample with the probabilities and ranges of ``config``.

    For ``classes`` see ``random_object_centre``.
    """
    if rng.random() < config.flip:
        sample = flip(sample)
    scale = float(np.exp(rng.uniform(*np.log(config.scale_jitter))))
    aim = random_object_centre(sample, rng, classes) if rng.random() < config.focus else None
    return zoom(sample, scale, rng, crop=config.crop, aim=aim)


def flip(sample: Sample) -> Sample:
    """Mirror a sample left to right."""
    image, target = sample
    width = image.shape[2]
    masks = target["masks"].flip(2)
    left, top, right, bottom = target["ignore"].unbind(1)
    ignore = torch.stack([width - right, top, width - left, bottom], 1)
    flipped = {**target, "masks": masks, "boxes": boxes_from_masks(masks), "ignore": ignore}
    if "keypoints" in target:
        x, y, visibility = target["keypoints"][:, list(FLIPPED_KEYPOINTS)].unbind(2)
        flipped["keypoints"] = torch.stack([torch.where(visibility > 0, width - x, x), y, visibility], 2)
    return image.flip(2), flipped


def random_object_centre(
    sample: Sample, rng: np.random.Generator, classes: int | None = None
) -> tuple[float, float] | None:
    """Draw an object and return the centre (x, y) of its box in pixels; None without objects.

    The class is drawn first, so that rare and frequent classes are drawn equally often.

    Args:
        sample: the image and its target.
        rng: the generator.
        classes: number of classes that are drawn each for itself; the others, such as auxiliary classes,
            count together as one more class. None: all classes.
    """
    _, target = sample
    labels = target["labels"]
    if classes is not None:
        labels = labels.clamp(max=classes + 1)
    if not len(labels):
        return None
    present = labels.unique().tolist()
    of_class = (labels == present[int(rng.integers(len(present)))]).nonzero()[:, 0].tolist()
    left, top, right, bottom = target["boxes"][of_class[int(rng.integers(len(of_class)))]].tolist()
    return (left + right) / 2, (top + bottom) / 2


def zoom(
    sample: Sample,
    scale: float,
    rng: np.random.Generator,
    *,
    crop: float = 1.0,
    aim: tuple[float, float] | None = None,
) -> Sample:
    """Scale a sample and crop it to a window.

    Pixels outside the image get its mean colour. Objects outside the window are dropped. Objects of which too
    little remains become ignore regions (see ``drop_small_objects``).

    Args:
        sample: image (3, H, W) and target; neither is changed.
        scale: factor on the size of objects.
        rng: generator of the window's position.
        crop: the result's width and height as a share of the image's.
        aim: a point (x, y) in pixels that is placed in ``FOCUS_RANGE`` of the window; None: a random window.
    """
    image, target = sample
    full_height, full_width = image.shape[1:]
    height, width = max(1, round(full_height * crop)), max(1, round(full_width * crop))
    window_height, window_width = max(1, round(height / scale)), max(1, round(width / scale))
    slack_y, slack_x = full_height - window_height, full_width - window_width
    top, left = _random_offset(slack_y, rng), _random_offset(slack_x, rng)
    if aim is not None:
        top = _clamp_offset(aim[1] - rng.uniform(*FOCUS_RANGE) * window_height, slack_y)
        left = _clamp_offset(aim[0] - rng.uniform(*FOCUS_RANGE) * window_width, slack_x)
    padding = [
        max(0, -left),
        max(0, -top),
        max(0, left + window_width - full_width),
        max(0, top + window_height - full_height),
    ]
    rows, columns = slice(max(0, top), top + window_height), slice(max(0, left), left + window_width)

    mean = image.mean((1, 2), keepdim=True)
    window = T.pad(image[:, rows, columns] - mean, padding) + mean
    image = T.resize(window, [height, width], antialias=scale < 1).clamp(0, 1)
    masks = T.pad(target["masks"][:, rows, columns], padding)
    masks = T.resize(masks, [height, width], interpolation=T.InterpolationMode.NEAREST_EXACT)

    ratio = torch.tensor([width / window_width, height / window_height] * 2)
    ignore = (target["ignore"] - torch.tensor([left, top, left, top])) * ratio
    ignore = ignore.clamp(min=0).minimum(torch.tensor([width, height] * 2))
    zoomed = {**target, "masks": masks, "ignore": ignore}
    if "keypoints" in target:
        x, y, visibility = target["keypoints"].unbind(2)
        points = torch.stack([(x - left) * ratio[0], (y - top) * ratio[1], visibility], 2)
        zoomed["keypoints"] = clear_outside_keypoints(points, (height, width))
    return image, drop_small_objects(zoomed)


def _clamp_offset(offset: float, slack: int) -> int:
    """Round a window's offset, and limit it so that window or image contains the other, if larger."""
    return round(min(max(offset, min(0, slack)), max(0, slack)))


def _random_offset(slack: int, rng: np.random.Generator) -> int:
    """Draw a window's offset in pixels; ``slack`` is image size - window size, and may be negative."""
    return int(rng.integers(min(0, slack), max(0, slack) + 1))

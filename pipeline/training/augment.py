"""Augmentation: what a real camera does to a picture, and what a small data set lacks.

Every draw comes from a generator seeded by (seed, epoch, image), and the arithmetic runs in one thread
(torch's resizing and means round otherwise in several), so neither worker nor thread count nor resumption
changes a picture.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as T  # noqa: N812 (the field's own name)

from blender.contract import KEYPOINTS
from pipeline.common.processes import one_thread
from pipeline.config import TrainConfig
from pipeline.models.targets import Sample, boxes_from_masks, clear_outside_keypoints, drop_small_objects
from pipeline.training.copy_paste import paste_some

Rng = np.random.Generator


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    return f"{'right' if side == 'left' else 'left'}_{rest}" if rest else name


MIRRORED = tuple(KEYPOINTS.index(_other_side(name)) for name in KEYPOINTS)
"""Where each of COCO's keypoints is in a mirror: left and right change places."""


def augmentation(
    config: TrainConfig, seed: int, epoch: int
) -> Callable[[Sample, int, Callable[[Rng], Sample]], Sample]:
    """Give the transform of one epoch, for ``CocoDataset``."""
    return partial(_augment_indexed, config, seed, epoch)  # and not a closure: workers must unpickle it


def _augment_indexed(
    config: TrainConfig, seed: int, epoch: int, sample: Sample, index: int, other: Callable[[Rng], Sample]
) -> Sample:
    with one_thread():
        return augment(sample, config, np.random.default_rng([seed, epoch, index]), other)


def augment(
    sample: Sample, config: TrainConfig, rng: Rng, other: Callable[[Rng], Sample] | None = None
) -> Sample:
    """Draw one variation of a sample, of ``config.crop`` times its size; masks and boxes stay true.

    Args:
        other: draws another sample, for ``config.copy_paste``; None: nothing is pasted.
    """
    sample = move(sample, config, rng)
    if other is not None and config.copy_paste and rng.random() < config.copy_paste:
        sample = paste_some(sample, move(other(rng), config, rng), rng)
    image, target = sample
    if config.photometric > 0:
        image = photometric(image, config.photometric, rng)
    if rng.random() < config.blur:
        image = blur(image, rng)
    if rng.random() < config.noise:
        image = noise(image, rng)
    if rng.random() < config.jpeg:
        image = jpeg(image, int(rng.integers(30, 95)))
    return image.clamp(0, 1), target


# ------------------------------------------------------------------------------ geometry


def move(sample: Sample, config: TrainConfig, rng: Rng) -> Sample:
    """Draw a mirroring, a zoom and a crop."""
    if rng.random() < config.flip:
        sample = flip(sample)
    scale = float(np.exp(rng.uniform(*np.log(config.scale_jitter))))
    aim = object_to_show(sample, rng) if rng.random() < config.focus else None
    return zoom(sample, scale, rng, crop=config.crop, aim=aim)


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    image, target = sample
    width = image.shape[2]
    masks = target["masks"].flip(2)
    left, top, right, bottom = target["ignore"].unbind(1)
    ignore = torch.stack([width - right, top, width - left, bottom], 1)
    mirrored = {**target, "masks": masks, "boxes": boxes_from_masks(masks), "ignore": ignore}
    if "keypoints" in target:
        x, y, mark = target["keypoints"][:, list(MIRRORED)].unbind(2)
        mirrored["keypoints"] = torch.stack([torch.where(mark > 0, width - x, x), y, mark], 2)
    return image.flip(2), mirrored


def object_to_show(sample: Sample, rng: Rng) -> tuple[float, float] | None:
    """The middle (x, y) of one object: first its class is drawn, so that rare ones are seen as often."""
    _, target = sample
    labels = target["labels"]
    if not len(labels):
        return None
    classes = labels.unique().tolist()
    of_class = (labels == classes[int(rng.integers(len(classes)))]).nonzero()[:, 0].tolist()
    left, top, right, bottom = target["boxes"][of_class[int(rng.integers(len(of_class)))]].tolist()
    return (left + right) / 2, (top + bottom) / 2


def zoom(
    sample: Sample, scale: float, rng: Rng, *, crop: float = 1.0, aim: tuple[float, float] | None = None
) -> Sample:
    """Enlarge or reduce by ``scale`` and cut out ``crop`` times the picture's size.

    The place is random, or has the point ``aim`` (x, y) in its middle half. What lies outside the picture
    is its mean colour. Objects that leave it are dropped; of those that all but leave it, the rest becomes an
    ignore region.
    """
    image, target = sample
    full_height, full_width = image.shape[1:]
    height, width = max(1, round(full_height * crop)), max(1, round(full_width * crop))
    high, wide = max(1, round(height / scale)), max(1, round(width / scale))  # the window looked through
    top, left = _between(full_height - high, rng), _between(full_width - wide, rng)
    if aim is not None:
        top = _near(aim[1] - rng.uniform(0.25, 0.75) * high, full_height - high)
        left = _near(aim[0] - rng.uniform(0.25, 0.75) * wide, full_width - wide)
    box = [max(0, -left), max(0, -top), max(0, left + wide - full_width), max(0, top + high - full_height)]
    window = (slice(max(0, top), top + high), slice(max(0, left), left + wide))

    mean = image.mean((1, 2), keepdim=True)
    cut = T.pad(image[:, window[0], window[1]] - mean, box) + mean
    image = T.resize(cut, [height, width], antialias=scale < 1).clamp(0, 1)
    masks = T.pad(target["masks"][:, window[0], window[1]], box)
    masks = T.resize(masks, [height, width], interpolation=T.InterpolationMode.NEAREST_EXACT)

    ratio = torch.tensor([width / wide, height / high] * 2)
    ignore = (target["ignore"] - torch.tensor([left, top, left, top])) * ratio
    ignore = ignore.clamp(min=0).minimum(torch.tensor([width, height] * 2))
    moved = {**target, "masks": masks, "ignore": ignore}
    if "keypoints" in target:
        x, y, mark = target["keypoints"].unbind(2)
        points = torch.stack([(x - left) * ratio[0], (y - top) * ratio[1], mark], 2)
        moved["keypoints"] = clear_outside_keypoints(points, (height, width))
    return image, drop_small_objects(moved)


def _near(wanted: float, slack: int) -> int:
    return round(min(max(wanted, min(0, slack)), max(0, slack)))


def _between(slack: int, rng: Rng) -> int:
    return int(rng.integers(min(0, slack), max(0, slack) + 1))


# ------------------------------------------------------------------------------ camera


def photometric(image: Tensor, strength: float, rng: Rng) -> Tensor:
    """Jitter white balance, saturation, contrast, brightness and gamma by up to ``strength``."""

    def factor(most: float) -> float:
        return float(np.exp(rng.uniform(-most, most) * strength))

    gain = torch.tensor([factor(0.25) for _ in range(3)]).reshape(3, 1, 1)
    image = image * gain
    grey = image.mean(0, keepdim=True)
    image = grey + (image - grey) * factor(0.8)
    mean = grey.mean()
    image = (mean + (image - mean) * factor(0.6)) * factor(0.6)
    return image.clamp(0, 1).pow(factor(0.5))


def blur(image: Tensor, rng: Rng) -> Tensor:
    """Blur out of focus (Gaussian) or along a line (motion), by up to about 1.5 % of the height."""
    size = max(1, round(image.shape[1] * 0.0075)) * 2 + 1
    axis = torch.arange(size) - size // 2
    if rng.random() < 0.5:
        line = torch.exp(-0.5 * (axis / (rng.uniform(0.1, 0.25) * size)) ** 2)
        kernel = line[:, None] * line[None, :]
    else:
        angle, reach = rng.uniform(0, np.pi), rng.uniform(0.25, 0.5) * size
        along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
        across = axis[:, None] * np.cos(angle) - axis[None, :] * np.sin(angle)
        kernel = ((along.abs() <= reach) * (1 - across.abs()).clamp(min=0)).float()
    weight = (kernel / kernel.sum()).float().expand(3, 1, size, size)
    padded = F.pad(image[None], [size // 2] * 4, mode="replicate")
    return F.conv2d(padded, weight, groups=3)[0]


def noise(image: Tensor, rng: Rng) -> Tensor:
    """Add sensor noise: read noise, and shot noise that grows with the square root of the light."""
    read, shot = rng.uniform(0, 0.02), rng.uniform(0, 0.04)
    sigma = (read**2 + shot**2 * image.clamp(0, 1)).sqrt()
    return image + sigma * torch.from_numpy(rng.standard_normal(image.shape, np.float32))


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Compress and decompress; ``quality`` 1..100."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1).float() / 255

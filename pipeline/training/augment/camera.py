"""Camera effects on an image (3, H, W) in 0..1: colour, blur, noise, JPEG. Targets do not change.

The ranges are wider than those of a good camera, so that the model also works with cheap and badly set
cameras.
"""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from PIL import Image
from torch import Tensor

WHITE_BALANCE, SATURATION, CONTRAST, BRIGHTNESS, GAMMA = 0.25, 0.8, 0.6, 0.6, 0.5
"""Largest changes at strength 1, as logarithms of factors: 0.25 is 0.78..1.28, and 0.8 is 0.45..2.2."""
BLUR_RADIUS = 0.0075
"""Half the blur kernel's width as a share of the image's height, so that it scales with the image."""
GAUSSIAN_SHARE = 0.5
"""Share of blurs that are Gaussian (out of focus); the others are linear (motion)."""
GAUSSIAN_SIGMA = (0.1, 0.25)
"""Standard deviation as a share of the kernel's width: at 0.25 its ends are 2 sigma from its middle."""
MOTION_REACH = (0.25, 0.5)
"""Half the length of a motion blur, as a share of the kernel's width; more than 0.5 would not fit."""
READ_NOISE, SHOT_NOISE = 0.02, 0.04
"""Largest standard deviations as shares of full scale: 5 of 255 in the dark, 11 of 255 in full light."""


def photometric(image: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Change white balance, saturation, contrast, brightness and gamma at random.

    Args:
        image: (3, H, W) in 0..1.
        strength: 0..1, a factor on the logarithms of the largest changes.
        rng: generator of the random numbers.
    """

    def factor(largest: float) -> float:
        return float(np.exp(rng.uniform(-largest, largest) * strength))

    gain = torch.tensor([factor(WHITE_BALANCE) for _ in range(3)]).reshape(3, 1, 1)
    image = image * gain
    grey = image.mean(0, keepdim=True)
    image = grey + (image - grey) * factor(SATURATION)
    mean = grey.mean()
    image = (mean + (image - mean) * factor(CONTRAST)) * factor(BRIGHTNESS)
    return image.clamp(0, 1).pow(factor(GAMMA))


def blur(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur an image (3, H, W), out of focus (Gaussian) or along a line (motion)."""
    size = max(1, round(image.shape[1] * BLUR_RADIUS)) * 2 + 1
    axis = torch.arange(size) - size // 2
    if rng.random() < GAUSSIAN_SHARE:
        line = torch.exp(-0.5 * (axis / (rng.uniform(*GAUSSIAN_SIGMA) * size)) ** 2)
        kernel = line[:, None] * line[None, :]
    else:
        angle, reach = rng.uniform(0, np.pi), rng.uniform(*MOTION_REACH) * size
        along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
        across = axis[:, None] * np.cos(angle) - axis[None, :] * np.sin(angle)
        kernel = ((along.abs() <= reach) * (1 - across.abs()).clamp(min=0)).float()
    weight = (kernel / kernel.sum()).float().expand(3, 1, size, size)
    padded = F.pad(image[None], [size // 2] * 4, mode="replicate")
    return F.conv2d(padded, weight, groups=3)[0]


def noise(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Add sensor noise to an image (3, H, W): read noise, and shot noise proportional to sqrt(light)."""
    read, shot = rng.uniform(0, READ_NOISE), rng.uniform(0, SHOT_NOISE)
    sigma = (read**2 + shot**2 * image.clamp(0, 1)).sqrt()
    return image + sigma * torch.from_numpy(rng.standard_normal(image.shape, np.float32))


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Compress an image (3, H, W) as JPEG of ``quality`` 1..100, and decompress it."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        return torch.from_numpy(np.array(decoded)).permute(2, 0, 1).float() / 255

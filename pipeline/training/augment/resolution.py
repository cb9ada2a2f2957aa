"""The resolution of training images: what the model can use after the largest zoom of the augmentation.

The model resizes every image to its own input size. So pixels beyond that size times the largest zoom take
memory and time in the augmentation, but do not reach the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from torchvision.models.detection import MaskRCNN

from pipeline.config import TrainConfig


@dataclass(frozen=True)
class Resolution:
    """The largest useful size of an image in pixels. A larger image is shrunk until one of both fits."""

    shorter_side: float
    longer_side: float

    def limit(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return ``size`` (width, height), shrunk if both sides are larger than is useful."""
        scale = min(self.shorter_side / min(size), self.longer_side / max(size))
        if scale >= 1:
            return size
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def usable_resolution(model: MaskRCNN, config: TrainConfig) -> Resolution:
    """Compute the resolution at which the largest zoom gives the model one image pixel per input pixel.

    Args:
        model: a model whose transform is that of training: it resizes crops, not whole images.
        config: the largest zoom, and the crop as a share of the image.
    """
    zoom = max(1.0, config.scale_jitter[1]) / config.crop
    return Resolution(model.transform.min_size[0] * zoom, model.transform.max_size * zoom)

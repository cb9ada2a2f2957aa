"""torchvision's ResNet-50 as a backbone, with its feature pyramid."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torchvision.models import resnet50
from torchvision.models.detection.backbone_utils import BackboneWithFPN

from pipeline.models.backbones.staged import StagedBackbone
from pipeline.models.norms import FrozenBatchNorm

STAGE_ENDS = ("layer1", "layer2", "layer3", "layer4")
"""Names of the modules that end the body's four stages."""
CHANNELS = (256, 512, 1024, 2048)
"""Channels of the body's four feature maps."""
FPN_CHANNELS = 256
"""Channels of the pyramid's levels in torchvision's COCO models."""


class ResNetFPN(StagedBackbone):
    """torchvision's ResNet-50 with frozen batch norm, and a feature pyramid of strides 4 to 64."""

    def __init__(self, fpn_norm: Callable[[int], nn.Module] | None = None) -> None:
        """Build the backbone with random weights.

        Args:
            fpn_norm: the normalisation layer of the pyramid; None: the pyramid has none.
        """
        parts = BackboneWithFPN(
            resnet50(weights=None, norm_layer=FrozenBatchNorm),
            {layer: str(i) for i, layer in enumerate(STAGE_ENDS)},
            list(CHANNELS),
            FPN_CHANNELS,
            norm_layer=fpn_norm,
        )
        super().__init__(parts.body, parts.fpn, FPN_CHANNELS, STAGE_ENDS)

"""timm's networks as backbones, with a feature pyramid."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from blender.contract.messages import first_line
from pipeline.config import UserError
from pipeline.models.backbones.staged import STRIDES, FeatureMaps, StagedBackbone
from pipeline.models.norms import GROUPS, FrozenBatchNorm, group_norm, replace_modules

TEST_IMAGE_SIZE = (64, 96)
"""Height and width of the image that tests an unknown timm network: multiples of 32, not square."""


class TimmFPN(StagedBackbone):
    """A timm network with a feature pyramid of strides 4 to 64.

    The finest level has no 3 x 3 convolution, because only regions are pooled from it, and the heads have
    their own convolutions.
    """

    def __init__(
        self,
        body: Any,
        out_channels: int,
        std: Sequence[float] | None = None,
        has_folded_batch_norm: bool = False,
    ) -> None:
        """Put a pyramid with random weights on ``body``.

        Args:
            body: the result of ``timm_body`` or ``lite2_body``.
            out_channels: channels of each level.
            std: divisors of the body's four feature maps, if their standard deviations are far from 1.
            has_folded_batch_norm: see ``StagedBackbone``.
        """
        fpn = FeaturePyramidNetwork(
            body.feature_info.channels(), out_channels, LastLevelMaxPool(), norm_layer=group_norm
        )
        super().__init__(body, fpn, out_channels, body.feature_info.module_name())
        self.std, self.has_folded_batch_norm = std, has_folded_batch_norm
        self.channels_last = str(getattr(body, "output_fmt", "")).endswith("NHWC")
        # The finest level's convolution took 14 % of a training step. It is replaced by a container and not
        # by a norm alone, because torchvision's loader mistakes "layer_blocks.0.weight" for an old name.
        self.fpn.layer_blocks[0] = nn.Sequential(group_norm(out_channels))

    def forward_fpn(self, features: Mapping[str, Tensor]) -> FeatureMaps:
        """Map the body's four feature maps to the pyramid's levels."""
        if self.channels_last:
            features = {name: x.permute(0, 3, 1, 2) for name, x in features.items()}
        if self.std is not None:
            features = {k: x / std for (k, x), std in zip(features.items(), self.std, strict=True)}
        return super().forward_fpn(features)

    def _run_body(self, x: Tensor) -> FeatureMaps:
        return {str(i): feature_map for i, feature_map in enumerate(self.body(x))}


def timm_body(name: str, state: dict[str, Tensor] | None = None, *, pretrained: bool = False) -> nn.Module:
    """Build a timm network that outputs feature maps of ``STRIDES``, with frozen batch norm.

    Args:
        name: timm's name, such as "resnet18" or "convnext_atto.d2_in1k".
        state: weights of the complete classifier, as timm publishes them.
        pretrained: use the weights that timm finds in its cache or downloads.

    Raises:
        UserError: timm has no such network, or it cannot have a feature pyramid.
        RuntimeError: ``state`` does not fit the network.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        raise UserError(f"timm has no model '{name}'{f'; did you mean {near[0]!r}?' if near else ''}")
    if state is not None:  # timm checks weights strictly only if it builds the complete classifier
        timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)})
    overlay = {"pretrained_cfg_overlay": {"state_dict": dict(state)}} if state is not None else {}
    body = timm.create_model(
        name,
        features_only=True,
        out_indices=_out_indices(name),
        pretrained=pretrained or state is not None,
        **overlay,
    )
    body = freeze_batch_norm_2d(body)
    replace_modules(body, _fast_frozen_norm)
    _check_body(name, body)
    return body


def _out_indices(name: str) -> tuple[int, ...]:
    """Return the indices of a timm network's feature maps that have ``STRIDES``, the last of each stride."""
    try:
        info = timm.create_model(name, features_only=True).feature_info
        index_of_stride = dict(zip(info.reduction(), info.out_indices, strict=True))
        if not set(STRIDES) <= set(index_of_stride):
            raise ValueError(f"its maps have strides {info.reduction()}, not {[*STRIDES]}")
    except (RuntimeError, ValueError, AttributeError, KeyError, AssertionError) as error:
        raise UserError(f"timm's '{name}' cannot have a feature pyramid: {first_line(error)}") from None
    return tuple(index_of_stride[stride] for stride in STRIDES)


def _fast_frozen_norm(module: nn.Module) -> nn.Module | None:
    return FrozenBatchNorm.from_frozen(module) if type(module) is FrozenBatchNorm2d else None


def _check_body(name: str, body: Any) -> None:
    """Run a body on one image, and check its batch norm and the sizes of its feature maps.

    Raises:
        UserError: a batch norm is not frozen, or the body does not accept images of every size.
    """
    live = [n for n, m in body.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if live:
        raise UserError(f"timm's '{name}' has a BatchNorm that cannot be frozen: {live[0]}")
    # The pyramid draws random numbers: without it, untrained models would get other weights.
    backbone, (height, width) = TimmFPN(body, GROUPS), TEST_IMAGE_SIZE
    try:
        with torch.no_grad():
            maps = backbone.forward_body(torch.zeros(1, 3, height, width)).values()
        sizes = [(x.shape[1], height // x.shape[2], width // x.shape[3]) for x in maps]
        if sizes != [(c, s, s) for c, s in zip(body.feature_info.channels(), STRIDES, strict=True)]:
            raise ValueError("its maps have other sizes than it reports")
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"timm's '{name}' does not accept images of every size: {first_line(error)}"
        ) from None

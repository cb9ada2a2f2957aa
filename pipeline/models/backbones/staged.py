"""A backbone that can run stage by stage, so that the output of frozen stages can be cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from timm.models.efficientnet import EfficientNetFeatures
from torch import Tensor, nn

STRIDES = (4, 8, 16, 32)
"""Stride of each stage of the body: pixels of the image per pixel of the stage's last feature map."""
NUM_STAGES = len(STRIDES)

FeatureMaps = dict[str, Tensor]
"""Feature maps (B, C, h, w) of the stages "0" to "3", or of the pyramid's levels "0" to "3" and "pool"."""


class StagedBackbone(nn.Module):
    """A body in four stages and a feature pyramid network (FPN) on their feature maps.

    ``forward(x)`` is ``forward_fpn(forward_body(x))``. The body can also run in two parts: its first stages
    by ``forward_body(x, stages)``, and the rest by ``finish_body``.
    """

    has_folded_batch_norm = False
    """Whether batch norm is folded into the body's convolutions, so that their biases must not be trained."""

    def __init__(self, body: Any, fpn: Any, out_channels: int, stage_ends: Sequence[str]) -> None:
        """Combine a body and a pyramid.

        Args:
            body: maps (B, 3, H, W) to four feature maps.
            fpn: torchvision's FeaturePyramidNetwork.
            out_channels: channels of each level of the pyramid.
            stage_ends: names of the modules of the body that output the four maps, in order.
        """
        super().__init__()
        self.body: Any = body
        self.fpn: Any = fpn
        self.out_channels = out_channels
        self.stage_ends = tuple(stage_ends)

    def forward(self, x: Tensor) -> FeatureMaps:
        """Map images (B, 3, H, W) to the pyramid's levels "0" to "3" and "pool"."""
        return self.forward_fpn(self.forward_body(x))

    def forward_body(self, x: Tensor, stages: int = NUM_STAGES) -> FeatureMaps:
        """Run the body's first stages, or all of them, on images (B, 3, H, W)."""
        if stages < NUM_STAGES:
            return _run_stages(self.stages()[:stages], x, {})
        return self._run_body(x)

    def finish_body(self, x: Tensor, features: Mapping[str, Tensor]) -> FeatureMaps:
        """Compute the body's four feature maps from those of its first stages.

        Args:
            x: images (B, 3, H, W); used only if ``features`` is empty.
            features: the maps of the first stages, as ``forward_body`` returned them.
        """
        if not features:
            return self.forward_body(x)
        if len(features) == NUM_STAGES:
            return dict(features)
        return _run_stages(self.stages()[len(features) :], features[str(len(features) - 1)], features)

    def forward_fpn(self, features: Mapping[str, Tensor]) -> FeatureMaps:
        """Map the body's four feature maps to the pyramid's levels."""
        levels: FeatureMaps = self.fpn(OrderedDict(features))
        return levels

    def stages(self) -> list[list[nn.Module]]:
        """Return the body's modules in the order in which they run, a list for each of the four stages.

        Empty if the body is not a plain sequence of modules, or was compiled: then it cannot run stage by
        stage.
        """
        body = self.body
        if isinstance(body, EfficientNetFeatures):
            blocks = [(f"blocks.{name}", block) for name, block in body.blocks.named_children()]
            modules, ends = [("conv_stem", body.conv_stem), ("bn1", body.bn1), *blocks], self.stage_ends
        else:
            # Of timm's bodies, only those that are a sequence of modules have ``return_layers``.
            modules, ends = list(body.named_children()), tuple(getattr(body, "return_layers", ()))
        cuts = [1 + i for i, (name, _) in enumerate(modules) if name in ends]
        if len(cuts) != NUM_STAGES or getattr(body, "_compiled_call_impl", None) is not None:
            return []
        return [[m for _, m in modules[a:b]] for a, b in zip([0, *cuts], cuts, strict=False)]

    def count_frozen_stages(self) -> int:
        """Count the body's first stages that have no trainable parameter, 0 to 4.

        For a body that cannot run stage by stage: 4 if all parameters are frozen, otherwise 0.
        """
        if not any(p.requires_grad for p in self.body.parameters()):
            return NUM_STAGES
        for number, stage in enumerate(self.stages()):
            if any(p.requires_grad for module in stage for p in module.parameters()):
                return number
        return 0

    def stage_names(self) -> dict[str, str]:
        """Map every entry of the body's state dict to its stage, "stage1" to "stage4"."""
        return stage_names(self.body, self.stage_ends)

    def _run_body(self, x: Tensor) -> FeatureMaps:
        return dict(self.body(x))


def _run_stages(stages: list[list[nn.Module]], x: Tensor, features: Mapping[str, Tensor]) -> FeatureMaps:
    """Run ``stages`` on ``x``, and return all maps: ``features``, then the new ones."""
    maps = dict(features)
    for stage in stages:
        for module in stage:
            x = module(x)
        maps[str(len(maps))] = x
    return maps


def stage_names(body: nn.Module, ends: Sequence[str]) -> dict[str, str]:
    """Map every entry of a body's state dict to its stage, "stage1" to "stage4".

    A stage ends with the module whose map the pyramid uses; the stem belongs to the first stage.

    Args:
        body: the body.
        ends: the names of the modules that end the stages, in order. A stage whose end is missing in the body
            is empty.
    """
    names = [name for name, _ in body.named_modules()]
    last: list[int] = []
    for end in ends:
        forms = (end, end.replace(".", "_"), f"model.{end}")
        inside = [i for i, n in enumerate(names) if any(n == f or n.startswith(f"{f}.") for f in forms)]
        last.append(max([*inside, *last[-1:]], default=-1))
    position = {name: i for i, name in enumerate(names)}
    return {
        entry: f"stage{min(len(ends), 1 + sum(end < position[entry.rpartition('.')[0]] for end in last))}"
        for entry in body.state_dict()
    }

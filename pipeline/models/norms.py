"""Normalisation layers: frozen batch norm for pretrained bodies, group norm for untrained layers."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

GROUPS = 16
"""Groups of every GroupNorm; at the pyramid's widths of 96 and 128 a group has 6 or 8 channels."""


class FrozenBatchNorm(FrozenBatchNorm2d):  # type: ignore[misc]
    """Batch norm with fixed statistics, computed by PyTorch's fused kernel.

    The result is that of torchvision's FrozenBatchNorm2d, in a third of its time on a CPU in bfloat16.
    """

    @classmethod
    def from_frozen(cls, norm: FrozenBatchNorm2d) -> FrozenBatchNorm:
        """Build a layer that shares the buffers of a torchvision FrozenBatchNorm2d."""
        made = cls(len(norm.weight), eps=norm.eps)
        for name, buffer in norm.named_buffers():
            setattr(made, name, buffer)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) with the fixed statistics."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def group_norm(channels: int) -> nn.Module:
    """Build a GroupNorm, with which untrained layers train faster (He, Girshick and Dollar 2018)."""
    return nn.GroupNorm(GROUPS, channels)


def replace_modules(root: nn.Module, build: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Replace modules inside ``root``, in place, and return ``root``.

    The order of the state dict does not change.

    Args:
        root: the module to search.
        build: maps a module to its replacement, or to None to continue with its children.
    """
    for name, child in list(root.named_children()):
        replacement = build(child)
        if replacement is None:
            replace_modules(child, build)
        else:
            setattr(root, name, replacement)
    return root

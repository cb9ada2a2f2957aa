"""Store the weights of a checkpoint in 8 bits, with a scale for each output channel.

A weight w of a channel is stored as round(w / s) with s = max |w| / 127 (symmetric quantisation per channel,
Jacob et al. 2018). The file has less than a third of the size; the network computes in float32 as before.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = "/scale"
"""End of the name of the tensor with the scales of another tensor."""
MIN_FAN_IN = 64
"""Weights per channel below which a layer keeps its 32 bits: depthwise kernels are small and lose most."""
MAX_INT8 = 127
"""Largest stored weight; -128 is not used, so that weights are symmetric around 0."""


def compress(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with its weights in 8 bits; biases and depthwise kernels stay as they are."""
    compressed: dict[str, Tensor] = {}
    for name, value in state.items():
        if value.ndim < 2 or value[0].numel() < MIN_FAN_IN or not value.is_floating_point():
            compressed[name] = value
            continue
        largest = value.abs().flatten(1).amax(1)
        scale = torch.where(largest > 0, largest / MAX_INT8, 1.0)
        compressed[name] = (value / _per_channel(scale, value)).round().to(torch.int8)
        compressed[name + SCALE] = scale
    return compressed


def expand(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of tensors that ``compress`` may have returned."""
    return {
        name: value * _per_channel(tensors[name + SCALE], value) if name + SCALE in tensors else value
        for name, value in tensors.items()
        if not name.endswith(SCALE)
    }


def _per_channel(scale: Tensor, value: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (value.ndim - 1))

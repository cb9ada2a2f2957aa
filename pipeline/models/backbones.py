"""Bodies and the feature pyramids on them: torchvision's ResNet-50, and any network of timm's."""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from timm.layers import freeze_batch_norm_2d
from timm.models.efficientnet import EfficientNetFeatures
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pipeline.config import UserError

STRIDES = (4, 8, 16, 32)
"""Of the maps that a body gives its pyramid."""
RESNET_ENDS = ("layer1", "layer2", "layer3", "layer4")


class FrozenBatchNorm(FrozenBatchNorm2d):  # type: ignore[misc]
    """torchvision's FrozenBatchNorm2d, through the fused kernel: three times as fast on a CPU in bf16."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) with the fixed statistics."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def group_norm(channels: int) -> nn.Module:
    """GroupNorm: what starts from scratch learns faster with it (He, Girshick, Dollar 2018)."""
    return nn.GroupNorm(16, channels)


class TimmFPN(nn.Module):
    """A feature pyramid over a network of timm's, strides 4 to 64, ``out_channels`` channels each.

    Its finest level, which only regions are pooled from, has no 3 x 3 convolution: their heads have.
    """

    def __init__(
        self, body: Any, out_channels: int, std: Sequence[float] | None = None, folded: bool = False
    ) -> None:
        """Put a pyramid of random weights on ``body``.

        Args:
            body: what ``timm_body`` or ``lite2_body`` gives.
            std: what its maps are divided by, if they are far from 1.
            folded: the body's biases are what is left of BatchNorm, and never learn.
        """
        super().__init__()
        self.body, self.std, self.folded, self.out_channels = body, std, folded, out_channels
        self.ends: list[str] = body.feature_info.module_name()
        self.rows_last = str(getattr(body, "output_fmt", "")).endswith("NHWC")
        self.fpn = FeaturePyramidNetwork(
            body.feature_info.channels(), out_channels, LastLevelMaxPool(), norm_layer=group_norm
        )
        # The finest level's convolution was 14 % of a training step. A container, because torchvision's
        # loader takes "layer_blocks.0.weight" for a name of its older versions.
        self.fpn.layer_blocks[0] = nn.Sequential(group_norm(out_channels))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map (B, 3, H, W) to the levels "0" to "3" and "pool"."""
        return pyramid(self, taps(self, x))


def chains(backbone: Any) -> list[list[nn.Module]]:
    """A body's modules in the order they are called, a list for each of the four stages.

    Empty if the body isn't such a chain, or is compiled as a whole: then it is called as a whole.
    """
    body = backbone.body
    if isinstance(body, EfficientNetFeatures):
        blocks = [(f"blocks.{name}", block) for name, block in body.blocks.named_children()]
        steps, ends = [("conv_stem", body.conv_stem), ("bn1", body.bn1), *blocks], backbone.ends
    else:
        steps, ends = list(body.named_children()), list(getattr(body, "return_layers", ()))
    cuts = [1 + i for i, (name, _) in enumerate(steps) if name in ends]
    if len(cuts) != len(STRIDES) or getattr(body, "_compiled_call_impl", None) is not None:
        return []
    return [[m for _, m in steps[a:b]] for a, b in zip([0, *cuts], cuts, strict=False)]


def frozen_stages(backbone: Any) -> int:
    """How many of the body's first stages learn nothing, 0 to 4; of one that isn't a chain, all or none."""
    if not any(p.requires_grad for p in backbone.body.parameters()):
        return len(STRIDES)
    for number, chain in enumerate(chains(backbone)):
        if any(p.requires_grad for module in chain for p in module.parameters()):
            return number
    return 0


def taps(backbone: Any, x: Tensor, stages: int = len(STRIDES)) -> dict[str, Tensor]:
    """What a body's first stages, or all of them, make of images (B, 3, H, W): maps "0", "1" ..."""
    if stages < len(STRIDES):
        return _along(chains(backbone)[:stages], x, {})
    found = backbone.body(x)
    if isinstance(backbone, TimmFPN):
        return {str(i): tap for i, tap in enumerate(found)}
    return dict(found)


def deeper(backbone: Any, x: Tensor, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The body's maps, given those of its first stages, or the images (B, 3, H, W) if there are none."""
    if not found:
        return taps(backbone, x)
    if len(found) == len(STRIDES):
        return dict(found)
    return _along(chains(backbone)[len(found) :], found[str(len(found) - 1)], found)


def _along(stages: list[list[nn.Module]], x: Tensor, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Send a map through stages; give those ``found`` before and theirs."""
    maps = dict(found)
    for stage in stages:
        for module in stage:
            x = module(x)
        maps[str(len(maps))] = x
    return maps


def pyramid(backbone: Any, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rest of ``backbone(x)``, from ``taps(backbone, x)``."""
    if isinstance(backbone, TimmFPN):
        if backbone.rows_last:
            found = {k: tap.permute(0, 3, 1, 2) for k, tap in found.items()}
        if backbone.std is not None:
            found = {k: tap / std for (k, tap), std in zip(found.items(), backbone.std, strict=True)}
    levels: dict[str, Tensor] = backbone.fpn(OrderedDict(found))
    return levels


# ------------------------------------------------------------------------------ bodies


def lite2_body() -> nn.Module:
    """EfficientNet-Lite2 with its BatchNorm folded away: taps of 24, 48, 120, 352 channels."""
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4))
    return lite_convolutions(fold_batch_norm(body))


def timm_body(name: str, state: dict[str, Tensor] | None = None, *, pretrained: bool = False) -> nn.Module:
    """Any network of timm's that gives maps of ``STRIDES``, its BatchNorm frozen.

    Args:
        name: timm's, as "resnet18" or "convnext_atto.d2_in1k".
        state: weights of the whole classifier, as timm publishes them.
        pretrained: with the weights timm finds in its cache or downloads.

    Raises:
        UserError: no such network, or not one for a feature pyramid.
        RuntimeError: ``state`` does not fit.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        raise UserError(f"timm has no model '{name}'{f'; did you mean {near[0]!r}?' if near else ''}")
    if state is not None:  # looked at strictly only where the classifier is there too
        timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)})
    try:
        info = timm.create_model(name, features_only=True).feature_info
        index_of = dict(zip(info.reduction(), info.out_indices, strict=True))  # the last of each stride
        if not set(STRIDES) <= set(index_of):
            raise ValueError(f"its maps have strides {info.reduction()}, and {[*STRIDES]} are wanted")
    except (RuntimeError, ValueError, AttributeError, KeyError, AssertionError) as error:
        raise UserError(f"timm's '{name}' cannot carry a feature pyramid: {_first_line(error)}") from None
    overlay = {"pretrained_cfg_overlay": {"state_dict": dict(state)}} if state is not None else {}
    body = timm.create_model(
        name,
        features_only=True,
        out_indices=tuple(index_of[stride] for stride in STRIDES),
        pretrained=pretrained or state is not None,
        **overlay,
    )
    body = freeze_batch_norm_2d(body)
    for module in body.modules():
        if type(module) is FrozenBatchNorm2d:
            module.__class__ = FrozenBatchNorm
    _try_out(name, body)
    return body


def _try_out(name: str, body: Any) -> None:
    live = [n for n, m in body.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if live:
        raise UserError(f"timm's '{name}' has a BatchNorm that cannot be frozen: {live[0]}")
    backbone = TimmFPN(body, 16)
    try:
        with torch.no_grad():
            found = taps(backbone, torch.zeros(1, 3, 64, 96))
        sizes = [(tap.shape[1], 64 // tap.shape[2], 96 // tap.shape[3]) for tap in found.values()]
        if sizes != [(c, s, s) for c, s in zip(body.feature_info.channels(), STRIDES, strict=True)]:
            raise ValueError("its maps have other sizes than it says")
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(f"timm's '{name}' does not take images of every size: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def stages_of(body: nn.Module, ends: Sequence[str]) -> dict[str, str]:
    """Name the stage, "stage1" to "stage4", of every entry of a body's state dict.

    A stage ends with the module whose map the pyramid takes; the stem belongs to the first.

    Args:
        ends: the names of these modules, in order. One that is not found ends with the stage before it.
    """
    names = [name for name, _ in body.named_modules()]
    last: list[int] = []
    for end in ends:
        forms = (end, end.replace(".", "_"), f"model.{end}")
        inside = [i for i, n in enumerate(names) if any(n == f or n.startswith(f"{f}.") for f in forms)]
        last.append(max([*inside, *last[-1:]], default=-1))
    place = {name: i for i, name in enumerate(names)}
    return {
        entry: f"stage{min(len(ends), 1 + sum(end < place[entry.rpartition('.')[0]] for end in last))}"
        for entry in body.state_dict()
    }


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every BatchNorm of timm's EfficientNet, in place, into the convolution before it.

    What is left computes what the frozen network computes (eps included), six times as fast on a
    CPU in bf16, and has no statistics that could come alive.
    """
    conv: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            conv = child
        elif isinstance(child, nn.BatchNorm2d):
            assert isinstance(conv, nn.Conv2d)
            mean, var = child.get_buffer("running_mean"), child.get_buffer("running_var")
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, mean, var, child.eps, child.weight, child.bias
            )
            setattr(module, name, child.act)
        else:
            fold_batch_norm(child)
    return module


class LiteConv(nn.Conv2d):
    """A convolution of timm's EfficientNet-Lite, made faster on a CPU.

    TensorFlow's SAME padding at stride 2, for maps of even size (torchvision pads images to 32), is one pixel
    more behind than before. timm pads the map, which copies it: a quarter of the body's time. Here the kernel
    gets a leading row and column of zeros, and the padding is symmetric.

    oneDNN's gradient of a depthwise kernel takes ten times as long in bf16 as in float32, 70 % of a step in
    which the last two stages learn: a depthwise kernel that learns is applied in float32; see ``_Depthwise``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, D, H / stride, W / stride)."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            learns = torch.is_grad_enabled() and self.weight.requires_grad
            if learns and self.groups > 1 and x.device.type == "cpu":
                with torch.autocast("cpu", enabled=False):
                    return self._learn_depthwise(x.float())
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        kernel, padding = self._kernel()
        return F.conv2d(x, kernel, self.bias, self.stride, padding, 1, self.groups)

    def _kernel(self) -> tuple[Tensor, int]:
        kernel = F.pad(self.weight, (1, 0, 1, 0)) if self.stride[0] == 2 else self.weight
        return kernel, self.kernel_size[0] // 2

    @torch.jit.unused
    def _learn_depthwise(self, x: Tensor) -> Tensor:
        kernel, padding = self._kernel()
        if len(x) > 1 or kernel.shape[-1] < 4:  # what the gradient below is slower for
            return self._convolve(x)
        found: Tensor = _Depthwise.apply(x, kernel, self.bias, self.stride[0], padding)
        return found


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of one image, whose kernel's gradient takes a third of oneDNN's time on a CPU.

    That gradient is itself a depthwise convolution: of the padded map, with the output's gradient for a
    kernel and the stride for a dilation. oneDNN has a fast way forward, and none back.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        """Map (1, C, H, W) through kernels (C, 1, k, k)."""
        ctx.save_for_backward(x, kernel)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, kernel, bias, stride, padding, 1, len(kernel))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the map and the kernels; the bias, a frozen BatchNorm's, has none."""
        x, kernel = ctx.saved_tensors
        channels, stride, padding = len(kernel), ctx.stride, ctx.padding
        of_map = torch.ops.aten.convolution_backward(
            grad, x, kernel, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], channels,
            [ctx.needs_input_grad[0], False, False],
        )[0]  # fmt: skip
        padded = F.pad(x, (padding,) * 4)
        of_kernel = F.conv2d(padded, grad.transpose(0, 1), None, 1, 0, stride, channels).transpose(0, 1)
        # At stride 2, a last row and column that the kernel never met.
        return of_map, of_kernel[..., : kernel.shape[2], : kernel.shape[3]], None, None, None


def plain_convs(module: nn.Module) -> nn.Module:
    """Turn every ``LiteConv`` into torch's own, with the larger kernel at stride 2, in place: for tracers."""
    for child in module.modules():
        if isinstance(child, LiteConv):
            child.padding = (child.kernel_size[0] // 2,) * 2
            if child.stride[0] == 2:
                child.kernel_size = (child.kernel_size[0] + 1,) * 2
                child.weight = nn.Parameter(F.pad(child.weight.detach(), (1, 0, 1, 0)))
            child.__class__ = nn.Conv2d  # type: ignore[assignment]
    return module


def lite_convolutions(module: nn.Module) -> nn.Module:
    """Turn every convolution of timm's EfficientNet-Lite into ``LiteConv``, in place."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.__class__ = LiteConv
    return module

"""EfficientNet-Lite2 as a backbone body, made fast on a CPU: batch norm is folded into the convolutions."""

from __future__ import annotations

from typing import Any

import timm
import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pipeline.models.norms import replace_modules

SMALL_KERNEL = 3
"""Side in cells of the largest depthwise kernel for which oneDNN's gradient is faster."""


def lite2_body() -> nn.Module:
    """Build EfficientNet-Lite2 without batch norm: four feature maps of 24, 48, 120 and 352 channels."""
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4))
    return use_lite_convs(fold_batch_norm(body))


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every batch norm of a timm EfficientNet into the convolution before it, in place.

    The outputs are those of frozen batch norm (eps included), six times as fast on a CPU in bfloat16. There
    are no statistics left that training could change.
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


def use_lite_convs(module: nn.Module) -> nn.Module:
    """Replace every convolution of a timm EfficientNet-Lite (all are square) by ``LiteConv``, in place."""
    return replace_modules(module, lambda m: LiteConv.from_conv(m) if isinstance(m, nn.Conv2d) else None)


def use_plain_convs(module: nn.Module) -> nn.Module:
    """Replace every ``LiteConv`` by a plain convolution with the same result, in place, for the export."""
    return replace_modules(module, lambda m: m.to_conv2d() if isinstance(m, LiteConv) else None)


class LiteConv(nn.Conv2d):
    """A convolution of timm's EfficientNet-Lite, made faster on a CPU.

    At stride 2, TensorFlow's SAME padding of a map of even size (torchvision pads images to a multiple of 32)
    adds one pixel more after the map than before it. timm pads the map, which copies it and takes a quarter
    of the body's time. Here the kernel gets a leading row and column of zeros, and the padding is symmetric.

    oneDNN's gradient of a depthwise kernel takes ten times as long in bfloat16 as in float32: 70 % of a
    training step with two trainable stages. So a trainable depthwise kernel is applied in float32, and
    large kernels use the gradient of ``_DepthwiseConv``.
    """

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> LiteConv:
        """Build a ``LiteConv`` that shares the parameters of ``conv``, without drawing random numbers."""
        made = cls(
            conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0],
            groups=conv.groups, bias=conv.bias is not None, device="meta",
        )  # fmt: skip
        made.weight, made.bias = conv.weight, conv.bias
        return made

    def to_conv2d(self) -> nn.Conv2d:
        """Build a plain convolution with the same result; at stride 2 its kernel is one cell larger."""
        kernel, padding = self._padded_kernel()
        made = nn.Conv2d(
            self.in_channels, self.out_channels, kernel.shape[-1], self.stride[0], padding,
            groups=self.groups, bias=self.bias is not None, device="meta",
        )  # fmt: skip
        made.weight, made.bias = nn.Parameter(kernel.detach()), self.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, D, H / stride, W / stride)."""
        trainable = torch.is_grad_enabled() and self.weight.requires_grad
        if trainable and self.groups > 1 and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return self._forward_trainable_depthwise(x.float())
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        kernel, padding = self._padded_kernel()
        return F.conv2d(x, kernel, self.bias, self.stride, padding, 1, self.groups)

    def _padded_kernel(self) -> tuple[Tensor, int]:
        """Return the kernel for symmetric padding, and the padding in pixels."""
        kernel = F.pad(self.weight, (1, 0, 1, 0)) if self.stride[0] == 2 else self.weight
        return kernel, self.kernel_size[0] // 2

    def _forward_trainable_depthwise(self, x: Tensor) -> Tensor:
        kernel, padding = self._padded_kernel()
        if len(x) > 1 or kernel.shape[-1] <= SMALL_KERNEL:
            return self._convolve(x)
        output: Tensor = _DepthwiseConv.apply(x, kernel, self.bias, self.stride[0], padding)
        return output


class _DepthwiseConv(torch.autograd.Function):
    """A depthwise convolution of one image whose kernel's gradient is fast on a CPU.

    The kernel's gradient is itself a depthwise convolution of the padded map, with the output's gradient as
    the kernel and the stride as the dilation. oneDNN's forward pass is fast and its backward pass is slow, so
    this takes a third of the time of oneDNN's gradient.
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
        """Compute the gradients of the map and the kernels. The bias is frozen and gets none."""
        x, kernel = ctx.saved_tensors
        channels, stride, padding = len(kernel), ctx.stride, ctx.padding
        map_grad = torch.ops.aten.convolution_backward(
            grad, x, kernel, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], channels,
            [ctx.needs_input_grad[0], False, False],
        )[0]  # fmt: skip
        padded = F.pad(x, (padding,) * 4)
        kernel_grad = F.conv2d(padded, grad.transpose(0, 1), None, 1, 0, stride, channels).transpose(0, 1)
        # At stride 2 the result can have one row and column more than the kernel.
        return map_grad, kernel_grad[..., : kernel.shape[2], : kernel.shape[3]], None, None, None

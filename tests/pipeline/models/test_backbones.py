"""The layers of backbones: frozen batch norm, and EfficientNet-Lite's convolutions."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from timm.layers import Conv2dSame
from torchvision.ops import FrozenBatchNorm2d

from pipeline.config import ModelConfig
from pipeline.models.backbones.efficientnet import LiteConv, use_lite_convs, use_plain_convs
from pipeline.models.norms import FrozenBatchNorm
from pipeline.models.pretrained import resolve
from pipeline.models.registry import EMBEDDED, build_model
from tests.pipeline.models.training_step import SMALL


def test_fpn_divides_embedded_feature_maps_by_their_standard_deviation() -> None:
    model = build_model(EMBEDDED, 3, SMALL, resolve(ModelConfig(weights="embedded")).state).eval()
    coarse = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    image = F.interpolate(coarse, size=192, mode="bilinear")
    with torch.inference_mode():
        maps = model.backbone.body((image - 127 / 255) / (128 / 255))
    assert [x.shape[1:] for x in maps] == [(24, 48, 48), (48, 24, 24), (120, 12, 12), (352, 6, 6)]
    for x, std in zip(maps, model.backbone.std, strict=True):
        assert 0.4 < float(x.std()) / std < 2.5


@pytest.mark.parametrize("eps", [0.0, 1e-5])
def test_fast_frozen_batch_norm_equals_torchvisions(eps: float) -> None:
    expected = FrozenBatchNorm2d(8, eps=eps)
    for value in expected.state_dict().values():
        value.uniform_(0.5, 2)
    fast = FrozenBatchNorm.from_frozen(expected)
    x = torch.randn(2, 8, 5, 5)
    assert torch.allclose(fast(x), expected(x), atol=1e-5)
    assert not list(fast.parameters()) and list(fast.state_dict()) == list(expected.state_dict())


@pytest.mark.parametrize(("images", "height"), [(1, 10), (1, 11), (2, 10)])
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_gradients_of_a_depthwise_convolution_equal_torchs(
    side: int, stride: int, images: int, height: int
) -> None:
    conv = torch.nn.Conv2d(6, 6, side, stride, side // 2, groups=6)
    assert conv.bias is not None
    conv.bias.requires_grad_(False)
    kernel = conv.weight.detach().clone().requires_grad_()
    (lite,) = use_lite_convs(torch.nn.Sequential(conv)).children()
    assert type(lite) is LiteConv and lite.weight is conv.weight
    maps = [torch.rand(images, 6, height, 14).requires_grad_() for _ in range(2)]
    maps[1].data.copy_(maps[0].data)
    padded = F.pad(kernel, (1, 0, 1, 0)) if stride == 2 else kernel
    actual, expected = lite(maps[0]), F.conv2d(maps[1], padded, conv.bias, stride, side // 2, groups=6)
    assert torch.equal(actual, expected)
    weight = torch.rand_like(actual)
    (actual * weight).sum().backward()
    (expected * weight).sum().backward()
    for a, b in ((lite.weight.grad, kernel.grad), (maps[0].grad, maps[1].grad)):
        assert a is not None and b is not None and torch.allclose(a, b, rtol=1e-5, atol=1e-5)


def test_lite_and_plain_convolutions_equal_timms() -> None:
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    names = list(body.state_dict())
    x = torch.rand(1, 3, 96, 160)
    with torch.no_grad():
        expected = body(x)
        lite = use_lite_convs(body)(x)
        assert list(body.state_dict()) == names
        assert not any(isinstance(m, Conv2dSame) for m in body.modules())
        plain = use_plain_convs(body)(x)
        assert not any(isinstance(m, LiteConv) for m in body.modules())
    for a, b, c in zip(expected, lite, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-5) and torch.allclose(a, c, atol=1e-5)

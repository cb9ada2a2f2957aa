"""The networks: torchvision's Mask R-CNN on two backbones, and which of their parts learn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import timm
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pipeline.config import ModelConfig, TrainConfig, UserError

COCO = "maskrcnn_resnet50_fpn"
EMBEDDED = "maskrcnn_efficientnet_lite2_fpn"

COCO_CLASSES = 91
CLS_SCORE = "roi_heads.box_predictor.cls_score.weight"
"""The entry of a state dict whose first dimension is the number of classes, background included."""


class FrozenBatchNorm(FrozenBatchNorm2d):  # type: ignore[misc]
    """torchvision's FrozenBatchNorm2d, through the fused kernel: three times as fast on a CPU in bf16."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) with the fixed statistics."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def _resnet50(num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    # torchvision's maskrcnn_resnet50_fpn(weights=None) would have live BatchNorm with eps 1e-5;
    # its COCO weights want frozen ones with eps 0. Built so, whether to train or to load into.
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm, trainable_layers=5
    )
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm):
            module.eps = 0.0
    return MaskRCNN(backbone, num_classes, **options)


def _norm(channels: int) -> nn.Module:
    """GroupNorm: what starts from scratch learns faster with it (He, Girshick, Dollar 2018)."""
    return nn.GroupNorm(16, channels)


class EfficientNetFPN(nn.Module):
    """A feature pyramid over EfficientNet-Lite2, strides 4 to 64, ``out_channels`` channels each."""

    channels = (24, 48, 120, 352)
    """Of the taps at strides 4, 8, 16, 32."""
    std = (10.0, 8.5, 7.0, 2.4)
    """Of the taps, un-normalised, on photographs: without 1/std the first mask loss is 9, not 2."""

    def __init__(self, out_channels: int) -> None:
        """Build it with random weights."""
        super().__init__()
        body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4))
        self.body = pad_weights(fold_batch_norm(body))
        self.fpn = FeaturePyramidNetwork(
            list(self.channels), out_channels, LastLevelMaxPool(), norm_layer=_norm
        )
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Map (B, 3, H, W) to the levels "0" to "3" and "pool"."""
        return pyramid(self, taps(self, x))


def taps(backbone: Any, x: Tensor) -> dict[str, Tensor]:
    """What a backbone's body gives its feature pyramid for images (B, 3, H, W): all that is frozen."""
    found = backbone.body(x)
    if isinstance(backbone, EfficientNetFPN):
        found = {str(i): t / s for i, (t, s) in enumerate(zip(found, backbone.std, strict=True))}
    return dict(found)


def pyramid(backbone: Any, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rest of ``backbone(x)``, from ``taps(backbone, x)``."""
    levels: dict[str, Tensor] = backbone.fpn(OrderedDict(found))
    return levels


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


class SameConv(nn.Conv2d):
    """TensorFlow's SAME convolution at stride 2, for maps of even size: torchvision pads images to 32.

    SAME pads one pixel more behind than before. timm pads the map, which copies it: a quarter of the body's
    time on a CPU. Here the kernel gets a leading row and column of zeros, and the padding is symmetric.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, D, H / 2, W / 2)."""
        kernel = F.pad(self.weight, (1, 0, 1, 0))
        return F.conv2d(x, kernel, self.bias, self.stride, self.kernel_size[0] // 2, 1, self.groups)


def pad_weights(module: nn.Module) -> nn.Module:
    """Turn every convolution of timm's that pads its input into ``SameConv``, in place."""
    for child in module.modules():
        if isinstance(child, Conv2dSame):
            child.__class__ = SameConv
    return module


class CoarseRPNHead(RPNHead):  # type: ignore[misc]
    """An RPN head that leaves out the finest level, three quarters of its work: boxes start at stride 8.

    Masks are still pooled from stride 4.
    """

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Give logits and box deltas of all levels but the first."""
        found: tuple[list[Tensor], list[Tensor]] = super().forward(x[1:])
        return found


class CoarseAnchorGenerator(AnchorGenerator):  # type: ignore[misc]
    """The anchors that go with ``CoarseRPNHead``."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Give each image's anchors, (A, 4), over all levels but the first."""
        anchors: list[Tensor] = super().forward(image_list, feature_maps[1:])
        return anchors


def _efficientnet_lite2(num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    width, hidden, ratios = 96, 384, (0.6, 1.3, 2.8)  # ratio = height / width
    sizes = ((24, 40), (60, 90), (128, 180), (256, 360))
    return MaskRCNN(
        EfficientNetFPN(width),
        # The network wants (255 x - 127) / 128.
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
        rpn_anchor_generator=CoarseAnchorGenerator(sizes, (ratios,) * len(sizes)),
        rpn_head=CoarseRPNHead(width, 2 * len(ratios)),
        box_head=TwoMLPHead(width * 7 * 7, hidden),
        box_predictor=FastRCNNPredictor(hidden, num_classes),
        mask_head=MaskRCNNHeads(width, (width,) * 4, 1, norm_layer=_norm),
        mask_predictor=MaskRCNNPredictor(width, width, num_classes),
        # torchvision's 1000 proposals are half of an image's time on a CPU, and find no more.
        **{"rpn_pre_nms_top_n_test": 500, "rpn_post_nms_top_n_test": 300, **options},
    )


MODELS: dict[str, Callable[[int, dict[str, Any]], MaskRCNN]] = {
    COCO: _resnet50,
    EMBEDDED: _efficientnet_lite2,
}
"""Name to builder: (number of classes with background, options of MaskRCNN) -> untrained model."""


def build_model(
    name: str,
    num_classes: int,
    config: ModelConfig,
    state: Mapping[str, Tensor] | None = None,
    *,
    keep_predictors: bool = False,
    **options: Any,
) -> MaskRCNN:
    """Build a network, load ``state`` into it, and give it predictors for ``num_classes``.

    Args:
        name: a key of ``MODELS``.
        num_classes: with the background.
        state: weights of the whole network for any number of classes, or of its body alone.
        keep_predictors: the classes of ``state`` are these classes: keep what it predicts.
        options: passed on to torchvision's ``MaskRCNN``.

    Raises:
        UserError: no such model.
        RuntimeError: ``state`` does not fit.
    """
    if name not in MODELS:
        raise UserError(f"model '{name}' is unknown; known: {', '.join(MODELS)}")
    options = {
        "min_size": config.min_size,
        "max_size": config.max_size,
        "box_score_thresh": config.box_score_thresh,
        "box_detections_per_img": config.detections_per_img,
        "box_nms_thresh": config.box_nms_thresh,
        **options,
    }
    classes = len(state[CLS_SCORE]) if state and CLS_SCORE in state else num_classes
    model = MODELS[name](classes, options)
    if state is not None:
        part = model if CLS_SCORE in state else model.backbone.body
        part.load_state_dict(dict(state))
    if not keep_predictors and state is not None:
        replace_predictors(model, num_classes)
    for head in (model.rpn.head, model.roi_heads.box_predictor, model.roi_heads.mask_predictor):
        head.register_forward_hook(_in_float32)
    return model


def _in_float32(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """Let a head's outputs leave autocast: torchvision computes boxes in the type of what it is given.

    bfloat16 has 8 bits of mantissa: at pixel 300 it steps by 2, and a box of one pixel can become
    empty, which makes the box loss NaN.
    """
    if isinstance(outputs, Tensor):
        return outputs.float()
    return type(outputs)(_in_float32(module, inputs, output) for output in outputs)


def replace_predictors(model: MaskRCNN, num_classes: int) -> None:
    """Give ``model`` untrained box and mask predictors for ``num_classes`` (with background)."""
    box, mask = model.roi_heads.box_predictor, model.roi_heads.mask_predictor
    conv = mask.conv5_mask
    model.roi_heads.box_predictor = FastRCNNPredictor(box.cls_score.in_features, num_classes)
    model.roi_heads.mask_predictor = MaskRCNNPredictor(conv.in_channels, conv.out_channels, num_classes)


_RESNET_STAGES = {"conv1": "stage1", **{f"layer{i}": f"stage{i}" for i in (1, 2, 3, 4)}}
_EFFICIENTNET_STAGES = {
    "conv_stem": "stage1",
    **{f"blocks.{i}": f"stage{s}" for i, s in enumerate((1, 1, 2, 3, 3, 4, 4))},
}


def part_of(name: str) -> str:
    """Name the part ("heads", "fpn", "stage4" ... "stage1") a parameter belongs to."""
    if name.startswith(("rpn.", "roi_heads.")):
        return "heads"
    if name.startswith("backbone.fpn."):
        return "fpn"
    inner = name.removeprefix("backbone.body.")
    for prefix, stage in (_RESNET_STAGES | _EFFICIENTNET_STAGES).items():
        if inner.startswith(prefix + "."):
            return stage
    raise ValueError(f"parameter '{name}' belongs to no part")


def set_trainable(model: nn.Module, parts: tuple[str, ...]) -> None:
    """Let the parameters of ``parts`` learn and freeze all others.

    The body's biases never learn: they are what is left of its frozen BatchNorm.
    """
    for name, parameter in model.named_parameters():
        frozen = name.startswith("backbone.body.") and name.endswith(".bias")
        parameter.requires_grad_(part_of(name) in parts and not frozen)


def trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the names and parameters that learn."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def pretrained(name: str, start: str) -> bool:
    """Does a parameter start from learnt weights, given the kind of start ("coco", "embedded", ...)?"""
    if "_predictor." in name:
        return False
    return start in ("coco", "checkpoint") or (start == "embedded" and part_of(name).startswith("stage"))


def parameter_groups(model: nn.Module, config: TrainConfig, start: str) -> list[dict[str, Any]]:
    """Group what learns for an optimizer: pretrained parts at a lower rate, no decay on norms and biases.

    Args:
        start: the kind of start, which says what is pretrained.

    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and ``factor``, the share of ``config.lr``.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trainable(model):
        factor = config.pretrained_lr_factor if pretrained(name, start) else 1.0
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": config.lr * factor, "weight_decay": decay, "factor": factor}
        for (factor, decay), parameters in groups.items()
    ]


def training_options(config: TrainConfig) -> dict[str, Any]:
    """Options of torchvision's ``MaskRCNN`` that matter only while it learns."""
    return {
        "box_batch_size_per_image": config.box_batch_size_per_image,
        "rpn_pre_nms_top_n_train": 1000,
        "rpn_post_nms_top_n_train": 500,
    }

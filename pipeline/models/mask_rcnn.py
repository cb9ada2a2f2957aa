"""The networks: torchvision's Mask R-CNN on several backbones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from pipeline.config import ModelConfig, TrainConfig, UserError
from pipeline.models.backbones import (
    RESNET_ENDS,
    FrozenBatchNorm,
    TimmFPN,
    lite2_body,
    timm_body,
)
from pipeline.models.heads import CELLS, CoarseAnchorGenerator, CoarseRPNHead, WholeMaskHead
from pipeline.models.roi_align import RoIPool
from pipeline.models.roi_heads import RefiningRoIHeads
from pipeline.models.transform import Transform

COCO = "maskrcnn_resnet50_fpn"
COCO_V2 = "maskrcnn_resnet50_fpn_v2"
EMBEDDED = "maskrcnn_efficientnet_lite2_fpn"
TIMM = "timm/"

CLS_SCORE = "roi_heads.box_predictor.cls_score.weight"
"""The entry of a state dict whose first dimension is the number of classes, background included."""
PIXELS = "roi_heads.pixels.weight"
"""One that light heads have."""


def _resnet50(name: str, num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    # torchvision's maskrcnn_resnet50_fpn(weights=None) would have live BatchNorm with eps 1e-5;
    # its COCO weights want frozen ones with eps 0. Built so, whether to train or to load into.
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm, trainable_layers=5
    )
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm):
            module.eps = 0.0
    return MaskRCNN(backbone, num_classes, **options)


def _resnet50_v2(name: str, num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    # torchvision's, but every BatchNorm is frozen: in the heads too, whose statistics of a few images
    # would be worse than COCO's, and other ones in each process.
    backbone = BackboneWithFPN(
        resnet50(weights=None, norm_layer=FrozenBatchNorm),
        {layer: str(i) for i, layer in enumerate(RESNET_ENDS)},
        [256, 512, 1024, 2048],
        256,
        norm_layer=FrozenBatchNorm,
    )
    return MaskRCNN(
        backbone,
        num_classes,
        rpn_head=RPNHead(256, 3, conv_depth=2),
        box_head=FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=FrozenBatchNorm),
        mask_head=MaskRCNNHeads(256, [256] * 4, 1, norm_layer=FrozenBatchNorm),
        **options,
    )


def _efficientnet_lite2(name: str, num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    # std of the taps, un-normalised, on photographs: without 1/std the first mask loss is 9, not 2.
    backbone = TimmFPN(lite2_body(), 96, std=(10.0, 8.5, 7.0, 2.4), folded=True)
    # The network wants (255 x - 127) / 128.
    return _light(
        backbone, num_classes, {"image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3, **options}
    )


def _timm(name: str, num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    name = name.removeprefix(TIMM)
    backbone = TimmFPN(timm_body(name), 128)
    seen = timm.get_pretrained_cfg(name)
    norm = {"image_mean": list(seen.mean), "image_std": list(seen.std)} if seen else {}
    return _light(backbone, num_classes, {**norm, **options})


def _light(backbone: TimmFPN, num_classes: int, options: dict[str, Any]) -> MaskRCNN:
    """Light heads for the people and trucks of a warehouse, which learn from nothing."""
    width = backbone.out_channels
    hidden, ratios = 4 * width, (0.6, 1.3, 2.8)  # ratio = height / width
    sizes = ((24, 40), (60, 90), (128, 180), (256, 360))
    model = MaskRCNN(
        backbone,
        rpn_anchor_generator=CoarseAnchorGenerator(sizes, (ratios,) * len(sizes)),
        rpn_head=CoarseRPNHead(width, 2 * len(ratios)),
        box_head=TwoMLPHead(width * 7 * 7, hidden),
        box_predictor=FastRCNNPredictor(hidden, num_classes),
        mask_head=WholeMaskHead(width),
        mask_predictor=MaskRCNNPredictor(width, width, num_classes),
        # torchvision's 1000 proposals are half of an image's time on a CPU, and find no more.
        **{"rpn_pre_nms_top_n_test": 500, "rpn_post_nms_top_n_test": 300, **options},
    )
    # A box that holds a truck's body is moved to its tiller only if that is seen, and a mask can mend what
    # its box cut off. Masks come from a level finer than usual: tillers are thin.
    heads, levels = model.roi_heads, ["0", "1", "2", "3"]
    heads.box_roi_pool = pool(levels, 7, BOX_MARGIN)
    heads.mask_roi_pool = pool(levels, CELLS, MASK_MARGIN, canonical_scale=448)
    heads.pixels = pixel_layer(width, num_classes)
    return model


def pixel_layer(width: int, num_classes: int) -> nn.Conv2d:
    """Says of each pixel of the finest map how likely each class is; at first: little."""
    layer = nn.Conv2d(width, num_classes - 1, 1)
    nn.init.constant_(layer.bias, -4.0)  # type: ignore[arg-type]
    return layer


BOX_MARGIN, MASK_MARGIN = 0.25, 0.15
"""What the light heads see beyond each side of a box, as a share of it."""


def pool(levels: list[str], cells: int, margin: float, canonical_scale: int = 224) -> RoIPool:
    """RoIAlign that chooses a level by the box itself, and sees more than it."""
    scale = round(canonical_scale * (1 + 2 * margin))
    return RoIPool(MultiScaleRoIAlign(levels, cells, 2, canonical_scale=scale), margin)


MODELS: dict[str, Callable[[str, int, dict[str, Any]], MaskRCNN]] = {
    COCO: _resnet50,
    COCO_V2: _resnet50_v2,
    EMBEDDED: _efficientnet_lite2,
    TIMM: _timm,
}
"""Name to builder: (name, number of classes with background, options of MaskRCNN) -> untrained model.
A name that ends in "/" is followed by what its builder makes of it: "timm/resnet18"."""


def builder_of(name: str) -> Callable[[int, dict[str, Any]], MaskRCNN]:
    """Find the builder of a model.

    Raises:
        UserError: no such model.
    """
    family, slash, _ = name.partition("/")
    if family + slash not in MODELS:
        known = ", ".join(f"{k}NAME" if k.endswith("/") else k for k in MODELS)
        raise UserError(f"model '{name}' is unknown; known: auto, {known}")
    return partial(MODELS[family + slash], name)


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
        name: a key of ``MODELS``, or one of a family there.
        num_classes: with the background.
        state: weights of the whole network for any number of classes, or of its body alone.
        keep_predictors: the classes of ``state`` are these classes: keep what it predicts.
        options: passed on to torchvision's ``MaskRCNN``.

    Raises:
        UserError: no such model.
        RuntimeError: ``state`` does not fit.
    """
    build = builder_of(name)
    options = {
        "min_size": config.min_size,
        "max_size": config.max_size,
        "box_score_thresh": config.box_score_thresh,
        "box_detections_per_img": config.detections_per_img,
        "box_nms_thresh": config.box_nms_thresh,
        **options,
    }
    classes = len(state[CLS_SCORE]) if state and CLS_SCORE in state else num_classes
    model = build(classes, options)
    heads = model.roi_heads
    heads.__class__, heads.rounds = RefiningRoIHeads, config.box_rounds
    for pools in ("box_roi_pool", "mask_roi_pool"):
        if isinstance(plain := getattr(heads, pools), MultiScaleRoIAlign):
            setattr(heads, pools, RoIPool(plain))
    model.mirror = config.mirror
    model.transform.__class__, model.transform.mask_margin = Transform, heads.mask_roi_pool.margin
    if state and CLS_SCORE in state and PIXELS not in state and hasattr(heads, "pixels"):
        del heads.pixels  # of a checkpoint from before there were any
    if state is not None:
        part = model if CLS_SCORE in state else model.backbone.body
        part.load_state_dict(dict(state))
    if not keep_predictors and state is not None:
        replace_predictors(model, num_classes)
        if CLS_SCORE in state and hasattr(heads, "pixels"):  # with a body alone, it is untrained already
            heads.pixels = pixel_layer(model.backbone.out_channels, num_classes)
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


def plain_roi_heads(model: MaskRCNN) -> MaskRCNN:
    """Give ``model`` torchvision's own second stage, in place: one round, its loss, no margins, no mirror."""
    heads = model.roi_heads
    heads.__class__, model.transform.mask_margin, model.mirror = RoIHeads, 0.0, False
    for name in ("box_roi_pool", "mask_roi_pool"):
        old = getattr(heads, name).pool
        scale = round(old.canonical_scale / (1 + 2 * getattr(heads, name).margin))
        setattr(
            heads,
            name,
            MultiScaleRoIAlign(old.featmap_names, old.output_size, old.sampling_ratio, canonical_scale=scale),
        )
    return model


def training_options(config: TrainConfig) -> dict[str, Any]:
    """Options of torchvision's ``MaskRCNN`` that matter only while it learns."""
    return {
        "box_batch_size_per_image": config.box_batch_size_per_image,
        "rpn_pre_nms_top_n_train": 500,
        "rpn_post_nms_top_n_train": 500,
    }

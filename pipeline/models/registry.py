"""The registry of models: build a model by its name, with or without weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead

from pipeline.config import ModelConfig, TrainConfig, UserError
from pipeline.models.backbones.efficientnet import lite2_body
from pipeline.models.backbones.resnet import ResNetFPN
from pipeline.models.backbones.timm_fpn import TimmFPN, timm_body
from pipeline.models.heads import MASK_CELLS, FusedMaskHead
from pipeline.models.mask_rcnn import Heads, MaskRCNNOptions, TranspaletteMaskRCNN, segmentation_branch
from pipeline.models.norms import FrozenBatchNorm
from pipeline.models.roi.align import RoIAlign
from pipeline.models.rpn import (
    COCO_ANCHOR_RATIOS,
    COCO_ANCHOR_SIZES,
    LIGHT_ANCHOR_RATIOS,
    LIGHT_ANCHOR_SIZES,
    CoarseAnchorGenerator,
    CoarseRPNHead,
)

COCO = "maskrcnn_resnet50_fpn"
COCO_V2 = "maskrcnn_resnet50_fpn_v2"
EMBEDDED = "maskrcnn_efficientnet_lite2_fpn"
TIMM = "timm/"

CLS_SCORE = "roi_heads.box_predictor.cls_score.weight"
"""The entry of a state dict whose first dimension is the number of classes, background and auxiliary classes
included."""
MASK_LOGITS = "roi_heads.mask_predictor.mask_fcn_logits.weight"
"""The entry of a state dict whose first dimension is the number of classes without auxiliary ones."""
PIXELS = "roi_heads.pixels.weight"
"""The entry of a state dict that models with a segmentation branch have."""

BOX_CELLS = 7
"""Side of a pooled region in cells, for boxes (as in torchvision)."""
COCO_WIDTH, COCO_HIDDEN = 256, 1024
"""Channels of the pyramid and features of the box head, in torchvision's COCO models."""

LITE2_WIDTH, TIMM_WIDTH = 96, 128
"""Channels of the pyramid, in the light models."""
LITE2_STD = (10.0, 8.5, 7.0, 2.4)
"""Standard deviations of EfficientNet-Lite2's feature maps on photographs. If the maps are not divided by
them, the first mask loss is 9 instead of 2."""
LITE2_MEAN_STD = {"image_mean": (127 / 255,) * 3, "image_std": (128 / 255,) * 3}
"""EfficientNet-Lite2 was trained on (255 x - 127) / 128, with RGB x in 0..1."""
TRAINING_PROPOSALS = 500
"""Proposals per level and per image in training: fewer than torchvision's 2000, because only
``box_batch_size_per_image`` of them are sampled."""
LIGHT_PROPOSALS = {"rpn_pre_nms_top_n_test": 500, "rpn_post_nms_top_n_test": 300}
"""Numbers of proposals in prediction: torchvision's 1000 take half of an image's time on a CPU and give no
more detections."""
BOX_MARGIN = 0.25
"""Margin around a proposal that is pooled for the light models' box head, as a share of the box's side: the
head can extend a box from a truck's body to its tiller only if the region contains the tiller."""
MASK_MARGIN = 0.15
"""The same for the mask head, so that a mask can cover parts outside its box."""
MASK_CANONICAL_SIZE = 448
"""Canonical box size of the light models' mask pooling (see ``RoIAlign``). Masks are pooled from one level
finer than in torchvision, because tillers are thin."""

Builder = Callable[[str, int, Mapping[str, Any]], TranspaletteMaskRCNN]
"""Builds a model with random weights from its name, the number of classes with background and without
auxiliary classes, and fields of ``MaskRCNNOptions``. The order in which it builds modules must not change,
because each draws random numbers."""


def _resnet50(name: str, num_classes: int, options: Mapping[str, Any]) -> TranspaletteMaskRCNN:
    # torchvision trained this model with frozen batch norm of eps 0, but its
    # maskrcnn_resnet50_fpn(weights=None) has trainable batch norm of eps 1e-5.
    backbone = ResNetFPN()
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm):
            module.eps = 0.0
    mask_head = MaskRCNNHeads(COCO_WIDTH, [COCO_WIDTH] * 4, 1)
    mask_predictor = MaskRCNNPredictor(COCO_WIDTH, COCO_WIDTH, num_classes)
    anchors = _coco_anchors()
    rpn_head = RPNHead(COCO_WIDTH, anchors.num_anchors_per_location()[0])
    box_head = TwoMLPHead(COCO_WIDTH * BOX_CELLS**2, COCO_HIDDEN)
    box_predictor = FastRCNNPredictor(COCO_HIDDEN, _box_classes(num_classes, options))
    heads = Heads(
        anchors, rpn_head, RoIAlign(BOX_CELLS), box_head, box_predictor,
        RoIAlign(MASK_CELLS), mask_head, mask_predictor,
    )  # fmt: skip
    return TranspaletteMaskRCNN(backbone, heads, MaskRCNNOptions(**options))


def _resnet50_v2(name: str, num_classes: int, options: Mapping[str, Any]) -> TranspaletteMaskRCNN:
    # As torchvision builds it, but with every batch norm frozen, also in the heads: their statistics over a
    # few images would be worse than COCO's, and would differ between processes.
    backbone = ResNetFPN(FrozenBatchNorm)
    anchors = _coco_anchors()
    rpn_head = RPNHead(COCO_WIDTH, anchors.num_anchors_per_location()[0], conv_depth=2)
    box_head = FastRCNNConvFCHead(
        (COCO_WIDTH, BOX_CELLS, BOX_CELLS), [COCO_WIDTH] * 4, [COCO_HIDDEN], norm_layer=FrozenBatchNorm
    )
    mask_head = MaskRCNNHeads(COCO_WIDTH, [COCO_WIDTH] * 4, 1, norm_layer=FrozenBatchNorm)
    mask_predictor = MaskRCNNPredictor(COCO_WIDTH, COCO_WIDTH, num_classes)
    box_predictor = FastRCNNPredictor(COCO_HIDDEN, _box_classes(num_classes, options))
    heads = Heads(
        anchors, rpn_head, RoIAlign(BOX_CELLS), box_head, box_predictor,
        RoIAlign(MASK_CELLS), mask_head, mask_predictor,
    )  # fmt: skip
    return TranspaletteMaskRCNN(backbone, heads, MaskRCNNOptions(**options))


def _coco_anchors() -> AnchorGenerator:
    return AnchorGenerator(COCO_ANCHOR_SIZES, (COCO_ANCHOR_RATIOS,) * len(COCO_ANCHOR_SIZES))


def _efficientnet_lite2(name: str, num_classes: int, options: Mapping[str, Any]) -> TranspaletteMaskRCNN:
    backbone = TimmFPN(lite2_body(), LITE2_WIDTH, std=LITE2_STD, has_folded_batch_norm=True)
    return _light_model(backbone, num_classes, {**LITE2_MEAN_STD, **options})


def _timm(name: str, num_classes: int, options: Mapping[str, Any]) -> TranspaletteMaskRCNN:
    name = name.removeprefix(TIMM)
    backbone = TimmFPN(timm_body(name), TIMM_WIDTH)
    trained = timm.get_pretrained_cfg(name)
    mean_std = {"image_mean": tuple(trained.mean), "image_std": tuple(trained.std)} if trained else {}
    return _light_model(backbone, num_classes, {**mean_std, **options})


def _light_model(backbone: TimmFPN, num_classes: int, options: Mapping[str, Any]) -> TranspaletteMaskRCNN:
    """Build a model with small heads, whose training starts from random weights."""
    width = backbone.out_channels
    hidden = 4 * width
    anchors = CoarseAnchorGenerator(LIGHT_ANCHOR_SIZES, (LIGHT_ANCHOR_RATIOS,) * len(LIGHT_ANCHOR_SIZES))
    rpn_head = CoarseRPNHead(width, anchors.num_anchors_per_location()[0])
    box_classes = _box_classes(num_classes, options)
    box_head, box_predictor = TwoMLPHead(width * BOX_CELLS**2, hidden), FastRCNNPredictor(hidden, box_classes)
    mask_head, mask_predictor = FusedMaskHead(width), MaskRCNNPredictor(width, width, num_classes)
    heads = Heads(
        anchors, rpn_head, RoIAlign(BOX_CELLS, BOX_MARGIN), box_head, box_predictor,
        RoIAlign(MASK_CELLS, MASK_MARGIN, MASK_CANONICAL_SIZE), mask_head, mask_predictor,
        segmentation_branch(width, box_classes),
    )  # fmt: skip
    return TranspaletteMaskRCNN(backbone, heads, MaskRCNNOptions(**{**LIGHT_PROPOSALS, **options}))


def _box_classes(num_classes: int, options: Mapping[str, Any]) -> int:
    """Return the number of classes of the box predictor: with the background and the auxiliary classes."""
    return num_classes + int(options.get("auxiliary", 0))


MODELS: dict[str, Builder] = {
    COCO: _resnet50,
    COCO_V2: _resnet50_v2,
    EMBEDDED: _efficientnet_lite2,
    TIMM: _timm,
}
"""Builders by model name. A key that ends in "/" is a family, whose models are named like "timm/resnet18"."""


def builder_of(name: str) -> Callable[[int, Mapping[str, Any]], TranspaletteMaskRCNN]:
    """Find the builder of a model.

    Raises:
        UserError: no such model is registered.
    """
    family, slash, _ = name.partition("/")
    if family + slash not in MODELS:
        names = ", ".join(f"{key}NAME" if key.endswith("/") else key for key in MODELS)
        raise UserError(f"model '{name}' is unknown; known: auto, {names}")
    return partial(MODELS[family + slash], name)


def build_model(
    name: str,
    num_classes: int,
    config: ModelConfig,
    state: Mapping[str, Tensor] | None = None,
    *,
    keep_predictors: bool = False,
    **options: Any,
) -> TranspaletteMaskRCNN:
    """Build a model, load ``state`` into it, and give it predictors for ``num_classes``.

    Args:
        name: a key of ``MODELS``, or the name of a model of a family in ``MODELS``.
        num_classes: number of classes, with the background and without ``config``'s auxiliary classes.
        config: the profile's [model] table.
        state: weights of the complete model for any number of classes, or of its backbone's body alone.
        keep_predictors: use the predictors of ``state``, which must be for the same classes.
        options: fields of ``MaskRCNNOptions``, in place of those that ``config`` sets.

    Raises:
        UserError: no such model is registered.
        RuntimeError: ``state`` does not fit the model.
    """
    options = {
        "min_size": config.min_size,
        "max_size": config.max_size,
        "box_score_thresh": config.box_score_thresh,
        "box_detections_per_img": config.detections_per_img,
        "box_nms_thresh": config.box_nms_thresh,
        "box_stages": config.box_rounds,
        "auxiliary": len(config.auxiliary),
        "mirror": config.mirror,
        **options,
    }
    build = builder_of(name)
    if state is None:
        return build(num_classes, options)
    is_complete = CLS_SCORE in state
    if is_complete:
        stored = len(state[MASK_LOGITS])
        model = build(stored, {**options, "auxiliary": len(state[CLS_SCORE]) - stored})
    else:
        model = build(num_classes, options)
    if is_complete and PIXELS not in state:
        model.roi_heads.pixels = None  # the checkpoint is older than the segmentation branch
    (model if is_complete else model.backbone.body).load_state_dict(dict(state))
    if not keep_predictors:
        # With a body alone the segmentation branch is untrained already.
        model.replace_predictors(num_classes, len(config.auxiliary), replace_pixels=is_complete)
    return model


def training_options(config: TrainConfig) -> dict[str, Any]:
    """Return the fields of ``MaskRCNNOptions`` that are used only in training."""
    return {
        "box_batch_size_per_image": config.box_batch_size_per_image,
        "rpn_pre_nms_top_n_train": TRAINING_PROPOSALS,
        "rpn_post_nms_top_n_train": TRAINING_PROPOSALS,
    }

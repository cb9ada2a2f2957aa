"""The Mask R-CNN of this project: torchvision's, with its own RPN, region heads, RoIAlign and transform."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from pipeline.models.backbones.staged import StagedBackbone
from pipeline.models.roi.align import RoIAlign
from pipeline.models.roi.heads import CascadeRoIHeads
from pipeline.models.rpn import IgnoringRPN
from pipeline.models.transform import DetectionTransform

INITIAL_PIXEL_LOGIT = -4.0
"""Bias of the untrained segmentation branch: probability 0.02 of each class, because most pixels show
none."""
LOSSES = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_dice", "loss_objectness", "loss_rpn_box_reg")
"""The losses that every model returns in training; the sum of all losses is minimised."""
SEGMENTATION_LOSSES = ("loss_pixels", "loss_regions")
"""The losses that models with a segmentation branch return in addition."""


@dataclass(frozen=True)
class MaskRCNNOptions:
    """Sizes, thresholds and numbers of boxes. The defaults are torchvision's."""

    min_size: int = 800
    """Shorter side of a resized image in pixels, as far as ``max_size`` allows."""
    max_size: int = 1333
    """Largest longer side of a resized image in pixels."""
    image_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Mean that is subtracted from RGB in 0..1; default: ImageNet's."""
    image_std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Standard deviation by which RGB is then divided; default: ImageNet's."""
    rpn_pre_nms_top_n_train: int = 2000
    """Proposals per level before non-maximum suppression, in training."""
    rpn_pre_nms_top_n_test: int = 1000
    """The same in prediction."""
    rpn_post_nms_top_n_train: int = 2000
    """Proposals per image after non-maximum suppression, in training."""
    rpn_post_nms_top_n_test: int = 1000
    """The same in prediction."""
    box_batch_size_per_image: int = 512
    """Proposals per image that are sampled for the box losses."""
    box_score_thresh: float = 0.05
    """Lowest score of a detection."""
    box_nms_thresh: float = 0.5
    """IoU of two boxes of a class above which the box with the lower score is dropped."""
    box_detections_per_img: int = 100
    """Largest number of detections per image."""
    box_stages: int = 1
    """How often the box head refines a box; each stage pools from the refined boxes of the stage before."""
    auxiliary: int = 0
    """Number of auxiliary classes: the last labels, which are learned and left out of detections."""
    mirror: bool = False
    """Whether predictions are means over the image and its mirror image."""


@dataclass(frozen=True)
class Heads:
    """The modules of a Mask R-CNN behind its backbone."""

    anchor_generator: AnchorGenerator
    rpn_head: nn.Module
    box_roi_pool: RoIAlign
    box_head: nn.Module
    box_predictor: FastRCNNPredictor
    mask_roi_pool: RoIAlign
    mask_head: nn.Module
    mask_predictor: MaskRCNNPredictor
    pixels: nn.Conv2d | None = None
    """The segmentation branch."""


class TranspaletteMaskRCNN(MaskRCNN):  # type: ignore[misc]
    """A Mask R-CNN with cascaded boxes, ignore regions, a fast RoIAlign on CPUs, and a segmentation branch.

    It takes and returns what torchvision's MaskRCNN does, but each target also has ``ignore`` (K, 4) xyxy:
    regions in which nothing counts as background.
    """

    def __init__(self, backbone: StagedBackbone, heads: Heads, options: MaskRCNNOptions) -> None:
        """Combine a backbone and heads."""
        rpn = IgnoringRPN(
            heads.anchor_generator,
            heads.rpn_head,
            {"training": options.rpn_pre_nms_top_n_train, "testing": options.rpn_pre_nms_top_n_test},
            {"training": options.rpn_post_nms_top_n_train, "testing": options.rpn_post_nms_top_n_test},
        )
        roi_heads = CascadeRoIHeads(
            box_roi_pool=heads.box_roi_pool,
            box_head=heads.box_head,
            box_predictor=heads.box_predictor,
            mask_roi_pool=heads.mask_roi_pool,
            mask_head=heads.mask_head,
            mask_predictor=heads.mask_predictor,
            pixels=heads.pixels,
            stages=options.box_stages,
            auxiliary=options.auxiliary,
            batch_size_per_image=options.box_batch_size_per_image,
            score_thresh=options.box_score_thresh,
            nms_thresh=options.box_nms_thresh,
            detections_per_img=options.box_detections_per_img,
        )
        transform = DetectionTransform(
            options.min_size,
            options.max_size,
            options.image_mean,
            options.image_std,
            heads.mask_roi_pool.margin,
        )
        # MaskRCNN's own constructor would build torchvision's RPN, heads and transform instead of these.
        GeneralizedRCNN.__init__(self, backbone, rpn, roi_heads, transform)
        self.options = options

    @property
    def mirror(self) -> bool:
        """Whether predictions are means over the image and its mirror image."""
        return self.options.mirror

    @property
    def mask_margin(self) -> float:
        """Width that a mask adds at each side of its box, as a share of the box's side."""
        margin: float = self.roi_heads.mask_roi_pool.margin
        return margin

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The names of the losses that the model returns in training."""
        return LOSSES + (SEGMENTATION_LOSSES if self.roi_heads.pixels is not None else ())

    def replace_predictors(
        self, num_classes: int, auxiliary: int = 0, *, replace_pixels: bool = True
    ) -> None:
        """Give the model untrained predictors.

        Args:
            num_classes: number of classes, with the background and without auxiliary classes, which the
                mask predictor does not have.
            auxiliary: number of auxiliary classes.
            replace_pixels: replace the segmentation branch, too, if the model has it.
        """
        heads, box_classes = self.roi_heads, num_classes + auxiliary
        self.options = replace(self.options, auxiliary=auxiliary)
        heads.auxiliary = auxiliary
        features, conv = heads.box_predictor.cls_score.in_features, heads.mask_predictor.conv5_mask
        heads.box_predictor = FastRCNNPredictor(features, box_classes)
        heads.mask_predictor = MaskRCNNPredictor(conv.in_channels, conv.out_channels, num_classes)
        if replace_pixels and heads.pixels is not None:
            heads.pixels = segmentation_branch(self.backbone.out_channels, box_classes)

    def to_torchvision(self) -> MaskRCNN:
        """Build torchvision's own MaskRCNN on the same backbone and heads, which it shares with this model.

        It has one box stage, no margins, no mirror image, no segmentation branch, and torchvision's losses.
        """
        options, heads = self.options, self.roi_heads
        plain = MaskRCNN(
            self.backbone,
            min_size=options.min_size,
            max_size=options.max_size,
            image_mean=list(options.image_mean),
            image_std=list(options.image_std),
            rpn_anchor_generator=self.rpn.anchor_generator,
            rpn_head=self.rpn.head,
            rpn_pre_nms_top_n_train=options.rpn_pre_nms_top_n_train,
            rpn_pre_nms_top_n_test=options.rpn_pre_nms_top_n_test,
            rpn_post_nms_top_n_train=options.rpn_post_nms_top_n_train,
            rpn_post_nms_top_n_test=options.rpn_post_nms_top_n_test,
            box_roi_pool=heads.box_roi_pool.without_margin(),
            box_head=heads.box_head,
            box_predictor=heads.box_predictor,
            box_score_thresh=options.box_score_thresh,
            box_nms_thresh=options.box_nms_thresh,
            box_detections_per_img=options.box_detections_per_img,
            box_batch_size_per_image=options.box_batch_size_per_image,
            mask_roi_pool=heads.mask_roi_pool.without_margin(),
            mask_head=heads.mask_head,
            mask_predictor=heads.mask_predictor,
        )
        return plain.train(self.training)


def segmentation_branch(in_channels: int, num_classes: int) -> nn.Conv2d:
    """Build the layer that predicts each class of each pixel; at first it predicts low probabilities.

    Args:
        in_channels: channels of the pyramid's finest level.
        num_classes: number of classes, with the background, which gets no channel.
    """
    layer = nn.Conv2d(in_channels, num_classes - 1, 1)
    nn.init.constant_(layer.bias, INITIAL_PIXEL_LOGIT)  # type: ignore[arg-type]
    return layer

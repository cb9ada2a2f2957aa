"""The region heads of Mask R-CNN: a cascade of box refinements, then masks.

A proposal that covers a truck's body but not its tiller needs several refinements. So boxes go through the
same box head several times, as in Cascade R-CNN (Cai and Vasconcelos 2018) but with shared weights, and
scores are means over the stages. With one stage the result is torchvision's.

If the levels of the mirrored image are given too, the heads run on both, and class logits, box offsets and
mask logits are averaged.

Auxiliary classes have the last labels. Boxes of such objects are trained, masks are not. In prediction their
probability counts as background, so a detection never has such a label.

In training, proposals in ignore regions are left out. Light models also train a segmentation branch, a layer
on the finest level that predicts the classes of each pixel. Regions train the pyramid on a few objects; the
branch trains it on the complete image. Prediction does not use the branch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name that PyTorch users expect)
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference, project_masks_on_boxes
from torchvision.ops.boxes import clip_boxes_to_image

from pipeline.models.losses import background_losses, box_losses, mask_losses, segmentation_losses
from pipeline.models.roi.align import RoIAlign, enlarge_boxes
from pipeline.models.roi.box_outputs import (
    Shapes,
    accept_auxiliary_as_background,
    auxiliary_as_background,
    mirror_boxes,
)
from pipeline.models.roi.sampling import POSITIVE_FRACTION, sample_indices, sample_proposals
from pipeline.models.rpn import in_ignore_region
from pipeline.models.samples import Target

Levels = dict[str, Tensor]
"""The pyramid's levels, (B, C, h, w) each."""
Detections = list[dict[str, Tensor]]
"""For each image ``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,) and ``masks`` (N, 1, M, M)."""

# torchvision's values for Mask R-CNN (He et al. 2017).
FOREGROUND_IOU = BACKGROUND_IOU = 0.5
"""IoU with a ground-truth box from which a proposal counts as an object, and below which as background."""

MAX_TRAINED_MASKS = 8
"""Regions per image whose masks are trained; twice as many did not improve AP."""
MIN_BOX_SIDE = 1
"""Shortest side in pixels of a box that is used in the next stage in training."""
MIN_PROBABILITY = 1e-8
"""Lower bound of a mean probability, so that its logarithm is finite."""


class CascadeRoIHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's RoIHeads with several box stages, mirrored images, ignore regions and a Dice loss."""

    def __init__(
        self,
        *,
        box_roi_pool: RoIAlign,
        box_head: nn.Module,
        box_predictor: nn.Module,
        mask_roi_pool: RoIAlign,
        mask_head: nn.Module,
        mask_predictor: nn.Module,
        pixels: nn.Conv2d | None,
        stages: int,
        auxiliary: int = 0,
        batch_size_per_image: int,
        score_thresh: float,
        nms_thresh: float,
        detections_per_img: int,
    ) -> None:
        """Combine the heads.

        Args:
            box_roi_pool: pools regions for the box head.
            box_head: maps pooled regions to features (P, F).
            box_predictor: maps features to logits (P, K) and box offsets (P, 4 K).
            mask_roi_pool: pools regions for the mask head.
            mask_head: maps pooled regions (N, C, S, S) to feature maps.
            mask_predictor: maps feature maps to mask logits (N, K, M, M).
            pixels: the segmentation branch, or None.
            stages: how often the box head refines the boxes.
            auxiliary: number of auxiliary classes, the last labels.
            batch_size_per_image: proposals that are sampled in each image for training.
            score_thresh: lowest score of a detection.
            nms_thresh: IoU of two boxes of a class above which the box with the lower score is dropped.
            detections_per_img: largest number of detections per image.
        """
        super().__init__(
            box_roi_pool, box_head, box_predictor, FOREGROUND_IOU, BACKGROUND_IOU, batch_size_per_image,
            POSITIVE_FRACTION, None, score_thresh, nms_thresh, detections_per_img,
            mask_roi_pool, mask_head, mask_predictor,
        )  # fmt: skip
        self.stages = stages
        self.auxiliary = auxiliary
        self.batch_size_per_image = batch_size_per_image
        self.pixels = pixels
        self.background_losses = torch.zeros(0)
        """(B,), of the last training step: each image's loss on background, for hard-example mining."""

    def forward(
        self,
        features: Levels,
        proposals: list[Tensor],
        image_shapes: Shapes,
        targets: list[Target] | None = None,
        mirrored: Levels | None = None,
    ) -> tuple[Detections, dict[str, Tensor]]:
        """Return detections, or with ``targets`` the losses.

        Args:
            features: the pyramid's levels.
            proposals: (P_i, 4) xyxy, for each image.
            image_shapes: (H, W) of the resized images.
            targets: targets of the resized images; None: predict.
            mirrored: the levels of the mirrored images, padded like the images; not used in training.

        Returns:
            Detections and no losses, or no detections and the losses. Masks are probabilities on a grid over
            each box, enlarged by ``mask_roi_pool.margin``.
        """
        if targets is not None:
            return [], self._compute_losses(features, proposals, image_shapes, targets)
        logits, offsets, boxes = self._run_stages(features, mirrored, proposals, image_shapes)
        boxes, scores, labels = self.postprocess_detections(logits, offsets, boxes, image_shapes)
        mask_logits = self._mask_logits(features, boxes, image_shapes)
        if mirrored is not None:
            mirrored_logits = self._mask_logits(mirrored, mirror_boxes(boxes, image_shapes), image_shapes)
            mask_logits = (mask_logits + mirrored_logits.flip(3)) / 2
        masks = maskrcnn_inference(mask_logits, labels)
        detections = [
            {"boxes": b, "labels": n, "scores": s, "masks": m}
            for b, n, s, m in zip(boxes, labels, scores, masks, strict=True)
        ]
        return detections, {}

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Sample proposals as torchvision does, without those in ignore regions.

        torchvision appends the ground-truth boxes afterwards, so a labelled object inside an ignore region is
        still trained.
        """
        outside = [p[~in_ignore_region(p, t["ignore"])] for p, t in zip(proposals, targets, strict=True)]
        samples: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
        samples = super().select_training_samples(outside, targets)
        return samples

    def subsample(self, labels: list[Tensor]) -> list[Tensor]:
        """Return the indices of the sampled proposals of each image, from their labels (P_i,)."""
        return [sample_proposals(label, self.batch_size_per_image, self._classes) for label in labels]

    @property
    def _classes(self) -> int:
        """The number of classes, with the background and without auxiliary classes."""
        return int(self.box_predictor.cls_score.out_features) - self.auxiliary

    def _run_stages(
        self, features: Levels, mirrored: Levels | None, boxes: list[Tensor], image_shapes: Shapes
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run the box stages; return mean logits (P, K), and the last stage's offsets (P, 4 K) and boxes."""
        probabilities: list[Tensor] = []
        logits, offsets = self._mean_box_outputs(features, mirrored, boxes, image_shapes)
        for _ in range(1, self.stages):
            probabilities.append(F.softmax(logits, -1))
            boxes = self._move_boxes(boxes, offsets, logits[:, 1:].argmax(1) + 1, image_shapes)
            logits, offsets = self._mean_box_outputs(features, mirrored, boxes, image_shapes)
        if self.stages > 1:
            probabilities.append(F.softmax(logits, -1))
            logits = torch.stack(probabilities).mean(0).clamp(min=MIN_PROBABILITY).log()
        return logits, offsets, boxes

    def _mean_box_outputs(
        self, features: Levels, mirrored: Levels | None, boxes: list[Tensor], image_shapes: Shapes
    ) -> tuple[Tensor, Tensor]:
        """Return ``_box_outputs``, averaged over the images and the mirrored images if these are given."""
        logits, offsets = self._box_outputs(features, boxes, image_shapes)
        logits, offsets = auxiliary_as_background(logits, offsets, self.auxiliary)
        if mirrored is None:
            return logits, offsets
        mirrored_boxes = mirror_boxes(boxes, image_shapes)
        mirrored_logits, mirrored_offsets = auxiliary_as_background(
            *self._box_outputs(mirrored, mirrored_boxes, image_shapes), self.auxiliary
        )
        # The offsets are for the centre's x and y, the width and the height: only x changes its sign.
        signs = torch.tensor([-1.0, 1.0, 1.0, 1.0], device=offsets.device).repeat(offsets.shape[1] // 4)
        return (logits + mirrored_logits) / 2, (offsets + mirrored_offsets * signs) / 2

    def _box_outputs(
        self, features: Levels, boxes: list[Tensor], image_shapes: Shapes
    ) -> tuple[Tensor, Tensor]:
        """Compute class logits (P, K) and box offsets (P, 4 K) of boxes, in float32 even under autocast."""
        logits, offsets = self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, image_shapes)))
        return logits.float(), offsets.float()

    def _mask_logits(self, features: Levels, boxes: list[Tensor], image_shapes: Shapes) -> Tensor:
        """Compute mask logits (N, K, M, M) of boxes, in float32 even under autocast."""
        pooled = self.mask_roi_pool(features, boxes, image_shapes)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return logits.float()

    def _move_boxes(
        self, boxes: list[Tensor], offsets: Tensor, labels: Tensor, image_shapes: Shapes
    ) -> list[Tensor]:
        """Move boxes by the offsets (P, 4 K) for their labels (P,), and clip them to their images."""
        # torchvision's decoder returns (0, 4 K) if there are no boxes.
        decoded = self.box_coder.decode(offsets, boxes).reshape(offsets.shape[0], offsets.shape[1] // 4, 4)
        chosen = decoded[torch.arange(len(labels), device=labels.device), labels]
        moved = chosen.split([len(b) for b in boxes])
        return [clip_boxes_to_image(b, shape) for b, shape in zip(moved, image_shapes, strict=True)]

    def _compute_losses(
        self, features: Levels, proposals: list[Tensor], image_shapes: Shapes, targets: list[Target]
    ) -> dict[str, Tensor]:
        """Compute all losses: box losses averaged over the stages, and mask losses of the last boxes."""
        boxes, matched, labels, regression_targets = self.select_training_samples(proposals, targets)
        logits, offsets = self._box_outputs(features, boxes, image_shapes)
        self.background_losses = background_losses(logits, labels)
        accepted = accept_auxiliary_as_background(logits, labels, targets, self.auxiliary)
        stage_losses = [box_losses(accepted, offsets, labels, regression_targets)]
        for _ in range(1, self.stages):
            boxes = self._next_boxes(boxes, offsets.detach(), logits.detach(), labels, image_shapes, targets)
            matched, labels, regression_targets = self._match_to_objects(boxes, targets)
            logits, offsets = self._box_outputs(features, boxes, image_shapes)
            accepted = accept_auxiliary_as_background(logits, labels, targets, self.auxiliary)
            stage_losses.append(box_losses(accepted, offsets, labels, regression_targets))
        loss_classifier, loss_box_reg = torch.stack(stage_losses).mean(0)
        losses = {"loss_classifier": loss_classifier, "loss_box_reg": loss_box_reg}
        losses |= self._compute_mask_losses(features, boxes, matched, labels, image_shapes, targets)
        if self.pixels is not None:
            losses |= segmentation_losses(self.pixels(features["0"]), targets, self.auxiliary)
        return losses

    def _compute_mask_losses(
        self,
        features: Levels,
        boxes: list[Tensor],
        matched: list[Tensor],
        labels: list[Tensor],
        image_shapes: Shapes,
        targets: list[Target],
    ) -> dict[str, Tensor]:
        """Compute the mask losses of a sample of the boxes that match an object."""
        chosen = [sample_indices((n > 0) & (n < self._classes), MAX_TRAINED_MASKS) for n in labels]
        boxes = [b[k] for b, k in zip(boxes, chosen, strict=True)]
        logits = self._mask_logits(features, boxes, image_shapes)
        matched = [m[k] for m, k in zip(matched, chosen, strict=True)]
        chosen_labels = torch.cat([n[k] for n, k in zip(labels, chosen, strict=True)])
        margin = self.mask_roi_pool.margin
        target_masks = [
            project_masks_on_boxes(t["masks"], enlarge_boxes(b, margin), m, logits.shape[-1])
            for t, b, m in zip(targets, boxes, matched, strict=True)
        ]
        return mask_losses(logits, chosen_labels, torch.cat(target_masks))

    def _next_boxes(
        self,
        boxes: list[Tensor],
        offsets: Tensor,
        logits: Tensor,
        labels: list[Tensor],
        image_shapes: Shapes,
        targets: list[Target],
    ) -> list[Tensor]:
        """Return the next stage's boxes: moved boxes outside ignore regions, and ground-truth boxes."""
        all_labels = torch.cat(labels)
        move_as = torch.where(all_labels > 0, all_labels, logits[:, 1:].argmax(1) + 1)
        following = []
        for moved, target in zip(
            self._move_boxes(boxes, offsets, move_as, image_shapes), targets, strict=True
        ):
            large = ((moved[:, 2:] - moved[:, :2]) >= MIN_BOX_SIDE).all(1)
            usable = moved[large & ~in_ignore_region(moved, target["ignore"])]
            following.append(torch.cat([usable, target["boxes"].to(usable)]))
        return following

    def _match_to_objects(
        self, boxes: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return for each box the index of its object, its label, and the offsets to the object's box."""
        object_boxes = [t["boxes"].to(b) for t, b in zip(targets, boxes, strict=True)]
        matched, labels = self.assign_targets_to_proposals(
            boxes, object_boxes, [t["labels"] for t in targets]
        )
        matched_boxes = [
            o[m] if len(o) else torch.zeros_like(b)
            for o, m, b in zip(object_boxes, matched, boxes, strict=True)
        ]
        return matched, labels, self.box_coder.encode(matched_boxes, boxes)

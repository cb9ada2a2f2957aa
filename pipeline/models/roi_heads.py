"""The second stage of Mask R-CNN: it moves boxes in rounds, and leaves out ignore regions while it learns.

A proposal that holds a truck's body but not its tiller is moved by the box head to where it sees both. So
boxes go through the same box head several times, as in Cascade R-CNN (Cai and Vasconcelos 2018) but with one
set of weights, and their scores are the rounds' mean. With one round it finds what torchvision's does.

Given a picture's mirror image too, it looks at each box in both: class, offsets and mask are the means.

Light heads have a layer ``pixels`` besides, which says of each pixel of the finest map what it belongs to.
It is asked only while the network learns: regions show the pyramid a few objects, pixels the whole picture.
"""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor
from torchvision.models.detection.roi_heads import (
    RoIHeads,
    fastrcnn_loss,
    maskrcnn_inference,
    project_masks_on_boxes,
)
from torchvision.ops.boxes import clip_boxes_to_image

from pipeline.models.roi_align import enlarged
from pipeline.models.rpn import covered
from pipeline.models.targets import Target

Shapes = list[tuple[int, int]]
LEARNT_MASKS = 8
"""Regions of an image whose masks are learnt: they are of few objects, and twice as many teach no more."""

FAINT = 20
"""Pixels of the finest map by which Dice is smoothed: a class that is hardly in a picture hardly counts."""
PIXELS_COUNT = (2.0, 0.5)
"""Weights of the pixels' cross-entropy, small because most pixels are easy, and of their Dice."""


class RefiningRoIHeads(RoIHeads):  # type: ignore[misc]
    """torchvision's, in ``rounds``; it takes its place by changing the class of what torchvision built."""

    rounds = 1

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
        mirrored: dict[str, Tensor] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Find the objects, or, given targets, the losses.

        Args:
            features: the pyramid's levels, (B, C, h, w) each.
            proposals: (P_i, 4) xyxy, for each image.
            image_shapes: (H, W) of the images, without their padding.
            targets: at the images' size.
            mirrored: the same levels of the images' mirror images, padded as they are; not for learning.

        Returns:
            For each image ``boxes`` (N, 4), ``labels`` (N,), ``scores`` (N,) and ``masks`` (N, 1, M, M),
            probabilities on a grid over each box, enlarged by ``mask_roi_pool.margin``; and no losses. Or
            nothing, and the losses.
        """
        if targets is not None:
            return self.learn(features, proposals, image_shapes, targets)
        scores: list[Tensor] = []
        logits, offsets = self.judge_both(features, mirrored, proposals, image_shapes)
        for _ in range(1, self.rounds):
            scores.append(F.softmax(logits, -1))
            proposals = self.moved(proposals, offsets, logits[:, 1:].argmax(1) + 1, image_shapes)
            logits, offsets = self.judge_both(features, mirrored, proposals, image_shapes)
        if self.rounds > 1:
            scores.append(F.softmax(logits, -1))
            logits = torch.stack(scores).mean(0).clamp(min=1e-8).log()
        boxes, best, labels = self.postprocess_detections(logits, offsets, proposals, image_shapes)
        grids = self.masks(features, boxes, image_shapes)
        if mirrored is not None:
            grids = (
                grids + self.masks(mirrored, mirrored_boxes(boxes, image_shapes), image_shapes).flip(3)
            ) / 2
        masks = maskrcnn_inference(grids, labels)
        found: list[dict[str, Tensor]] = []
        for i in range(len(boxes)):
            found.append({"boxes": boxes[i], "labels": labels[i], "scores": best[i], "masks": masks[i]})
        losses: dict[str, Tensor] = {}
        return found, losses

    def judge_both(
        self,
        features: dict[str, Tensor],
        mirrored: dict[str, Tensor] | None,
        boxes: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> tuple[Tensor, Tensor]:
        """``judge``, or its mean over the images and their mirror images."""
        logits, offsets = self.judge(features, boxes, image_shapes)
        if mirrored is None:
            return logits, offsets
        others, back = self.judge(mirrored, mirrored_boxes(boxes, image_shapes), image_shapes)
        # Offsets are of the middle's x and y, the width's and the height's: only the first changes sign.
        signs = torch.tensor([-1.0, 1.0, 1.0, 1.0], device=back.device).repeat(back.shape[1] // 4)
        return (logits + others) / 2, (offsets + back * signs) / 2

    def judge(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """What is in boxes, and where the object's edges are: logits (P, K), offsets (P, 4 K)."""
        pooled = self.box_head(self.box_roi_pool(features, boxes, image_shapes))
        logits, offsets = self.box_predictor(pooled)
        return logits, offsets

    def masks(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Mask logits (N, K, M, M) of boxes."""
        pooled = self.mask_roi_pool(features, boxes, image_shapes)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return logits

    def moved(
        self, boxes: list[Tensor], offsets: Tensor, labels: Tensor, image_shapes: list[tuple[int, int]]
    ) -> list[Tensor]:
        """Boxes moved by the offsets for a label each, and clipped to their image."""
        # Of no boxes, torchvision's decoder gives (0, 4 K).
        decoded = self.box_coder.decode(offsets, boxes).reshape(offsets.shape[0], offsets.shape[1] // 4, 4)
        chosen = decoded[torch.arange(len(labels), device=labels.device), labels]
        parts = chosen.split([len(one) for one in boxes])
        return [clip_boxes_to_image(part, shape) for part, shape in zip(parts, image_shapes)]  # noqa: B905

    @torch.jit.unused
    def learn(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: Shapes,
        targets: list[Target],
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """The losses: of the boxes, the mean over the rounds; of the masks, on the last round's boxes."""
        boxes, matched, labels, wanted = self.select_training_samples(proposals, targets)
        logits, offsets = self.judge(features, boxes, image_shapes)
        losses = [box_losses(logits, offsets, labels, wanted)]
        for _ in range(1, self.rounds):
            boxes = self._next(boxes, offsets.detach(), logits.detach(), labels, image_shapes, targets)
            matched, labels, wanted = self._match(boxes, targets)
            logits, offsets = self.judge(features, boxes, image_shapes)
            losses.append(box_losses(logits, offsets, labels, wanted))
        of_classes, of_boxes = torch.stack(losses).mean(0)
        chosen = [_some(label > 0, LEARNT_MASKS) for label in labels]
        boxes = [b[k] for b, k in zip(boxes, chosen, strict=True)]
        found = {"loss_classifier": of_classes, "loss_box_reg": of_boxes}
        logits = self.masks(features, boxes, image_shapes).float()
        matched = [m[k] for m, k in zip(matched, chosen, strict=True)]
        named = torch.cat([one[k] for one, k in zip(labels, chosen, strict=True)])
        margin = self.mask_roi_pool.margin
        truth = [
            project_masks_on_boxes(t["masks"], enlarged(b, margin), m, logits.shape[-1])
            for t, b, m in zip(targets, boxes, matched, strict=True)
        ]
        found |= mask_losses(logits, named, torch.cat(truth))
        if hasattr(self, "pixels"):
            found |= pixel_losses(self.pixels(features["0"]), targets)
        return [], found

    @torch.jit.unused
    def select_training_samples(
        self, proposals: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """torchvision's, without the proposals in ignore regions."""
        # True objects are appended after this, so that one behind an ignore region is still learnt.
        kept = [p[~covered(p, t["ignore"])] for p, t in zip(proposals, targets, strict=True)]
        samples: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
        samples = super().select_training_samples(kept, targets)
        return samples

    def _next(
        self,
        boxes: list[Tensor],
        offsets: Tensor,
        logits: Tensor,
        labels: list[Tensor],
        image_shapes: Shapes,
        targets: list[Target],
    ) -> list[Tensor]:
        """The next round's boxes: these as moved, without those in ignore regions, and the true ones."""
        known = torch.cat(labels)
        label = torch.where(known > 0, known, logits[:, 1:].argmax(1) + 1)
        moved = self.moved(boxes, offsets, label, image_shapes)
        kept = [
            one[((one[:, 2:] - one[:, :2]) >= 1).all(1) & ~covered(one, target["ignore"])]
            for one, target in zip(moved, targets, strict=True)
        ]
        return [torch.cat([one, t["boxes"].to(one)]) for one, t in zip(kept, targets, strict=True)]

    def _match(
        self, boxes: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Which object each box is of, its label, and the offsets to the object's box."""
        true = [t["boxes"].to(b) for t, b in zip(targets, boxes, strict=True)]
        matched, labels = self.assign_targets_to_proposals(boxes, true, [t["labels"] for t in targets])
        goals = [
            t[m] if len(t) else torch.zeros_like(b) for t, m, b in zip(true, matched, boxes, strict=True)
        ]
        return matched, labels, self.box_coder.encode(goals, boxes)


def mirrored_boxes(boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> list[Tensor]:
    """Boxes (N_i, 4) xyxy as they lie in the mirror images of their images of (H, W)."""
    found: list[Tensor] = []
    for one, shape in zip(boxes, image_shapes):  # noqa: B905
        x0, y0, x1, y1 = one.unbind(1)
        found.append(torch.stack([shape[1] - x1, y0, shape[1] - x0, y1], 1))
    return found


def _some(wanted: Tensor, most: int) -> Tensor:
    """Indices of at most ``most`` true entries of ``wanted`` (N,), at random."""
    places = wanted.nonzero()[:, 0]
    if len(places) <= most:
        return places
    return places[torch.randperm(len(places))[:most].to(places.device)]


def box_losses(logits: Tensor, offsets: Tensor, labels: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """torchvision's losses of class and box, (2,); 0 of no boxes, where its means are not a number."""
    if not len(logits):
        return torch.stack([logits.sum(), offsets.sum()]) * 0
    return torch.stack(fastrcnn_loss(logits, offsets, labels, wanted))


def mask_losses(logits: Tensor, labels: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Mask R-CNN's cross-entropy, and 1 - Dice (Milletari, Navab and Ahmadi 2016), each a mean over objects.

    Cross-entropy alone is content with a blob: in a truck's box the tiller is a few pixels among hundreds.
    Dice counts the overlap.

    Args:
        logits: (N, K, M, M).
        labels: (N,).
        truth: (N, M, M), shares 0..1.
    """
    if not len(labels):
        return {"loss_mask": logits.sum() * 0, "loss_dice": logits.sum() * 0}
    own = logits[torch.arange(len(labels), device=labels.device), labels]
    given = own.sigmoid()
    cross = F.binary_cross_entropy_with_logits(own, truth)
    return {"loss_mask": cross, "loss_dice": dice_losses(given, truth, 1).mean()}


def dice_losses(given: Tensor, truth: Tensor, faint: float) -> Tensor:
    """1 - Dice of maps (N, h, w), smoothed by ``faint`` pixels: (N,)."""
    overlap = 2 * (given * truth).sum((1, 2)) + faint
    return 1 - overlap / (given.square().sum((1, 2)) + truth.square().sum((1, 2)) + faint)


def pixel_losses(logits: Tensor, targets: list[Target]) -> dict[str, Tensor]:
    """Cross-entropy of each pixel, and 1 - Dice of each class, of images whatever objects they have.

    As in panoptic feature pyramids (Kirillov et al. 2019), where such a branch is trained beside the regions.
    Nothing is asked of ignore regions, but where a labelled object is before them.

    Args:
        logits: (B, K, h, w) of K classes, at a quarter of the images' size; what is padding is left out.
        targets: at the images' size.
    """
    losses = []
    for found, target in zip(logits.float(), targets, strict=True):
        masks, labels = target["masks"], target["labels"]
        height, width = masks.shape[-2:]
        truth = torch.zeros(len(found), height, width, device=found.device)
        for number in range(len(found)):
            own = masks[labels == number + 1]
            if len(own):
                truth[number] = own.amax(0).float()
        asked = torch.ones(height, width, device=found.device)
        for x0, y0, x1, y1 in target["ignore"].round().long().clamp(min=0).tolist():
            asked[y0:y1, x0:x1] = 0
        asked = torch.maximum(asked, truth.amax(0))
        truth = F.avg_pool2d(truth[None], 4, ceil_mode=True)[0]
        asked = F.avg_pool2d(asked[None, None], 4, ceil_mode=True)[0, 0]
        own = found[:, : truth.shape[1], : truth.shape[2]]
        cross = (F.binary_cross_entropy_with_logits(own, truth, reduction="none") * asked).mean()
        dice = dice_losses(own.sigmoid() * asked, truth, FAINT).mean()
        losses.append(torch.stack([cross, dice]))
    of_pixels, of_classes = torch.stack(losses).mean(0) * torch.tensor(PIXELS_COUNT, device=logits.device)
    return {"loss_pixels": of_pixels, "loss_regions": of_classes}

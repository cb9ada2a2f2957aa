"""Resize images and targets for the network, and its detections to the original images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from pipeline.models.roi.align import enlarge_boxes
from pipeline.models.samples import Target


class DetectionTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """torchvision's transform, which also resizes ignore regions and pastes masks larger than their boxes."""

    def __init__(
        self,
        min_size: int,
        max_size: int,
        image_mean: Sequence[float],
        image_std: Sequence[float],
        mask_margin: float = 0.0,
    ) -> None:
        """Build the transform.

        Args:
            min_size: shorter side of a resized image in pixels, as far as ``max_size`` allows.
            max_size: largest longer side of a resized image in pixels.
            image_mean: mean that is subtracted from RGB in 0..1.
            image_std: standard deviation by which RGB is then divided.
            mask_margin: width that a mask adds at each side of its box, as a share of the box's side.
        """
        super().__init__(min_size, max_size, list(image_mean), list(image_std))
        self.mask_margin = mask_margin

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        """Resize an image (3, H, W) and its target, ignore regions included."""
        before = image.shape[-2:]
        image, target = super().resize(image, target)
        if target is not None and "ignore" in target:
            target["ignore"] = resize_boxes(target["ignore"], before, image.shape[-2:])
        return image, target

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        original_image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Scale detections to the original images, and paste their masks, if they have any.

        Args:
            result: for each image ``boxes`` (N, 4), optionally ``masks`` (N, 1, M, M), and other entries.
            image_shapes: (H, W) of the resized images.
            original_image_sizes: (H, W) of the original images.
        """
        if not any("masks" in detections for detections in result):
            scaled: list[dict[str, Tensor]]
            scaled = super().postprocess(result, image_shapes, original_image_sizes)
            return scaled
        boxes = [{"boxes": detections["boxes"]} for detections in result]
        scaled = super().postprocess(boxes, image_shapes, original_image_sizes)
        grids = [d | {"boxes": enlarge_boxes(d["boxes"], self.mask_margin)} for d in result]
        pasted = super().postprocess(grids, image_shapes, original_image_sizes)
        return [with_masks | boxes for with_masks, boxes in zip(pasted, scaled, strict=True)]

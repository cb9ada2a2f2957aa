"""How pictures and targets enter a network, and how what it finds leaves it."""

from __future__ import annotations

from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from pipeline.models.roi_align import enlarged
from pipeline.models.targets import Target


class Transform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """torchvision's, which also resizes ignore regions, and pastes masks that reach beyond their boxes."""

    mask_margin = 0.0

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        """Resize an image (3, H, W) and its target."""
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
        """Scale what was found to the images as they came, and paste the masks."""
        grids = [
            one | {"boxes": enlarged(one["boxes"], self.mask_margin)} for one in result if "masks" in one
        ]
        boxes = [{"boxes": one["boxes"]} for one in result] if grids else result
        found: list[dict[str, Tensor]] = super().postprocess(boxes, image_shapes, original_image_sizes)
        if grids:
            pasted = super().postprocess(grids, image_shapes, original_image_sizes)
            found = [drawn | one for drawn, one in zip(pasted, found, strict=True)]
        return found

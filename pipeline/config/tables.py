"""[people], [coco], [model] and [evaluate] of a profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from blender.contract.limits import Ge, Le, MinLen, Ordered, Share, Weights

POSES = (
    "standing",
    "walking",
    "pushing",
    "pulling",
    "carrying",
    "scanning",
    "reaching",
    "crouching",
    "sitting",
)
"""Names of the poses; ``pipeline.people.poses`` has a function for each."""


def _poses() -> dict[str, float]:
    return {"standing": 3.0, "walking": 3.0, "pushing": 2.0, "pulling": 2.0}


@dataclass(frozen=True)
class PeopleConfig:
    """[people]: the posed body meshes of adults, made with anny."""

    count: Annotated[int, Ge(1), Le(100_000)] = 24
    """Number of body meshes. Each keeps its pose; its clothes are drawn for each frame."""
    age: Annotated[tuple[float, float], Ge(18), Le(90), Ordered()] = (18.0, 66.0)
    """Range of the age in years; anny's population statistics give height, weight and build for an age."""
    women: Share = 0.3
    """Share of women."""
    poses: Annotated[dict[str, float], Weights(POSES)] = field(default_factory=_poses)
    """Weights with which poses are drawn; forklifts with drivers need "sitting"."""


@dataclass(frozen=True)
class CocoConfig:
    """[coco]: which objects are labelled; the others become ignore regions (``iscrowd`` 1)."""

    min_visible_fraction: Share = 0.1
    """Lowest visible fraction of an object; below it the object is an ignore region."""
    min_pixels: Annotated[int, Ge(1)] = 40
    """Lowest number of visible pixels; below it the object is an ignore region."""


@dataclass(frozen=True)
class ModelConfig:
    """[model]: the network, the weights it starts from, and its settings for inference."""

    name: Annotated[str, MinLen(1)] = "auto"
    """A key of ``pipeline.models.registry.MODELS``; "timm/" and the name of a network of timm, for the
    backbone; or "auto": the network that ``weights`` belong to."""
    weights: Annotated[str, MinLen(1)] = "auto"
    """Weights to start from: "coco"; "warehouse" (the general detector that comes with Transpalette);
    "imagenet" and "embedded" (the backbone alone); "none"; "auto" (COCO, or "warehouse" if COCO's weights
    cannot be downloaded); or the path of a Transpalette checkpoint or of a state dict of torchvision or timm,
    relative to the working directory."""
    min_size: Annotated[int, Ge(32)] = 480
    """Shorter side in pixels to which images are resized, as far as ``max_size`` allows."""
    max_size: Annotated[int, Ge(32)] = 853
    """Largest longer side of a resized image in pixels."""
    box_score_thresh: Share = 0.05
    """Lowest score of a detection."""
    detections_per_img: Annotated[int, Ge(1)] = 100
    """Largest number of detections per image; those with the highest scores are returned."""
    box_nms_thresh: Share = 0.5
    """Non-maximum suppression: IoU of two boxes of a class above which the box with the lower score is
    dropped."""
    box_rounds: Annotated[int, Ge(1)] = 1
    """Stages of the box cascade: how often the box head refines a box. Each stage pools features from the
    refined boxes of the stage before."""
    auxiliary: tuple[str, ...] = ()
    """Auxiliary classes: kinds of object and variants that the renders label and the network learns as
    classes of their own, so that it does not take them for one of ``classes``. They are left out of results,
    figures and exports."""
    mirror: bool = False
    """Test-time augmentation: average the predictions on an image and on its mirror image; takes up to twice
    the time."""

    def __post_init__(self) -> None:
        if self.max_size < self.min_size:
            raise ValueError(f"max_size must be at least min_size ({self.min_size}), not {self.max_size}")


@dataclass(frozen=True)
class EvaluateConfig:
    """[evaluate]: the settings of evaluation and report."""

    bootstrap: Annotated[int, Ge(0)] = 200
    """Number of bootstrap resamples for the 95 % intervals; 0: no intervals."""
    gallery: Annotated[int, Ge(0)] = 6
    """Number of best images, of worst images and of mistakes of each kind that the report shows."""

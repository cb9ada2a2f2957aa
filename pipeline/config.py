"""The pipeline's half of a profile: [coco], [model], [train], [evaluate] as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blender.contract import UserError, from_table, load_profile


@dataclass(frozen=True)
class CocoConfig:
    """Which objects are labels; the others become ignore regions (``iscrowd`` 1)."""

    min_visible_fraction: float = 0.1
    """Visible / amodal pixels below which an object is ignored."""
    min_pixels: int = 40
    """Visible pixels below which an object is ignored."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_visible_fraction <= 1:
            raise ValueError("min_visible_fraction must lie in 0..1")
        if self.min_pixels < 1:
            raise ValueError("min_pixels must be at least 1")


@dataclass(frozen=True)
class ModelConfig:
    """Which network, from which weights, and how it sees an image."""

    name: str = "auto"
    """A key of ``models.registry.MODELS``, "timm/" and the name of any network of timm's, or "auto": what
    ``weights`` leads to."""
    weights: str = "auto"
    """"auto" (COCO, or the embedded start where COCO's can't be had), "coco", "imagenet" (the body alone),
    "embedded", "none", or a path: a checkpoint of ours, or a state dict of torchvision's or timm's."""
    min_size: int = 480
    """The image is resized so that its shorter side has this many pixels ..."""
    max_size: int = 853
    """... unless the longer side would exceed this."""
    box_score_thresh: float = 0.05
    detections_per_img: int = 100
    box_nms_thresh: float = 0.5
    """Overlap (IoU) from which the less sure of two boxes of a class is dropped."""
    box_rounds: int = 1
    """How often the box head moves a box, each time looking where it was moved to."""
    mirror: bool = False
    """Whether predictions are means over a picture and its mirror image, for up to twice the time."""

    def __post_init__(self) -> None:
        if self.min_size < 32 or self.max_size < self.min_size:
            raise ValueError("min_size must be at least 32, and max_size not below it")
        if self.box_rounds < 1:
            raise ValueError("box_rounds must be at least 1")


@dataclass(frozen=True)
class ExtraSet:
    """[[train.extra]]: labelled photographs, or anybody's COCO set, beside the renders."""

    annotations: str
    """A COCO instances file."""
    images: str
    """The folder that its file_name entries lie in."""
    map: dict[str, str] = field(default_factory=dict)
    """The file's category to the profile's class; a category named like a class needs no entry."""


DETECTING = ("coco", "checkpoint")
"""Kinds of start that know a whole detector."""
PARTS = ("heads", "fpn", "stage4", "stage3", "stage2", "stage1")
"""Of a network, from its outputs to its inputs."""


@dataclass(frozen=True)
class TrainConfig:
    """The fine-tuning recipe."""

    trainable: tuple[str, ...] = ("heads", "fpn")
    """Parts that learn: "heads", "fpn", "stage4", "stage3", "stage2", "stage1"; the rest is frozen."""
    unfreeze: dict[str, int] = field(default_factory=dict)
    """More parts, each with the epoch, counted from 1, from which on it learns."""
    pretrained_trainable: tuple[str, ...] = ()
    """What learns where the start detects already (COCO's weights, a checkpoint); none named: the above."""
    epochs: int = 10
    passes: int = 1
    """How often an epoch goes through the images, each time another view of them; then it validates."""
    pretrained_epochs: int = 0
    """Epochs where the start detects already (COCO's weights, a checkpoint); 0: ``epochs``."""
    patience: int = 0
    """End after so many epochs without a better mask AP on the validation split; 0: never."""
    batch_size: int = 2
    accumulate: int = 1
    """Batches that a step adds up; on a CPU, where images go through the model alone, just a bigger batch."""
    optimizer: str = "adamw"
    """"adamw" or "sgd"."""
    lr: float = 1e-3
    """Peak learning rate, reached after the warm-up."""
    schedule: str = "cosine"
    """"cosine" (down to 1 % of ``lr``) or "step" (down to a tenth at each of ``lr_steps``)."""
    lr_steps: tuple[float, ...] = (0.67, 0.9)
    """For "step": shares of the run."""
    pretrained_lr_factor: float = 0.1
    """Learning rate of what starts from learnt weights, as a share of ``lr`` ..."""
    lr_factors: dict[str, float] = field(default_factory=dict)
    """... and of the parts named here, whatever they start from: { stage4 = 0.1, stage3 = 0.05 }."""
    warmup_iterations: int = 50
    weight_decay: float = 1e-4
    momentum: float = 0.9
    """For "sgd"."""
    clip_grad_norm: float = 10.0
    """Longest gradient that a step follows; 0: any."""
    ema: float = 0.99
    """Decay of the running average of the weights, which is what is validated and kept; 0: none."""
    box_batch_size_per_image: int = 64
    """Regions of interest sampled per image: the biggest knob of a step's time."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    scale_jitter: tuple[float, float] = (0.6, 1.6)
    """Range of the random zoom before the image is cropped or padded to its own size."""
    crop: float = 1.0
    """Width and height of what is cut out after the zoom, as a share of the picture's ..."""
    focus: float = 0.0
    """... and the probability that it is placed on an object, of a class drawn evenly."""
    min_size: int = 0
    """Shorter side of a whole picture while training, 0: [model]'s. A zoom above 1 shows crops at the model's
    scale in smaller, cheaper pictures."""
    copy_paste: float = 0.0
    """Probability that objects of another training image are pasted in (Ghiasi et al. 2021)."""
    photometric: float = 0.5
    """Strength 0..1 of brightness, contrast, saturation and hue jitter."""
    blur: float = 0.2
    """Probability of a Gaussian or motion blur."""
    noise: float = 0.3
    """Probability of sensor noise."""
    jpeg: float = 0.3
    """Probability of JPEG artefacts."""
    workers: int = 0
    """Loader processes; 0 loads in the training process."""
    cache_features: int = 0
    """Augmented views of each image whose frozen features are kept in memory, then used in turn; 0: none.
    Fewer if they would not fit into half of the memory."""
    processes: int = 0
    """Processes that share each batch; 0: on a CPU one for each core, at most one for each image."""
    precision: str = "auto"
    """"fp32", "bf16", "fp16" (on a GPU), or "auto": bf16 where the machine computes it in hardware."""
    compile: bool = False
    """Let torch.compile fuse the body: minutes at the start, for a long run on a GPU."""
    pictures: int = 4
    """Training and validation images drawn after each epoch, in training/; 0: none."""
    extra: tuple[ExtraSet, ...] = ()
    """Sets to learn from beside the training split."""

    def __post_init__(self) -> None:
        self._check_parts()
        self._check_pictures()
        if self.optimizer not in ("adamw", "sgd") or self.schedule not in ("cosine", "step"):
            raise ValueError("optimizer must be 'adamw' or 'sgd', and schedule 'cosine' or 'step'")
        if self.precision not in ("auto", "fp32", "bf16", "fp16"):
            raise ValueError("precision must be 'auto', 'fp32', 'bf16' or 'fp16'")
        if min(self.workers, self.processes, self.cache_features, self.pictures, self.patience) < 0:
            raise ValueError("workers, processes, cache_features, pictures and patience must be at least 0")
        if min(self.epochs, self.passes, self.batch_size, self.accumulate) < 1 or self.pretrained_epochs < 0:
            raise ValueError(
                "epochs, passes, batch_size and accumulate must be at least 1, pretrained_epochs at least 0"
            )
        if not 0 <= self.ema < 1:
            raise ValueError("ema must lie in 0..1, 1 excluded")
        if self.lr <= 0 or self.clip_grad_norm < 0:
            raise ValueError("lr must be above 0, and clip_grad_norm not below")

    def of_start(self, kind: str) -> TrainConfig:
        """The recipe for one kind of start ("coco", "embedded", ...): which parts learn, and how long."""
        if kind not in DETECTING:
            return self
        parts = self.pretrained_trainable or self.trainable
        unfreeze = {} if self.pretrained_trainable else self.unfreeze
        return replace(self, trainable=parts, unfreeze=unfreeze, epochs=self.pretrained_epochs or self.epochs)

    def _check_parts(self) -> None:
        ever = (*self.trainable, *self.unfreeze, *self.pretrained_trainable)
        if not self.trainable or {*ever, *self.lr_factors} - set(PARTS):
            raise ValueError(
                "trainable, pretrained_trainable, unfreeze and lr_factors must name some of: "
                + ", ".join(PARTS)
            )
        if min([1, *self.unfreeze.values()]) < 1 or min([0, *self.lr_factors.values()]) < 0:
            raise ValueError("unfreeze counts epochs from 1, and lr_factors must be at least 0")
        if self.cache_features and "stage1" in ever:
            raise ValueError("cache_features needs a frozen stage1: leave it out of trainable and unfreeze")

    def _check_pictures(self) -> None:
        shares = (
            self.flip,
            self.photometric,
            self.blur,
            self.noise,
            self.jpeg,
            self.copy_paste,
            *self.lr_steps,
        )
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("flip, photometric, blur, noise, jpeg, copy_paste and lr_steps must lie in 0..1")
        if not 0 < self.scale_jitter[0] <= self.scale_jitter[1]:
            raise ValueError("scale_jitter must be a range [low, high] above 0")
        if not 0 < self.crop <= 1 or not 0 <= self.focus <= 1:
            raise ValueError("crop must lie in 0..1, 0 excluded, and focus in 0..1")
        if self.min_size and self.min_size < 32:
            raise ValueError("min_size must be 0 or at least 32")


@dataclass(frozen=True)
class EvaluateConfig:
    """How the result is judged."""

    bootstrap: int = 200
    """Resamples for the 95 % intervals; 0 for none."""
    gallery: int = 6
    """Best and worst predictions, and mistakes of each kind, shown in the report."""

    def __post_init__(self) -> None:
        if min(self.bootstrap, self.gallery) < 0:
            raise ValueError("bootstrap and gallery must be at least 0")


@dataclass(frozen=True)
class Profile:
    """One run, as the pipeline sees it."""

    name: str
    seed: int
    classes: tuple[str, ...]
    splits: dict[str, int]
    coco: CocoConfig = field(default_factory=CocoConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must be a list of different names")


def read_profile(path: Path) -> Profile:
    """Read the pipeline's tables of a profile.

    Raises:
        UserError: the file, a table, a key or a value is wrong.
    """
    table: dict[str, Any] = load_profile(path)
    mine = {k: v for k, v in table.items() if k not in ("people", "render", "scene")}
    return from_table(Profile, mine, str(path))


__all__ = [
    "CocoConfig",
    "EvaluateConfig",
    "ExtraSet",
    "ModelConfig",
    "Profile",
    "TrainConfig",
    "UserError",
    "read_profile",
]

"""[train] of a profile: the training recipe."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from blender.contract.limits import Ge, Gt, Le, Lt, MinLen, OneOf, Ordered, Share, ZeroOrGe

Part = Literal["heads", "fpn", "stage4", "stage3", "stage2", "stage1"]
"""A part of the network."""
PARTS: tuple[Part, ...] = typing.get_args(Part)
"""The parts of the network, from its outputs to its inputs."""
DETECTOR_STARTS = ("coco", "warehouse", "checkpoint")
"""Kinds of start weights that include a detector's heads."""


ExifReading = Literal["stored", "upright"]
"""Which pixels annotations refer to: those stored in the file, or those turned by its EXIF orientation."""


@dataclass(frozen=True)
class ExtraSet:
    """[[train.extra]]: labelled photographs, or any COCO set, to train on beside the training split."""

    annotations: Annotated[str, MinLen(1)]
    """Path of a COCO instances file, relative to the working directory."""
    images: Annotated[str, MinLen(1)]
    """Folder of the images, to which the file_name entries are relative."""
    map: dict[str, str] = field(default_factory=dict)
    """Name of a category in the file -> class of the profile; a category with a class's name needs no
    entry."""
    exif: ExifReading = "stored"
    """What the annotations refer to in images with an EXIF orientation that their size does not decide."""
    repeat: Annotated[int, Ge(1)] = 1
    """How often each image of the set is seen in a pass, each time with another augmentation."""


@dataclass(frozen=True)
class TrainConfig:
    """[train]: trainable parameters, epochs, optimizer, augmentation and processes."""

    trainable: Annotated[tuple[Part, ...], MinLen(1)] = ("heads", "fpn")
    """Trainable parts of the network; the others are frozen."""
    unfreeze: Annotated[dict[str, int], OneOf(PARTS), Ge(1)] = field(default_factory=dict)
    """Parts that become trainable later, each with the epoch, counted from 1, at whose start it does."""
    pretrained_trainable: tuple[Part, ...] = ()
    """Trainable parts if training starts from a complete detector (COCO's weights, a checkpoint); none:
    ``trainable`` and ``unfreeze``."""
    epochs: Annotated[int, Ge(1)] = 10
    """Number of epochs; the validation split is evaluated after each."""
    passes: Annotated[int, Ge(1)] = 1
    """Passes over the training images in an epoch, each with other augmentations."""
    pretrained_epochs: Annotated[int, Ge(0)] = 0
    """Number of epochs if training starts from a complete detector (COCO's weights, a checkpoint); 0:
    ``epochs``."""
    patience: Annotated[int, Ge(0)] = 0
    """Early stopping: number of epochs without a better mask AP on the validation split after which training
    ends; 0: no early stopping."""
    batch_size: Annotated[int, Ge(1)] = 2
    """Images per batch."""
    accumulate: Annotated[int, Ge(1)] = 1
    """Batches whose gradients are accumulated for one optimizer step. On a CPU this equals a larger batch."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """The optimizer."""
    lr: Annotated[float, Gt(0)] = 1e-3
    """Peak learning rate, reached after the warm-up."""
    schedule: Literal["cosine", "step"] = "cosine"
    """Learning-rate schedule: "cosine" decays to 1 % of ``lr``, "step" to a tenth at each of ``lr_steps``."""
    lr_steps: Annotated[tuple[float, ...], Ge(0), Le(1)] = (0.67, 0.9)
    """Points of the run at which the schedule "step" lowers the learning rate, as shares of its steps."""
    pretrained_lr_factor: Annotated[float, Ge(0)] = 0.1
    """Learning rate of pretrained weights, as a factor on ``lr``."""
    lr_factors: Annotated[dict[str, float], OneOf(PARTS), Ge(0)] = field(default_factory=dict)
    """Learning rate of the parts named here, as a factor on ``lr`` in place of ``pretrained_lr_factor``."""
    warmup_iterations: Annotated[int, Ge(0)] = 50
    """Optimizer steps in which the learning rate rises to ``lr``."""
    weight_decay: Annotated[float, Ge(0), Le(1)] = 1e-4
    """Weight decay."""
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    """Momentum of "sgd"."""
    clip_grad_norm: Annotated[float, Ge(0)] = 10.0
    """Norm to which gradients are clipped; 0: no clipping."""
    ema: Annotated[float, Ge(0), Lt(1)] = 0.99
    """Decay of the exponential moving average (EMA) of the weights, which is validated and saved; 0: no
    EMA."""
    box_batch_size_per_image: Annotated[int, Ge(1)] = 64
    """Regions of interest sampled per image. This key has the largest effect on the time of a step."""
    flip: Share = 0.5
    """Probability of a horizontal flip."""
    scale_jitter: Annotated[tuple[float, float], Gt(0), Le(10), Ordered()] = (0.6, 1.6)
    """Range of the random zoom, after which the image is cropped or padded to its own size."""
    crop: Annotated[float, Gt(0), Le(1)] = 1.0
    """Width and height of the crop after the zoom, as a share of the image's."""
    focus: Share = 0.0
    """Probability that the crop is placed on an object. Its class is drawn first, all with equal
    probability."""
    main_classes: Annotated[int, Ge(0)] = 0
    """Number of classes, the first of the profile, that count most: ``focus`` draws each of them as often as
    all others together, and the best epoch and the score threshold are chosen by them alone. 0: all."""
    min_size: Annotated[int, ZeroOrGe(32)] = 0
    """Shorter side in pixels to which an uncropped image is resized in training; 0: that of [model]. With a
    zoom above 1, training uses crops at the model's scale in smaller images, which take less time."""
    copy_paste: Share = 0.0
    """Probability that objects of another training image are pasted into an image (Ghiasi et al. 2021)."""
    photometric: Share = 0.5
    """Strength of the jitter of brightness, contrast, saturation and hue."""
    amplitude: Share = 0.0
    """Probability of amplitude jitter (PASTA, Chattopadhyay et al. 2023): random factors on the Fourier
    amplitudes, which differ most at high frequencies between renders and photographs."""
    blur: Share = 0.2
    """Probability of a Gaussian blur or a motion blur."""
    noise: Share = 0.3
    """Probability of sensor noise."""
    jpeg: Share = 0.3
    """Probability of JPEG artefacts."""
    workers: Annotated[int, Ge(0)] = 0
    """Worker processes of the data loader; 0: images are loaded in the training process."""
    cache_features: Annotated[int, Ge(0)] = 0
    """Feature cache: number of augmented views of each image whose features of the frozen layers are cached
    in memory and used in turn; 0: no cache. Fewer are cached if they would not fit into half of the
    memory."""
    processes: Annotated[int, Ge(0)] = 0
    """Training processes that share each batch; 0: on a CPU one per core, at most one per image."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of mixed-precision training; "fp16" needs a GPU; "auto": bf16 if the hardware supports
    it."""
    compile: bool = False
    """Compile the backbone with torch.compile, for long runs on a GPU; takes minutes at the start."""
    pictures: Annotated[int, Ge(0)] = 4
    """Number of training images and of validation images drawn in the folder training/ after each epoch; 0:
    none."""
    exif: ExifReading = "stored"
    """What the annotations of the training and validation split refer to in images with an EXIF orientation
    that their size does not decide."""
    extra: tuple[ExtraSet, ...] = ()
    """Labelled sets to train on beside the training split."""
    negatives: tuple[str, ...] = ()
    """Folders of photographs without any object of the classes, relative to the working directory."""
    negatives_share: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the training views that are of ``negatives``, in place of labelled images."""
    mining: Share = 0.0
    """Hard-example mining: share of the views of labelled images that are drawn, from the second epoch on, in
    proportion to the image's loss on background in the epoch before; the others are uniform."""

    def __post_init__(self) -> None:
        if self.cache_features and "stage1" in (*self.trainable, *self.unfreeze, *self.pretrained_trainable):
            raise ValueError(
                "cache_features needs a frozen stage1: leave it out of trainable, unfreeze and "
                "pretrained_trainable"
            )

    def of_start(self, kind: str) -> TrainConfig:
        """Return the recipe for a kind of start weights, with its trainable parts and epochs.

        Args:
            kind: "coco", "embedded", ... (``StartWeights.kind``).
        """
        if kind not in DETECTOR_STARTS:
            return self
        parts = self.pretrained_trainable or self.trainable
        unfreeze = {} if self.pretrained_trainable else self.unfreeze
        return replace(self, trainable=parts, unfreeze=unfreeze, epochs=self.pretrained_epochs or self.epochs)

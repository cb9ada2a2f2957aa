"""The weights that training starts from: COCO's, the shipped warehouse detector's, ImageNet's, embedded
weights, a file's, or random weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from blender.contract import print_note, sha256_bytes
from blender.contract.shipped import warehouse_path
from pipeline.common.seeds import derive_seed
from pipeline.config import ModelConfig, UserError
from pipeline.models import weight_files
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.checkpoint_metadata import is_checkpoint
from pipeline.models.mask_rcnn import TranspaletteMaskRCNN
from pipeline.models.predictors import Labels, copy_known_rows
from pipeline.models.registry import CLS_SCORE, COCO, COCO_V2, EMBEDDED, TIMM, build_model, builder_of
from pipeline.models.weight_files import WeightsError, extract_body, parse_state_dict


@dataclass(frozen=True)
class StartWeights:
    """The weights that a model starts from."""

    kind: str
    """"coco", "warehouse", "imagenet", "embedded", "none", "checkpoint", or "body" (the body of another
    model's file)."""
    model: str
    """A key of ``MODELS``, or the name of a model of a family in ``MODELS``."""
    source: str
    """Description for the report: the file and the start of its SHA-256."""
    fallback: str = ""
    """Why "auto" could not use COCO's weights, or ""."""
    classes: tuple[str, ...] = ()
    """Classes of a Transpalette checkpoint; () for other weights."""
    auxiliary: tuple[str, ...] = ()
    """Auxiliary classes of a Transpalette checkpoint."""
    state: dict[str, Tensor] | None = field(default=None, repr=False)
    """The weights of the complete model or of its body; None: random weights."""

    def describe(self) -> dict[str, str]:
        """Return the fields that checkpoints and the report record."""
        return {"kind": self.kind, "source": self.source, "fallback": self.fallback}


def resolve(config: ModelConfig) -> StartWeights:
    """Find, load and check the weights that a profile's [model] table names.

    If name and weights are "auto", these are COCO's weights or, with a note, the warehouse weights. It is an
    error if weights that the profile names are not available.

    Raises:
        UserError: the weights are not available, or do not fit the model's name; the message names the file
            and its folder, or the values.
    """
    name, weights = config.name, config.weights
    if name == weights == "auto":
        return _coco_or_warehouse()
    if name != "auto":
        builder_of(name)
    if weights == "auto":
        weights = {COCO: "coco", COCO_V2: "coco", EMBEDDED: "embedded"}.get(name, "imagenet")
    if weights == "none":
        return StartWeights("none", EMBEDDED if name == "auto" else name, "nothing: random weights")
    if weights == "coco":
        start = coco_weights(COCO_V2 if name == COCO_V2 else COCO)
    elif weights == "imagenet" and name != EMBEDDED:
        start = imagenet_weights(COCO if name == "auto" else name)
    elif weights == "warehouse":
        start = warehouse_weights()
    elif weights in ("embedded", "imagenet"):
        start = embedded_weights()
    else:
        start = weights_from_file(Path(weights), name)
    if name not in ("auto", start.model):
        raise UserError(
            f"[model] weights '{config.weights}' are for {start.model}, not for {name}; set name = \"auto\""
        )
    return start


def _coco_or_warehouse() -> StartWeights:
    try:
        return coco_weights()
    except WeightsError as error:
        reason = str(error)
    start = warehouse_weights()
    print_note(f"COCO's weights are not available ({reason}); training starts from the warehouse weights")
    return replace(start, fallback=reason)


def warehouse_weights() -> StartWeights:
    """Load the general warehouse detector: a checkpoint with 8-bit weights, trained on renders.

    Raises:
        UserError: the file is missing or damaged.
    """
    return replace(weights_from_file(warehouse_path()), kind="warehouse")


def coco_weights_path() -> Path:
    """Return the file in which torchvision caches its COCO-pretrained Mask R-CNN (see TORCH_HOME)."""
    return weight_files.cache_path(weight_files.COCO_URLS[COCO])


def coco_weights(model: str = COCO) -> StartWeights:
    """Load a COCO-pretrained Mask R-CNN of torchvision from the cache, or download it.

    Raises:
        WeightsError: the file is not in the cache and cannot be downloaded, or the cached file is damaged.
    """
    path, state, source = weight_files.load_torchvision(weight_files.COCO_URLS[model])
    if not _fits(model, state):
        raise WeightsError(f"{path}: not the weights of {model}")
    return StartWeights("coco", model, source, state=state)


def imagenet_weights(model: str) -> StartWeights:
    """Load an ImageNet-pretrained body: torchvision's ResNet-50, or the network of timm that ``model`` names.

    Raises:
        WeightsError: the weights are not in the cache and cannot be downloaded.
    """
    if model.startswith(TIMM):
        state, source = weight_files.load_timm(model.removeprefix(TIMM))
    else:
        _, classifier, source = weight_files.load_torchvision(weight_files.RESNET_URL)
        state = extract_body(model, classifier)
    return StartWeights("imagenet", model, source, state=state)


def embedded_weights() -> StartWeights:
    """Load the embedded weights: ImageNet's EfficientNet-Lite2 from a Python package.

    Raises:
        UserError: the package is not installed, or has another version.
    """
    state, source = weight_files.load_embedded()
    return StartWeights("embedded", EMBEDDED, source, state=state)


def weights_from_file(path: Path, name: str = "auto") -> StartWeights:
    """Load a checkpoint, a Mask R-CNN of torchvision, or a classifier for its body.

    If a Mask R-CNN has other heads than the model ``name``, only its body is used.

    Args:
        path: a .safetensors file, or a file of torch.save.
        name: the requested model; "auto": the model of the file.

    Raises:
        UserError: the file is missing or damaged, or does not fit.
    """
    if not path.is_file():
        raise UserError(
            f'{path}: no such weights; set [model] weights to "auto", "coco", "warehouse", "imagenet", '
            '"embedded", "none" or a file'
        )
    data = path.read_bytes()
    source = f"{path.name}, sha256 {sha256_bytes(data)[:16]}"
    if is_checkpoint(data):
        checkpoint = load_checkpoint(path)
        state = checkpoint.state
        if name in ("auto", checkpoint.model):
            return StartWeights(
                "checkpoint",
                checkpoint.model,
                source,
                classes=checkpoint.classes,
                auxiliary=checkpoint.auxiliary,
                state=state,
            )
    else:
        state = parse_state_dict(path, data)
        candidates = (COCO, COCO_V2) if name == "auto" else (name,)
        for model in candidates if CLS_SCORE in state else ():
            if _fits(model, state):
                return StartWeights("checkpoint", model, source, state=state)
    if name == "auto":
        raise WeightsError(
            f"{path}: not the weights of {COCO} or {COCO_V2}; set [model] name if they are a body's"
        )
    try:
        return StartWeights("body", name, f"the body of {source}", state=extract_body(name, state))
    except (KeyError, RuntimeError):
        raise WeightsError(f"{path}: not the weights of {name}, nor of its body") from None


def _fits(model: str, state: dict[str, Tensor]) -> bool:
    """Return whether ``state`` is a state dict of ``model``, for any number of classes."""
    try:
        build_model(model, len(state[CLS_SCORE]), ModelConfig(), state)
    except (KeyError, RuntimeError):
        return False
    return True


def initial_model(
    start: StartWeights, classes: tuple[str, ...], config: ModelConfig, seed: int
) -> TranspaletteMaskRCNN:
    """Build the model before its first training step.

    Args:
        start: the weights. Of a checkpoint's predictors, what belongs to classes of the profile is kept.
        classes: the profile's classes.
        config: the profile's [model] table.
        seed: seed of the random weights; sets torch's global generator.
    """
    torch.manual_seed(derive_seed(seed, 0))
    model = build_model(start.model, len(classes) + 1, config, start.state)
    if start.classes and start.state is not None:
        before, after = Labels(start.classes, start.auxiliary), Labels(classes, config.auxiliary)
        copy_known_rows(model, start.state, before, after)
    return model

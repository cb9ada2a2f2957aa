"""What training starts from: COCO's weights, ImageNet's, the embedded ones, a file, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import click
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from blender.contract import sha256_bytes
from pipeline.common.seeds import derive_seed
from pipeline.config import ModelConfig, UserError
from pipeline.models import weight_files
from pipeline.models.checkpoint import is_checkpoint, load_checkpoint
from pipeline.models.mask_rcnn import CLS_SCORE, COCO, COCO_V2, EMBEDDED, TIMM, build_model, builder_of
from pipeline.models.weight_files import WeightsError, body_state, load_state


@dataclass(frozen=True)
class StartWeights:
    """What a model starts from."""

    kind: str
    """"coco", "imagenet", "embedded", "none", "checkpoint", or "body" (of a checkpoint with other heads)."""
    model: str
    """A key of ``MODELS``, or one of a family there."""
    source: str
    """For the report: which file, with the start of its SHA-256."""
    fallback: str = ""
    """Why "auto" could not have COCO's weights, or ""."""
    classes: tuple[str, ...] = ()
    """Of one of our checkpoints, whose predictors can be kept for the same classes."""
    state: dict[str, Tensor] | None = field(default=None, repr=False)

    def describe(self) -> dict[str, str]:
        """What a checkpoint and the report keep of it."""
        return {"kind": self.kind, "source": self.source, "fallback": self.fallback}


def resolve(config: ModelConfig) -> StartWeights:
    """Find, load and check the weights that a profile's [model] asks for.

    "auto" without a model's name is COCO's, or, aloud, the embedded start. Anything named
    explicitly works or is an error.

    Raises:
        UserError: names the file and where to put it, or what does not fit together.
    """
    name, weights = config.name, config.weights
    if name == weights == "auto":
        return _automatic()
    if name != "auto":
        builder_of(name)
    if weights == "auto":
        weights = {COCO: "coco", COCO_V2: "coco", EMBEDDED: "embedded"}.get(name, "imagenet")
    if weights == "none":
        return StartWeights("none", EMBEDDED if name == "auto" else name, "nothing: random weights")
    if weights == "coco":
        start = coco(COCO_V2 if name == COCO_V2 else COCO)
    elif weights == "imagenet" and name != EMBEDDED:
        start = imagenet(COCO if name == "auto" else name)
    elif weights in ("embedded", "imagenet"):
        start = embedded()
    else:
        start = from_file(Path(weights), name)
    if name not in ("auto", start.model):
        raise UserError(
            f"[model] weights '{config.weights}' are for {start.model}, not for {name}; set name = \"auto\""
        )
    return start


def _automatic() -> StartWeights:
    try:
        return coco()
    except WeightsError as error:
        reason = str(error)
    start = embedded()
    click.secho(
        "\n"
        "WARNING: COCO-pretrained weights are not to be had; training starts from the EMBEDDED weights\n"
        f"         ({start.source}),\n"
        "         which know ImageNet's pictures but no detection: the result will be weaker.\n"
        f"         Reason: {reason}\n",
        fg="yellow",
        err=True,
    )
    return StartWeights(start.kind, start.model, start.source, reason, state=start.state)


def coco_path() -> Path:
    """Where torchvision caches its COCO-pretrained Mask R-CNN (see TORCH_HOME)."""
    return weight_files.cached(weight_files.COCO_URLS[COCO])


def coco(model: str = COCO) -> StartWeights:
    """Take one of torchvision's COCO-pretrained Mask R-CNNs from its cache, or download it.

    Raises:
        WeightsError: neither in the cache nor to be downloaded, or the cached file is damaged.
    """
    path, state, source = weight_files.torchvision_state(weight_files.COCO_URLS[model])
    if not _fits(model, state):
        raise WeightsError(f"{path}: not the weights of {model}")
    return StartWeights("coco", model, source, state=state)


def imagenet(model: str) -> StartWeights:
    """Take an ImageNet-pretrained body: torchvision's ResNet-50, or what timm has of the network's name.

    Raises:
        WeightsError: neither in the cache nor to be downloaded.
    """
    if model.startswith(TIMM):
        state, source = weight_files.timm_state(model.removeprefix(TIMM))
    else:
        _, whole, source = weight_files.torchvision_state(weight_files.RESNET_URL)
        state = body_state(model, whole)
    return StartWeights("imagenet", model, source, state=state)


def embedded() -> StartWeights:
    """Take ImageNet's EfficientNet-Lite2 from a Python package.

    Raises:
        UserError: the package is not installed, or is not the one expected.
    """
    state, source = weight_files.embedded_state()
    return StartWeights("embedded", EMBEDDED, source, state=state)


def from_file(path: Path, name: str = "auto") -> StartWeights:
    """Take a checkpoint of ours, torchvision's state dict of a Mask R-CNN, or a classifier's for its body.

    A Mask R-CNN whose heads are others than those of ``name`` gives its body.

    Args:
        name: the model wanted, or "auto": the file's own.

    Raises:
        UserError: missing, damaged, or nothing of it fits.
    """
    if not path.is_file():
        raise UserError(
            f'{path}: no such weights; say "auto", "coco", "imagenet", "embedded", "none" or a file'
        )
    data = path.read_bytes()
    source = f"{path.name}, sha256 {sha256_bytes(data)[:16]}"
    if is_checkpoint(data):
        ours = load_checkpoint(path)
        if name in ("auto", ours.model):
            return StartWeights("checkpoint", ours.model, source, classes=ours.classes, state=ours.state)
        state = ours.state
    else:
        state = load_state(path, data)
        wanted = (COCO, COCO_V2) if name == "auto" else (name,)
        for model in wanted if CLS_SCORE in state else ():
            if _fits(model, state):
                return StartWeights("checkpoint", model, source, state=state)
    if name == "auto":
        raise WeightsError(
            f"{path}: not the weights of {COCO} or {COCO_V2}; if they are a body's, name the [model]"
        )
    try:
        return StartWeights("body", name, f"the body of {source}", state=body_state(name, state))
    except (KeyError, RuntimeError):
        raise WeightsError(f"{path}: not the weights of {name}, nor of its body") from None


def _fits(model: str, state: dict[str, Tensor]) -> bool:
    """Is ``state`` one of ``model``, for any number of classes?"""
    try:
        build_model(model, len(state[CLS_SCORE]), ModelConfig(), state)
    except (KeyError, RuntimeError):
        return False
    return True


def untrained(start: StartWeights, classes: tuple[str, ...], config: ModelConfig, seed: int) -> MaskRCNN:
    """The network before its first step: the start weights, and predictors drawn from ``seed``."""
    torch.manual_seed(derive_seed(seed, 0))
    keep = start.classes == classes
    return build_model(start.model, len(classes) + 1, config, start.state, keep_predictors=keep)

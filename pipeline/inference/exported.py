"""Exported models, read: .onnx through onnxruntime alone, .torchscript through torch, imported only then.

Both kinds hold the network from raw pixels to boxes, labels, scores and masks of 28 x 28 cells; to paste the
masks into the picture, one by one, is the reader's part. What else must be known lies in the file as JSON:
``Facts``. A seal at the end, the SHA-256 of all before it, tells a damaged file.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blender.contract import UserError, from_table, sha256_bytes
from pipeline.common.optional import import_optional
from pipeline.inference.predictions import Prediction, pasted

FORMAT = 2
KEY = "transpalette"
"""Of the facts among an .onnx file's metadata."""
EXTRA_FILE = "transpalette.json"
"""Of the facts inside a .torchscript archive."""
INPUT, OUTPUTS = "image", ("boxes", "labels", "scores", "masks")
_CURE = "copy it again or export it again"

Pixels = npt.NDArray[np.uint8]
Raw = tuple[npt.NDArray[Any], ...]
"""Boxes (N, 4), labels (N,), scores (N,) and masks (N, M, M)."""


@dataclass(frozen=True)
class Facts:
    """What travels with the network."""

    format: int
    version: str
    """Of the Transpalette that wrote the file."""
    model: str
    """A key of ``pipeline.models.mask_rcnn.MODELS``."""
    classes: tuple[str, ...]
    """Label 1 is the first."""
    score_threshold: float
    """The score that was best on the validation split (F1)."""
    mask_threshold: float
    """The probability from which a pixel is the object's."""
    mask_margin: float
    """What a mask's grid adds at each side of its box, as a share of it."""
    min_box_score: float
    """The least score of a box that the network gives."""
    min_size: int
    """The network resizes to this shorter side, in pixels ..."""
    max_size: int
    """... unless the longer side would exceed this ..."""
    image_mean: tuple[float, float, float]
    """... and subtracts this from RGB in 0..1 ..."""
    image_std: tuple[float, float, float]
    """... and divides by this. All of it happens inside the network; it is said for those who ask."""
    precision: str
    """"fp32" or "int8"."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format} is not {FORMAT}; export again with this version")
        if not self.classes or not 0 <= self.score_threshold <= 1 or not 0 < self.mask_threshold < 1:
            raise ValueError("classes must be named, and thresholds lie in 0..1")

    def json(self) -> str:
        """The facts as they are written."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Exported:
    """An exported model, ready to predict."""

    facts: Facts
    network: Any
    """onnxruntime's InferenceSession, or torch's ScriptModule."""
    raw: Callable[[Pixels], Raw]
    """What the network says of pixels (H, W, 3)."""
    name: str
    """For messages."""

    def find(self, pixels: Pixels) -> Prediction:
        """Predict one picture (H, W, 3) uint8 RGB.

        Raises:
            UserError: the network fails, or says what no network of ours can.
        """
        boxes, labels, scores, masks = self.raw(pixels)
        if len(labels) and not (
            np.isfinite(boxes).all()
            and np.abs(boxes).max() < 1e6
            and labels.min() >= 1
            and labels.max() <= len(self.facts.classes)
        ):
            raise UserError(f"{self.name}: it finds boxes or classes that cannot be; {_CURE}")
        size = (pixels.shape[0], pixels.shape[1])
        return pasted(boxes, labels, scores, masks, size, self.facts.mask_threshold, self.facts.mask_margin)


# ------------------------------------------------------------------------------ ONNX


def seal_onnx(data: bytes) -> bytes:
    """Append the SHA-256 of an ONNX model to it, as one more entry of ``metadata_props``."""
    return data + _onnx_seal(data)


def _onnx_seal(data: bytes) -> bytes:
    # Protocol buffers append to a repeated field by concatenation: ModelProto's field 14 is a list of
    # StringStringEntryProto, key = field 1, value = field 2; all lengths are below 128.
    key, value = b"sha256", sha256_bytes(data).encode()
    entry = b"\x0a%c%b\x12%c%b" % (len(key), key, len(value), value)
    return b"\x72%c%b" % (len(entry), entry)


_SEAL_LENGTH = len(_onnx_seal(b""))
_SEAL_START = _onnx_seal(b"")[: -len(sha256_bytes(b""))]


def parse_onnx(data: bytes, name: str) -> Exported:
    """Read the content of an .onnx file of ``transpalette export``.

    Raises:
        UserError: damaged, not ours, or onnxruntime is not installed.
    """
    runtime = import_optional("onnxruntime", "export", f"{name}: to run an .onnx file")
    body, found = data[:-_SEAL_LENGTH], data[-_SEAL_LENGTH:]
    if not found.startswith(_SEAL_START):
        raise UserError(f"{name}: not written by 'transpalette export', or truncated; {_CURE}")
    if found != _onnx_seal(body):
        raise UserError(f"{name}: damaged (its checksum is wrong); {_CURE}")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(
        "session.disable_quant_qdq", "1"
    )  # unpack 8-bit weights once, not each time
    threads = os.environ.get("OMP_NUM_THREADS", "")  # as torch's; 0: all cores
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class of its own for each fault, with no common one
        raise UserError(f"{name}: not a model that onnxruntime can run: {_line(error)}") from None
    facts = _parse_facts(session.get_modelmeta().custom_metadata_map.get(KEY), name)
    ports = [port.name for port in (*session.get_inputs(), *session.get_outputs())]
    if ports != [INPUT, *OUTPUTS]:
        raise UserError(f"{name}: its inputs and outputs are not those of 'transpalette export'; {_CURE}")

    def raw(pixels: Pixels) -> Raw:
        try:
            return tuple(session.run(list(OUTPUTS), {INPUT: pixels}))
        except Exception as error:
            raise UserError(f"{name}: onnxruntime fails on this picture: {_line(error)}") from None

    return Exported(facts, session, raw, name)


# ------------------------------------------------------------------------------ TorchScript


def parse_torchscript(data: bytes, name: str) -> Exported:
    """Read the content of a .torchscript file of ``transpalette export``.

    Raises:
        UserError: damaged or not ours.
    """
    torch = import_optional("torch", "export", f"{name}: a .torchscript file")
    from pipeline.models.checkpoint import check_seal

    check_seal(data, name, "a file of 'transpalette export'", _CURE)
    extra: dict[str, Any] = {EXTRA_FILE: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that torch.jit is deprecated
            module = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{name}: not a TorchScript model: {_line(error)}") from None
    text = extra[EXTRA_FILE]
    facts = _parse_facts(text.decode() if isinstance(text, bytes) else text, name)

    def raw(pixels: Pixels) -> Raw:
        try:
            # Its optimiser would look at the first two pictures for a second each, and win nothing.
            with torch.inference_mode(), torch.jit.optimized_execution(False):
                return tuple(found.numpy() for found in module(torch.from_numpy(pixels)))
        except (RuntimeError, AttributeError) as error:
            raise UserError(f"{name}: torch fails on this picture: {_line(error)}") from None

    return Exported(facts, module, raw, name)


# ------------------------------------------------------------------------------ both

PARSERS: dict[str, Callable[[bytes, str], Exported]] = {
    ".onnx": parse_onnx,
    ".torchscript": parse_torchscript,
}
"""By the file's suffix: of its content and its name."""


def read_exported(path: Path) -> Exported:
    """Read a file of ``transpalette export``.

    Raises:
        UserError: missing, damaged, not ours, or what runs it is not installed.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such model; write one first (transpalette export)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return PARSERS[path.suffix.lower()](data, str(path))


def _parse_facts(text: str | None, name: str) -> Facts:
    try:
        table = json.loads(text or "")
    except ValueError:
        raise UserError(f"{name}: not written by 'transpalette export': it does not say what it is") from None
    return from_table(Facts, table, f"{name}: {KEY}")


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

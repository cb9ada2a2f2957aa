"""Read exported models (.onnx files) and run them with onnxruntime, without torch.

A file contains the network, which maps raw pixels to boxes, labels, scores and masks of 28 x 28 cells. The
reader pastes the masks into the image, one by one. Everything else is in the file's metadata, as JSON
(``ExportMetadata``). Their last entry is the SHA-256 of all bytes before it, which reveals a damaged file.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blender.contract import UserError, from_table, sha256_bytes
from pipeline.common.optional import import_optional
from pipeline.inference.detections import Detections
from pipeline.inference.mask_pasting import paste_masks

SUFFIX = ".onnx"
DROPPED_SUFFIX = ".torchscript"
"""Suffix of a format that earlier versions exported, and that PyTorch has deprecated."""
FORMAT = 2
"""Version of ``ExportMetadata``."""
METADATA_KEY = "transpalette"
"""Key of ``ExportMetadata`` in the metadata of an .onnx file."""
INPUT, OUTPUTS = "image", ("boxes", "labels", "scores", "masks")
"""Names of the network's input and outputs."""
MAX_COORDINATE = 1e6
"""Coordinate in pixels beyond which a box is impossible."""
ONNXRUNTIME_LOG_FATAL = 4
_FIX = "copy it again or export it again"

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
RawDetections = tuple[npt.NDArray[Any], ...]
"""Boxes (N, 4), labels (N,), scores (N,) and masks (N, M, M)."""


@dataclass(frozen=True)
class ExportMetadata:
    """The metadata of an exported model."""

    format: int
    """The format of this table, ``FORMAT``."""
    version: str
    """The version of Transpalette that wrote the file."""
    model: str
    """A key of ``pipeline.models.registry.MODELS``."""
    classes: tuple[str, ...]
    """Class names: label 1 is the first."""
    score_threshold: float
    """The score threshold with the best F1 on the validation split (and on that of ``--threshold-set``)."""
    mask_threshold: float
    """Probability from which a pixel belongs to an object."""
    mask_margin: float
    """Width that a mask's grid adds at each side of its box, as a share of the box's side."""
    min_box_score: float
    """Lowest box score of the network's detections."""
    min_size: int
    """Shorter side in pixels to which the network resizes images, as far as ``max_size`` allows. This and the
    next three fields are for information: resizing and normalisation are part of the network."""
    max_size: int
    """Largest longer side of a resized image in pixels."""
    image_mean: tuple[float, float, float]
    """Mean that the network subtracts from RGB in 0..1."""
    image_std: tuple[float, float, float]
    """Standard deviation by which the network then divides RGB."""
    precision: str
    """"fp32" or "int8"."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format} is not {FORMAT}; export again with this version")
        if not self.classes or not 0 <= self.score_threshold <= 1 or not 0 < self.mask_threshold < 1:
            raise ValueError("classes must be named, and thresholds must lie in 0..1")

    def to_json(self) -> str:
        """Serialise the metadata for the file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True)
class ExportedModel:
    """An exported model, ready to predict."""

    metadata: ExportMetadata
    session: Any
    """onnxruntime's InferenceSession."""
    name: str
    """The file's name, for messages."""

    def run(self, pixels: Pixels) -> RawDetections:
        """Run the network on an image (H, W, 3) uint8 RGB; the masks are not pasted.

        Raises:
            UserError: onnxruntime fails.
        """
        try:
            return tuple(self.session.run(list(OUTPUTS), {INPUT: pixels}))
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise UserError(f"{self.name}: onnxruntime fails on this image: {_last_line(error)}") from None

    def predict(self, pixels: Pixels) -> Detections:
        """Predict one image (H, W, 3) uint8 RGB.

        Raises:
            UserError: the network fails, or returns impossible boxes or labels.
        """
        boxes, labels, scores, masks = self.run(pixels)
        if len(labels) and not (
            np.isfinite(boxes).all()
            and np.abs(boxes).max() < MAX_COORDINATE
            and labels.min() >= 1
            and labels.max() <= len(self.metadata.classes)
        ):
            raise UserError(f"{self.name}: it returns impossible boxes or classes; {_FIX}")
        size = (pixels.shape[0], pixels.shape[1])
        threshold, margin = self.metadata.mask_threshold, self.metadata.mask_margin
        return paste_masks(boxes, labels, scores, masks, size, threshold, margin)


def check_suffix(path: Path) -> None:
    """Reject files of the format that was dropped.

    Raises:
        UserError: ``path`` is a .torchscript file.
    """
    if path.suffix.lower() == DROPPED_SUFFIX:
        raise UserError(
            f"{path}: the TorchScript format was dropped; export the checkpoint again as .onnx "
            "(transpalette export MODEL --out model.onnx)"
        )


def is_exported(path: Path) -> bool:
    """Return whether a path names an exported model, by its suffix."""
    return path.suffix.lower() == SUFFIX


def read_exported(path: Path) -> ExportedModel:
    """Read a file that ``transpalette export`` wrote.

    Raises:
        UserError: the file is missing, damaged or foreign, or onnxruntime is not installed.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such model; write it first (transpalette export)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_onnx(data, str(path))


def parse_onnx(data: bytes, name: str) -> ExportedModel:
    """Load the content of an .onnx file that ``transpalette export`` wrote.

    Args:
        data: the content.
        name: the file's name, for messages.

    Raises:
        UserError: the file is damaged or foreign, or onnxruntime is not installed.
    """
    runtime = import_optional("onnxruntime", "export", f"{name}: to run an .onnx file")
    _check_checksum(data, name)
    options = runtime.SessionOptions()
    options.log_severity_level = ONNXRUNTIME_LOG_FATAL
    # Convert 8-bit weights to float32 once, when loading, and not for every image.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    threads = os.environ.get("OMP_NUM_THREADS", "")  # as torch does; 0: all cores
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0
    try:
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise UserError(f"{name}: not a model that onnxruntime can run: {_last_line(error)}") from None
    metadata = _parse_metadata(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY), name)
    ports = [port.name for port in (*session.get_inputs(), *session.get_outputs())]
    if ports != [INPUT, *OUTPUTS]:
        raise UserError(f"{name}: its inputs and outputs are not those of 'transpalette export'; {_FIX}")
    return ExportedModel(metadata, session, name)


def append_checksum(data: bytes) -> bytes:
    """Append the SHA-256 of an ONNX model to its bytes, as another entry of ``metadata_props``."""
    return data + _checksum_entry(data)


def _checksum_entry(data: bytes) -> bytes:
    # Protocol buffers append to a repeated field by concatenation: ModelProto's field 14 is a list of
    # StringStringEntryProto, whose field 1 is the key and field 2 the value. All lengths are below 128.
    key, value = b"sha256", sha256_bytes(data).encode()
    entry = b"\x0a%c%b\x12%c%b" % (len(key), key, len(value), value)
    return b"\x72%c%b" % (len(entry), entry)


_CHECKSUM_LENGTH = len(_checksum_entry(b""))
_CHECKSUM_START = _checksum_entry(b"")[: -len(sha256_bytes(b""))]


def _check_checksum(data: bytes, name: str) -> None:
    content, entry = data[:-_CHECKSUM_LENGTH], data[-_CHECKSUM_LENGTH:]
    if not entry.startswith(_CHECKSUM_START):
        raise UserError(f"{name}: not written by 'transpalette export', or truncated; {_FIX}")
    if entry != _checksum_entry(content):
        raise UserError(f"{name}: damaged (its checksum is wrong); {_FIX}")


def _parse_metadata(text: str | None, name: str) -> ExportMetadata:
    try:
        table = json.loads(text or "")
    except ValueError:
        raise UserError(
            f"{name}: not written by 'transpalette export': its metadata have no '{METADATA_KEY}'"
        ) from None
    return from_table(ExportMetadata, table, f"{name}: {METADATA_KEY}")


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

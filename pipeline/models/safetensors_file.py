"""Read and write safetensors files with a checksum and reproducible bytes.

``safetensors.torch.save`` writes metadata in the random order of a hash map, and the format has no
checksum. So the header is written here, with sorted keys, and its metadata gets an entry ``sha256``: the
SHA-256 of the file as it is while that entry is empty. Any reader of safetensors reads such a file.
Torch is imported only where tensors are: the report reads metadata alone, and starts 3 seconds sooner.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor

METADATA = "__metadata__"
CHECKSUM = "sha256"
_LENGTH = struct.Struct("<Q")
"""The file's first 8 bytes: the length of the JSON header that follows."""
_ALIGNMENT = 8
"""Bytes to which the header is padded with spaces, so that the tensors' data are aligned."""


def encode(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Encode tensors and metadata as a safetensors file; equal values give equal bytes.

    Args:
        tensors: on any device; memory formats are not stored, so each is stored contiguous.
        metadata: texts; ``sha256`` is added.
    """
    from safetensors.torch import save  # start-up time: torch

    plain = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    header, body = _split(plain)
    blank = {**header, METADATA: {**metadata, CHECKSUM: ""}}
    checked = {**header, METADATA: {**metadata, CHECKSUM: _checksum(blank, body)}}
    return b"".join([_encode_header(checked), body])


def read_metadata(data: bytes) -> dict[str, str] | None:
    """Read the metadata of a safetensors file without checks; None if the header cannot be read."""
    try:
        header, _ = _split(data)
    except ValueError:
        return None
    metadata = header.get(METADATA, {})
    return metadata if isinstance(metadata, dict) else None


def decode(data: bytes) -> dict[str, Tensor]:
    """Decode the tensors of a file that ``encode`` gave; ``verify`` checks its bytes.

    Raises:
        ValueError: not such a file.
    """
    from safetensors.torch import load  # start-up time: torch

    try:
        return load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def verify(data: bytes) -> dict[str, str]:
    """Check the SHA-256 of a file that ``encode`` gave, and return its metadata without the checksum.

    Raises:
        ValueError: not such a file, or any of its bytes is another one.
    """
    header, body = _split(data)
    metadata = dict(header.get(METADATA, {}))
    digest = metadata.pop(CHECKSUM, None)
    blank = {**header, METADATA: {**metadata, CHECKSUM: ""}}
    if digest != _checksum(blank, body) or not data.startswith(_encode_header(header)):
        raise ValueError("the checksum is wrong")
    return metadata


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Split a file into its parsed header and the tensors' data."""
    if len(data) < _LENGTH.size:
        raise ValueError("shorter than a header")
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if end > len(data):
        raise ValueError("the header is longer than the file")
    header = json.loads(data[_LENGTH.size : end])
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return header, memoryview(data)[end:]


def _encode_header(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return _LENGTH.pack(len(text)) + text


def _checksum(header: Mapping[str, Any], body: memoryview) -> str:
    digest = hashlib.sha256(_encode_header(header))
    digest.update(body)
    return digest.hexdigest()

"""Read onnxruntime-web from the archive that ``npm pack`` writes."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from blender.contract import UserError, sha256_bytes

VERSION = "1.30.0"
"""The version of onnxruntime-web that is tested."""
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
"""SHA-256 of its archive."""
COMMAND = f"npm pack onnxruntime-web@{VERSION}"
"""Writes the archive into the current folder."""


@dataclass(frozen=True)
class WebRuntime:
    """The files of onnxruntime-web that a page on the CPU needs."""

    script: bytes
    """The library, a classic script that defines ``ort``."""
    module: bytes
    """The JavaScript module that starts the WebAssembly."""
    wasm: bytes
    """The WebAssembly."""


def read_runtime(path: Path | None) -> WebRuntime:
    """Read the archive of onnxruntime-web.

    Args:
        path: the archive; None if the user named none.

    Raises:
        UserError: there is no such file, or it is not the archive of ``VERSION``.
    """
    if path is None:
        raise UserError(
            f"--format html needs --runtime onnxruntime-web-{VERSION}.tgz; get it once with: {COMMAND}"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; get it with: {COMMAND}") from None
    if sha256_bytes(data) != SHA256:
        raise UserError(
            f"{path}: not onnxruntime-web {VERSION} (its SHA-256 differs); get it with: {COMMAND}"
        )
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:

        def read(name: str) -> bytes:
            member = archive.extractfile(f"package/dist/{name}")
            assert member, "the SHA-256 says that the file is there"
            return member.read()

        threaded = "ort-wasm-simd-threaded"
        return WebRuntime(read("ort.wasm.min.js"), read(f"{threaded}.mjs"), read(f"{threaded}.wasm"))

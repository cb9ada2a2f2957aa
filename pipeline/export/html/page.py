"""Assemble the page: one HTML file with everything in it."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import jinja2

from pipeline.export.html.runtime import VERSION, WebRuntime
from pipeline.inference.exported import INPUT, MAX_COORDINATE, OUTPUTS, ExportMetadata
from pipeline.inference.mask_pasting import EXTENT_THRESHOLD
from pipeline.viz.overlays import class_colour, readable

FOLDER = Path(__file__).parent
NOTICE = (
    "This is no safety device. It misses objects, and it shows some where there are none. "
    "Never rely on it to protect anyone."
)
MAX_PIXELS = 16_000_000
"""Pixels of the largest picture that the network gets as it is. A larger one is reduced first: browsers of
phones limit a canvas to 16.7 million pixels."""


def build_page(model: bytes, metadata: ExportMetadata, runtime: WebRuntime) -> bytes:
    """Return the content of the HTML file.

    Args:
        model: the content of the .onnx file.
        metadata: its metadata.
        runtime: onnxruntime-web.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    parts = {"script": runtime.script, "module": runtime.module, "wasm": runtime.wasm, "model": model}
    classes = [
        {"name": name, "text": readable(name), "colour": "#{:02x}{:02x}{:02x}".format(*class_colour(number))}
        for number, name in enumerate(metadata.classes)
    ]
    settings = {
        "classes": classes,
        "scoreThreshold": metadata.score_threshold,
        "maskThreshold": metadata.mask_threshold,
        "maskMargin": metadata.mask_margin,
        "extentThreshold": EXTENT_THRESHOLD,
        "maxCoordinate": MAX_COORDINATE,
        "maxPixels": MAX_PIXELS,
        "input": INPUT,
        "outputs": OUTPUTS,
    }
    page = environment.get_template("page.html.j2").render(
        metadata=metadata,
        notice=NOTICE,
        settings=settings,
        style=_read("style.css"),
        worker=_read("mask_pasting.js") + _read("worker.js"),
        code=_read("page.js"),
        licence=_read("onnxruntime-web-LICENSE.txt"),
        runtime_version=VERSION,
        parts={name: _pack(data) for name, data in parts.items()},
    )
    return page.encode()


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _pack(data: bytes) -> str:
    """Compress a part of the page, and encode it as text; equal parts give equal text."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()

"""The page with the model in it: refused without the right runtime, and nothing in it is loaded."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import re
from pathlib import Path

import pytest

from pipeline.export.html.page import FOLDER, build_page
from pipeline.export.html.runtime import COMMAND, WebRuntime
from pipeline.inference.exported import read_exported
from tests.pipeline.export.conftest import run_export

FAKE = WebRuntime(b"script", b"module", b"wasm")
HTML = ("--format", "html")


def test_the_page_needs_the_right_runtime(folder: Path, tmp_path: Path) -> None:
    model, out, other = folder / "model.safetensors", tmp_path / "new" / "page.html", tmp_path / "other.tgz"
    other.write_bytes(b"another version")
    wrong = {
        ("--format html needs --runtime",): (),
        (str(other), "not onnxruntime-web", "SHA-256"): ("--runtime", other),
        ("no.tgz", "cannot be read"): ("--runtime", tmp_path / "no.tgz"),
    }
    for words, options in wrong.items():
        done = run_export(model, out, *HTML, *options)
        lines = done.output.strip().splitlines()
        assert done.exit_code == 2 and len(lines) == 1, done.output
        assert all(word in lines[0] for word in (*words, COMMAND))
    done = run_export(model, tmp_path / "page.onnx", *HTML, "--runtime", other)
    assert done.exit_code == 2 and "must be named *.html" in done.output
    done = run_export(model, tmp_path / "model.onnx", "--runtime", other)
    assert done.exit_code == 2 and "--runtime belongs to --format html" in done.output
    assert list(tmp_path.iterdir()) == [other], "something was written"


def test_the_page_has_all_its_parts_and_loads_nothing(folder: Path) -> None:
    data, metadata = (folder / "model.onnx").read_bytes(), read_exported(folder / "model.onnx").metadata
    page = build_page(data, metadata, FAKE)
    assert page == build_page(data, metadata, FAKE), "equal models must give equal pages"
    text = page.decode()
    parts = dict(re.findall(r'<script type="text/plain" id="(\w+)">([A-Za-z0-9+/=]+)</script>', text))
    unpacked = {name: gzip.decompress(base64.b64decode(part)) for name, part in parts.items()}
    assert unpacked == {"script": b"script", "module": b"module", "wasm": b"wasm", "model": data}
    settings = json.loads(re.findall(r'id="settings">(.*?)</script>', text)[0])
    assert [entry["name"] for entry in settings["classes"]] == list(metadata.classes)
    assert settings["scoreThreshold"] == metadata.score_threshold
    assert settings["maskMargin"] == metadata.mask_margin
    assert not re.search(r"https?:|\burl\(|@import|\bsrc=", text.replace(parts["model"], ""))
    assert re.findall(r'\bhref="([^"]*)"', text) == ["data:,"]
    assert "default-src 'none'" in text and "connect-src" not in text
    assert "no safety device" in text and "Permission is hereby granted" in text
    assert text.count("<!--") == text.count("-->") == 1 and text.rstrip().endswith("</html>")


def test_names_of_classes_are_text(folder: Path) -> None:
    metadata = read_exported(folder / "model.onnx").metadata
    metadata = dataclasses.replace(metadata, classes=("</script><img src=x>", "pallet_truck"))
    text = build_page(b"model", metadata, FAKE).decode()
    assert "<img" not in text and "&lt;img src=x&gt;" in text


@pytest.mark.parametrize("name", ["page.js", "worker.js", "mask_pasting.js", "style.css"])
def test_no_file_ends_the_element_that_contains_it(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert "</" not in text and "<!--" not in text

"""The page with the model in it: refused without the right runtime, and nothing in it is loaded."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from blender.contract import sha256_bytes
from pipeline.export.html.page import FOLDER, build_page
from pipeline.export.html.runtime import COMMAND, WebRuntime
from pipeline.inference.exported import ExportMetadata, parse_onnx, read_exported
from tests.conftest import ROOT
from tests.pipeline.export.conftest import run_export, unpack_page

FAKE = WebRuntime(b"script", b"module", b"wasm")
HTML = ("--format", "html")
VALIDATE = ROOT / "node_modules" / ".bin" / "html-validate"


@pytest.fixture(scope="module")
def metadata(folder: Path) -> ExportMetadata:
    """The metadata of the shared model."""
    return read_exported(folder / "model.onnx").metadata


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


def test_the_command_puts_the_model_and_the_runtime_into_one_file(
    folder: Path, metadata: ExportMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, out = tmp_path / "runtime.tgz", tmp_path / "page.html"
    names = {"script": "ort.wasm.min.js"}
    names |= {
        part: f"ort-wasm-simd-threaded.{suffix}" for part, suffix in (("module", "mjs"), ("wasm", "wasm"))
    }
    with tarfile.open(archive, "w:gz") as tar:
        for part, name in names.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(part)
            tar.addfile(member, io.BytesIO(part.encode()))
    monkeypatch.setattr("pipeline.export.html.runtime.SHA256", sha256_bytes(archive.read_bytes()))
    done = run_export(folder / "model.safetensors", out, *HTML, "--runtime", archive)
    assert done.exit_code == 0 and "same detections as its checkpoint" in done.output, done.output
    parts = unpack_page(out.read_text())
    model = parts.pop("model")
    assert parts == {part: part.encode() for part in names}
    assert parse_onnx(model, "page").metadata == metadata
    assert sorted(tmp_path.iterdir()) == [out, archive]


def test_the_page_has_all_its_parts_and_loads_nothing(metadata: ExportMetadata) -> None:
    page = build_page(b"model", metadata, FAKE)
    assert page == build_page(b"model", metadata, FAKE), "equal models must give equal pages"
    text = page.decode()
    assert unpack_page(text) == {"script": b"script", "module": b"module", "wasm": b"wasm", "model": b"model"}
    settings = json.loads(re.findall(r'id="settings">(.*?)</script>', text)[0])
    assert [entry["name"] for entry in settings["classes"]] == list(metadata.classes)
    assert settings["scoreThreshold"] == metadata.score_threshold
    assert settings["maskMargin"] == metadata.mask_margin
    assert not re.search(r"https?:|\burl\(|@import|\bsrc=", re.sub(">[A-Za-z0-9+/=]+</script>", "", text))
    assert re.findall(r'\bhref="([^"]*)"', text) == ["data:,"]
    assert "default-src 'none'" in text and "connect-src" not in text
    assert "no safety device" in text and "Permission is hereby granted" in text
    assert text.count("<!--") == text.count("-->") == 1 and text.rstrip().endswith("</html>")


def test_names_of_classes_are_text(metadata: ExportMetadata) -> None:
    metadata = dataclasses.replace(metadata, classes=("</script><img src=x>", "pallet_truck"))
    text = build_page(b"model", metadata, FAKE).decode()
    assert "<img" not in text and "&lt;img src=x&gt;" in text


@pytest.mark.parametrize("name", ["page.js", "worker.js", "mask_pasting.js", "style.css"])
def test_no_file_ends_the_element_that_contains_it(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert "</" not in text and "<!--" not in text


@pytest.mark.slow
@pytest.mark.skipif(not VALIDATE.is_file(), reason="no html-validate")
def test_html_validate_finds_no_error(metadata: ExportMetadata, tmp_path: Path) -> None:
    (tmp_path / ".htmlvalidate.json").write_text('{"root": true, "extends": ["html-validate:recommended"]}')
    (tmp_path / "page.html").write_bytes(build_page(b"model", metadata, FAKE))
    done = subprocess.run(
        [VALIDATE, "page.html"], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]

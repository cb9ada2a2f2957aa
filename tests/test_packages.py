"""Renderer and pipeline are independent, and every folder with modules is installed."""

from __future__ import annotations

import re

from tests.conftest import ROOT, run


def test_renderer_and_pipeline_load_only_their_own_libraries() -> None:
    """Import all modules of ``blender`` or of ``pipeline`` in a separate process."""
    for package, forbidden in (
        ("blender", ("torch", "click", "PIL", "pycocotools", "pipeline")),
        ("pipeline", ("bpy",)),
    ):
        names = [
            ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for path in sorted((ROOT / package).rglob("*.py"))
            if path.name not in ("__init__.py", "__main__.py")
        ]
        code = (
            f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
            f"print(sorted(set({forbidden!r}) & set(sys.modules)))"
        )
        done = run("-c", code)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_pipeline_imports_only_the_contract_from_blender() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from blender", "import blender")):
                assert re.match(r"from blender\.contract(\.\w+)? import ", line), f"{path}: {line}"


def test_every_folder_with_modules_is_a_package() -> None:
    """setuptools detects packages by their __init__.py and leaves other folders out of a wheel."""
    for package in ("blender", "pipeline"):
        folders = {path.parent for path in (ROOT / package).rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []

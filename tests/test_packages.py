"""The renderer and the pipeline are independent; modules and folders are small; every folder is a package."""

from __future__ import annotations

import re
from collections import Counter

from tests.conftest import ROOT, run

PROGRAMS = ("blender", "pipeline")


def test_the_renderer_loads_no_library_of_the_pipeline() -> None:
    """Import every module of the renderer in a separate process.

    The import contracts in pyproject.toml check imports between our own modules, not those of libraries.
    """
    forbidden = ("torch", "click", "PIL", "pycocotools", "pipeline")
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "blender").rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    ]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print(sorted(set({forbidden!r}) & set(sys.modules)))"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_no_module_has_more_than_300_lines_and_no_folder_more_than_16_modules() -> None:
    for program in PROGRAMS:
        modules = list((ROOT / program).rglob("*.py"))
        assert [path for path in modules if len(path.read_text().splitlines()) > 300] == []
        folders = Counter(path.parent for path in modules if path.name != "__init__.py")
        assert [folder for folder, count in folders.items() if count > 16] == []


def test_every_folder_with_modules_is_a_package() -> None:
    """setuptools detects packages by their __init__.py and leaves other folders out of a wheel."""
    for program in PROGRAMS:
        folders = {path.parent for path in (ROOT / program).rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_makefile_names_only_modules_that_exist() -> None:
    text = (ROOT / "Makefile").read_text()
    modules = re.findall(r"-m ((?:pipeline|blender|tests)[\w.]*)", text)
    assert modules
    for module in modules:
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module

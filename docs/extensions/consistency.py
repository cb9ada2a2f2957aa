"""Sphinx extension and program: do the pages agree with the code?

Every path and module that a page names must exist, every link of the README and CONTRIBUTING.md must lead
somewhere, and every command and make target must be described. Each problem is a Sphinx warning, and so an
error in a strict build. ``python docs/extensions/consistency.py`` checks the same without building the site.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
FRONT = ("README.md", "CONTRIBUTING.md")
"""Pages outside the site: their links are checked here, those of the site by Sphinx."""
EXAMPLES = {"blender/objects/crate.py", ".github/workflows/render.yml"}
"""Files that a page asks its reader to create."""
PATH = re.compile(r"`((?:blender|pipeline|tests|assets|docs|\.github)/[\w./-]*)`")
MODULE = re.compile(r"`((?:blender|pipeline)(?:\.\w+)+)")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def pages() -> dict[str, str]:
    """The hand-written pages: path from the repository's root to text."""
    files = [ROOT / name for name in FRONT] + sorted((ROOT / "docs").glob("*.md"))
    return {str(file.relative_to(ROOT)): file.read_text() for file in files}


def missing_paths(text: str) -> list[str]:
    """Paths and dotted names in backticks that do not exist in this repository."""
    paths = {path for path in PATH.findall(text) if path not in EXAMPLES and not (ROOT / path).exists()}
    return sorted(paths | {name for name in MODULE.findall(text) if not _defined(name)})


def _defined(name: str) -> bool:
    """Whether a dotted name is a module, or a word in the source of the module that its start names."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        file = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        if file.is_file():
            rest = parts[length:]
            return all(re.search(rf"\b{re.escape(word)}\b", file.read_text()) for word in rest)
    return False


def slug(heading: str) -> str:
    """The anchor that GitHub and MyST give to a heading."""
    text = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.M)}


def broken_links(name: str, text: str) -> list[str]:
    """Relative links of one page that lead to no file or no heading."""
    broken = []
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.S)):
        path, _, anchor = link.partition("#")
        if path.startswith("../../actions/"):  # GitHub's pages about the repository
            continue
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def commands(group: click.Group | None = None, prefix: str = "transpalette") -> dict[str, click.Command]:
    """Every command of the command line, by what a user types."""
    if group is None:
        sys.path.insert(0, str(ROOT))
        from pipeline.cli import main as group

    found: dict[str, click.Command] = {}
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found[f"{prefix} {name}"] = command
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix} {name}")
    return found


def command_problems(texts: str) -> list[str]:
    """What the pages leave out or get wrong: commands, options and make targets."""
    problems = []
    for name, command in commands().items():
        if not command.help:
            problems.append(f"{name} has no help")
        if not re.search(rf"\b{name}\b", texts):
            problems.append(f"{name} is described on no page")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.help:
                problems.append(f"{name} {parameter.opts[0]} has no help")
    known = {name.split()[1] for name in commands()}
    for name in sorted(set(re.findall(r"(?:^|`)transpalette ([a-z]+)\b", texts, re.M)) - known):
        problems.append(f"transpalette {name} is no command")
    for target, text in re.findall(r"^([a-z-]+):(?!=)(.*)$", (ROOT / "Makefile").read_text(), re.M):
        if "##" in text and not re.search(rf"\bmake {target}\b", texts):
            problems.append(f"make {target} is described on no page")
    return problems


def problems() -> list[str]:
    """Everything that is wrong, one line each."""
    texts = pages()
    found = [f"{name}: `{path}` does not exist" for name in texts for path in missing_paths(texts[name])]
    found += [f"{name}: link {link} is broken" for name in FRONT for link in broken_links(name, texts[name])]
    written = "\n".join(text for name, text in texts.items() if name != "docs/cli.md")
    return found + command_problems(re.sub(r"\.venv/bin/", "", written))


def _warn(app: Sphinx, env: object) -> None:
    for problem in problems():
        logging.getLogger(__name__).warning(problem)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("env-check-consistency", _warn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    lines = problems()
    print("\n".join(f"error: {line}" for line in lines), file=sys.stderr, end="\n" if lines else "")
    sys.exit(bool(lines))

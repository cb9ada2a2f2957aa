"""Find the profiles, studies and weights that come with Transpalette."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(kind: str) -> Path:
    """Return the folder of the shipped files of a kind: "profiles", "studies", "weights" or "demo".

    It is in the package if the package was installed from a wheel, otherwise in assets/.
    """
    installed = _PACKAGE / "shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / "assets" / kind


def find_shipped(kind: str, name: str | Path, folder: Path = Path()) -> Path:
    """Return the TOML file that a user names by path or by name.

    A file at the path comes first. Otherwise a name without a folder, "smoke" or "smoke.toml", is that of a
    file that comes with Transpalette.

    Args:
        kind: "profiles" or "studies".
        name: a path, or the name of a shipped file.
        folder: folder that the path is relative to.

    Returns:
        The path of the file; ``folder / name`` if there is no such file.
    """
    path = folder / name
    shipped = shipped_folder(kind) / (path.name if path.suffix == ".toml" else f"{path.name}.toml")
    is_name = Path(name).name == str(name)
    return shipped if is_name and not path.is_file() and shipped.is_file() else path


def shipped_names(kind: str) -> str:
    """Return the names of the shipped files of a kind, for a message."""
    return ", ".join(sorted(file.stem for file in shipped_folder(kind).glob("*.toml")))


def warehouse_path() -> Path:
    """Return the checkpoint of the general warehouse detector; README.md beside it is its model card."""
    return shipped_folder("weights") / "warehouse.safetensors"

"""Load profiles: TOML files that describe a complete run and may extend one another."""

from __future__ import annotations

import codecs
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from blender.contract.errors import UserError
from blender.contract.limits import Ge, Lt, MinLen
from blender.contract.shipped import find_shipped, shipped_names
from blender.contract.table_reader import closest


@dataclass(frozen=True)
class ProfileHeader:
    """Keys at the top of a profile, which the renderer and the pipeline read."""

    name: Annotated[str, MinLen(1)]
    """Name of the run, for manifests and reports."""
    seed: Annotated[int, Ge(0), Lt(2**63)]
    """Seed of every random draw: the same profile and seed give the same files."""
    classes: Annotated[tuple[str, ...], MinLen(1)]
    """Classes to detect. COCO's category ids are 1..N in this order."""
    splits: Annotated[dict[str, int], MinLen(1), Ge(1)]
    """Frames to render for each split: "train", "val", "test", or other names."""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must differ from each other, not {list(self.classes)!r}")


HEADER_KEYS = ("name", "seed", "classes", "splits")
"""Keys that every profile has."""
PROFILE_KEYS = (*HEADER_KEYS, "people", "render", "scene", "scenes", "coco", "model", "train", "evaluate")
"""Top-level keys: ``blender.config`` reads [render], [scene] and [scenes.SPLIT], ``pipeline.config`` the
other tables."""


def find_profile(name: str | Path, folder: Path = Path()) -> Path:
    """Return the file of a profile that a user names by path or by name, as ``find_shipped`` does."""
    return find_shipped("profiles", name, folder)


def load_profile(path: Path) -> dict[str, Any]:
    """Read a profile and the profiles that it extends.

    ``extends = "default.toml"`` names another profile: a path relative to the file, or a name. Tables are
    merged key by key; any other value, a list too, replaces that of the other profile.
    ``remove = ["scene.objects.cages"]`` names tables and keys of the other profile to leave out. In the
    result, model files are relative to ``path``.

    Returns:
        The tables as they are written, without ``extends`` and ``remove``; values are not checked yet.

    Raises:
        UserError: a file is missing or not TOML, profiles extend each other in a circle, or a top-level key
            is unknown or missing.
    """
    profile, problems = read_tables(path)
    problems += [f"{path}: key '{key}' is missing" for key in HEADER_KEYS if key not in profile]
    if problems:
        raise UserError("\n".join(problems))
    return profile


def read_tables(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read a profile as ``load_profile`` does, and go on after an unknown key, to find all problems.

    Returns:
        The tables without the unknown keys, and a line for each unknown key.

    Raises:
        UserError: a file is missing or not TOML, or profiles extend each other in a circle.
    """
    profile, known = _load_extended(path, ()), ", ".join(PROFILE_KEYS)
    unknown = [key for key in profile if key not in PROFILE_KEYS]
    problems = [f"{path}: unknown key '{key}'; known: {known}{closest(key, PROFILE_KEYS)}" for key in unknown]
    return {key: value for key, value in profile.items() if key in PROFILE_KEYS}, problems


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file: UTF-8, with or without a byte order mark, as Windows editors write it.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file cannot be read, is in another encoding, or is not TOML.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    encoding = _name_encoding(data)
    if encoding != "UTF-8":
        raise UserError(f"{path}: the text is {encoding}; save it as UTF-8")
    try:
        return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
    except (ValueError, RecursionError) as error:  # integers of 4300 digits, tables nested hundreds of times
        raise UserError(f"{path}: not valid TOML: {error}") from None


def _name_encoding(data: bytes) -> str:
    """Return "UTF-8", or the name of another encoding with the place that shows it."""
    marks = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"}
    marks |= {
        codecs.BOM_UTF16_LE: "UTF-16",
        codecs.BOM_UTF16_BE: "UTF-16",
    }  # after UTF-32, which begins alike
    for mark, name in marks.items():
        if data.startswith(mark):
            return name
    if b"\0" in data:
        return "UTF-16 or UTF-32" if data.count(0) > len(data) // 4 else "not text (it has zero bytes)"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"not UTF-8 (byte 0x{data[error.start]:02x} in line {line}), perhaps Windows-1252"
    return "UTF-8"


def merge_tables(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``table`` with ``changes`` applied: tables are merged key by key, other values are replaced."""
    merged = dict(table)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = merge_tables(old, value) if both else value  # type: ignore[arg-type]
    return merged


def move_model_files(profile: Mapping[str, Any], folder: Path, to: Path) -> dict[str, Any]:
    """Return a profile of ``folder`` for use in the folder ``to``, with model files relative to ``to``."""
    if folder.resolve() == to.resolve():
        return dict(profile)
    scenes = profile.get("scenes", {}).items()
    moved = {"scene": _move_files(profile.get("scene", {}), folder, to)}
    moved["scenes"] = {split: _move_files(scene, folder, to) for split, scene in scenes}
    return merge_tables(profile, {key: value for key, value in moved.items() if any(value.values())})


def _move_files(scene: Mapping[str, Any], folder: Path, to: Path) -> dict[str, Any]:
    """Return the changes of a [scene] whose model files are to be relative to ``to``."""
    moved = {}
    for name, table in scene.get("objects", {}).items():
        file = table.get("ranges", {}).get("file")
        if isinstance(file, str) and not Path(file).is_absolute():
            path = os.path.relpath(folder.resolve() / file, to.resolve())
            moved[name] = {"ranges": {"file": Path(path).as_posix()}}
    return {"objects": moved} if moved else {}


def _load_extended(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    """Read the profile ``path`` and merge it with the profiles that it extends.

    Args:
        path: the profile.
        children: the profiles that extend it, directly or indirectly, the outermost first.

    Raises:
        UserError: see ``load_profile``.
    """
    if os.path.realpath(path) in map(
        os.path.realpath, children
    ):  # unlike resolve(), no error in a loop of links
        circle = " -> ".join(str(file) for file in (*children, path))
        raise UserError(
            f"{children[0]}: profiles extend each other in a circle: {circle}; remove one 'extends'"
        )
    try:
        profile = read_toml(path)
    except FileNotFoundError:
        if children:
            raise UserError(f"{children[-1]}: extends {path}, which does not exist") from None
        raise UserError(
            f"{path}: no such profile; give the path of a file, or one of {shipped_names('profiles')}"
        ) from None
    base, removed = profile.pop("extends", None), profile.pop("remove", [])
    if base is None:
        if removed:
            raise UserError(f"{path}: remove needs extends; name the profile to extend")
        return profile
    if not isinstance(base, str):
        raise UserError(f"{path}: extends must be the path of a profile, not {base!r}")
    base_path = find_profile(base, path.parent)
    inherited = _load_extended(base_path, (*children, path))
    if not isinstance(removed, list) or not all(isinstance(name, str) for name in removed):
        raise UserError(
            f"{path}: remove must be a list of names such as 'scene.objects.cages', not {removed!r}"
        )
    for name in removed:
        _remove(inherited, name, path)
    return merge_tables(move_model_files(inherited, base_path.parent, path.parent), profile)


def _remove(profile: dict[str, Any], name: str, path: Path) -> None:
    """Delete the key or table with this dotted name."""
    *parents, last = name.split(".")
    table: Any = profile
    for parent in parents:
        table = table.get(parent) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise UserError(f"{path}: remove names '{name}', which the extended profile does not have")
    del table[last]

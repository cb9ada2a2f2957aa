"""Where a split's frames go: a folder, or an object store named by an fsspec URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from blender.contract import UserError


def split_folder(name: str) -> Path:
    """The folder ``name``, absolute; for a URL (``s3://bucket/train``) a ``UPath``, which acts like a Path.

    Raises:
        UserError: the packages for such a URL are missing, or it is not one.
    """
    if "://" not in name:
        return Path(name).absolute()
    try:
        from upath import UPath
    except ImportError:
        raise UserError(
            f"--out {name}: URLs need the extra 'cluster'; pip install 'transpalette[cluster]'"
        ) from None
    try:
        path: Any = UPath(name)
        _ = path.fs  # what the scheme needs is imported now, not after the first frame
    except (ImportError, ValueError) as error:
        raise UserError(f"--out {name}: {error}") from None
    return cast(Path, path)

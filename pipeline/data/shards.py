"""Merge the shards of a split, rendered on several machines, into one split folder (command ``merge``).

The result has the same bytes as a split rendered in one run.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from blender.contract import (
    Manifest,
    UserError,
    array_path,
    frame_is_complete,
    frame_paths,
    read_manifest,
    read_record,
    sha256_file,
    split_folder,
    write_atomic,
)
from pipeline.data.frames import read_verified

PER_SHARD_FIELDS = ("frames", "notes")
"""Fields of a manifest that differ between the shards of a split."""


def merge_shards(shards: Sequence[str], out: str, partial: bool = False) -> None:
    """Copy and check the frames of all ``shards`` into ``out``, and write the manifest last.

    Args:
        shards: folders or URLs written by ``render``, each with its manifest.
        out: a new folder, or the folder of an interrupted merge of the same shards, which is continued.
        partial: allow missing frames.

    Raises:
        UserError: the shards are of different splits or settings, a frame is in two shards, missing or
            damaged, or ``out`` contains other frames.
    """
    folders = [split_folder(name) for name in shards]
    manifests = [read_manifest(folder) for folder in folders]
    _check_same_split(folders, manifests)
    shard_of = _shards_by_frame(folders, manifests)
    merged = dataclasses.replace(
        manifests[0],
        frames={name: hashes for manifest in manifests for name, hashes in manifest.frames.items()},
        notes={"devices": sorted({d for m in manifests for d in m.notes.get("devices", ())})},
    )
    if not partial:
        _check_missing(merged, folders)
    target = split_folder(out)
    _check_target(target, merged)
    with click.progressbar(sorted(shard_of), label=f"merge {merged.split}", file=sys.stderr) as names:
        for name in names:
            _copy_frame(shard_of[name], target, int(name), merged)
    write_atomic(target / "manifest.json", merged.to_bytes())
    click.echo(f"merge: {len(shard_of)} frames of {len(folders)} shards -> {out}")


def _check_same_split(folders: list[Path], manifests: list[Manifest]) -> None:
    """Check that all manifests agree on everything but their frames."""
    first = manifests[0]
    for folder, manifest in zip(folders[1:], manifests[1:], strict=True):
        for field in dataclasses.fields(Manifest):
            value, expected = getattr(manifest, field.name), getattr(first, field.name)
            if field.name not in PER_SHARD_FIELDS and value != expected:
                raise UserError(
                    f"{folder}: not a shard of the split in {folders[0]}: its {field.name} is {value}, "
                    f"not {expected}; render both with the same profile, people and Blender"
                )


def _shards_by_frame(folders: list[Path], manifests: list[Manifest]) -> dict[str, Path]:
    """Map each frame's name to the folder of its shard."""
    shard_of: dict[str, Path] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        for name in manifest.frames:
            if name in shard_of:
                raise UserError(
                    f"{folder}: frame {name} is also in {shard_of[name]}; render each frame in one shard "
                    "(--shard i/n with the same n), or leave one of the folders out"
                )
            if not name.isdecimal():
                raise UserError(f"{folder / 'manifest.json'}: '{name}' is not a frame; render again")
            shard_of[name] = folder
    return shard_of


def _check_missing(merged: Manifest, folders: list[Path]) -> None:
    total = merged.total or 1 + max((int(name) for name in merged.frames), default=-1)
    missing = [f for f in range(total) if f"{f:06d}" not in merged.frames]
    if missing:
        names = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise UserError(
            f"{', '.join(map(str, folders))}: {len(missing)} of {total} frames are missing: {names}; "
            "render them, name their folder too, or add --partial"
        )


def _check_target(target: Path, merged: Manifest) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: not a folder; give another --out")
    for path in sorted(target.glob("frames/*.json")):
        if merged.frames.get(path.stem) != sha256_file(path):
            raise UserError(f"{target}: contains another frame {path.stem}; give an empty --out")


def _copy_frame(source: Path, target: Path, frame: int, merged: Manifest) -> None:
    """Check and copy the files of a frame. The record comes last: a frame exists once its record does."""
    paths, copies = [*frame_paths(source, frame)], [*frame_paths(target, frame)]
    if frame_is_complete(target, frame, merged.fingerprint):
        return
    record = read_record(paths[2])
    hashes = [record.image_sha256, record.mask_sha256, merged.frames[paths[2].stem]]
    copies[2].unlink(missing_ok=True)
    for name, digest in record.arrays_sha256.items():
        paths.insert(0, array_path(source, name, frame))
        copies.insert(0, array_path(target, name, frame))
        hashes.insert(0, digest)
    for path, copy, sha256 in zip(paths, copies, hashes, strict=True):
        write_atomic(copy, read_verified(path, sha256))

"""Shards of one split, rendered apart, as one split folder: the same bytes as of one run."""

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
from pipeline.data.frames import read_as_rendered

OWN = ("frames", "notes")
"""What differs between the manifests of one split's shards."""


def merge_shards(shards: Sequence[str], out: str, partial: bool = False) -> None:
    """Copy the frames of all ``shards`` into ``out``, each checked, and write the manifest last.

    Args:
        shards: folders or URLs that ``render`` wrote, each with its manifest.
        out: a new folder, or one that an earlier, killed merge of the same left.
        partial: allow frames of the split to be missing.

    Raises:
        UserError: shards of different splits or settings, a frame that two have, that none has or that
            is damaged, or other frames in ``out``.
    """
    folders = [split_folder(name) for name in shards]
    manifests = [read_manifest(folder) for folder in folders]
    _check_kinship(folders, manifests)
    owners = _owners(folders, manifests)
    whole = dataclasses.replace(
        manifests[0],
        frames={name: hashes for manifest in manifests for name, hashes in manifest.frames.items()},
        notes={"devices": sorted({d for m in manifests for d in m.notes.get("devices", ())})},
    )
    if not partial:
        _check_missing(whole, folders)
    target = split_folder(out)
    _check_target(target, whole)
    with click.progressbar(sorted(owners), label=f"merge {whole.split}", file=sys.stderr) as names:
        for name in names:
            _copy_frame(owners[name], target, int(name), whole)
    write_atomic(target / "manifest.json", whole.to_bytes())
    click.echo(f"merge: {len(owners)} frames of {len(folders)} shards -> {out}")


def _check_kinship(folders: list[Path], manifests: list[Manifest]) -> None:
    first = manifests[0]
    for folder, manifest in zip(folders[1:], manifests[1:], strict=True):
        for field in dataclasses.fields(Manifest):
            here, there = getattr(manifest, field.name), getattr(first, field.name)
            if field.name not in OWN and here != there:
                raise UserError(
                    f"{folder}: not a shard of the split in {folders[0]}: its {field.name} is {here}, "
                    f"there it is {there}; render both with the same profile, people and Blender"
                )


def _owners(folders: list[Path], manifests: list[Manifest]) -> dict[str, Path]:
    """The folder of each frame."""
    owners: dict[str, Path] = {}
    for folder, manifest in zip(folders, manifests, strict=True):
        for name in manifest.frames:
            if name in owners:
                raise UserError(
                    f"{folder}: frame {name} is in {owners[name]} too; render each frame in one shard "
                    "(--shard i/n with the same n), or leave one of the folders out"
                )
            if not name.isdecimal():
                raise UserError(f"{folder / 'manifest.json'}: '{name}' is not a frame; render again")
            owners[name] = folder
    return owners


def _check_missing(whole: Manifest, folders: list[Path]) -> None:
    total = whole.total or 1 + max((int(name) for name in whole.frames), default=-1)
    missing = [f for f in range(total) if f"{f:06d}" not in whole.frames]
    if missing:
        names = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise UserError(
            f"{', '.join(map(str, folders))}: {len(missing)} of {total} frames are missing: {names}; "
            "render them, name their folder too, or add --partial"
        )


def _check_target(target: Path, whole: Manifest) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: not a folder; name another --out")
    for path in sorted(target.glob("frames/*.json")):
        if whole.frames.get(path.stem) != sha256_file(path):
            raise UserError(f"{target}: holds another frame {path.stem}; name an empty --out")


def _copy_frame(source: Path, target: Path, frame: int, whole: Manifest) -> None:
    """Copy a frame whose files are as recorded; its record last, so that it exists or doesn't."""
    paths, copies = [*frame_paths(source, frame)], [*frame_paths(target, frame)]
    if frame_is_complete(target, frame, whole.fingerprint):
        return
    record = read_record(paths[2])
    hashes = [record.image_sha256, record.mask_sha256, whole.frames[paths[2].stem]]
    copies[2].unlink(missing_ok=True)
    for name, digest in record.arrays_sha256.items():
        paths.insert(0, array_path(source, name, frame))
        copies.insert(0, array_path(target, name, frame))
        hashes.insert(0, digest)
    for path, copy, sha256 in zip(paths, copies, hashes, strict=True):
        write_atomic(copy, read_as_rendered(path, sha256))

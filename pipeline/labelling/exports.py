"""Open what an annotation tool has exported: a file, a folder or a zip archive."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from blender.contract import UserError, list_names
from pipeline.data.images import is_inside, unsafe_path_reason
from pipeline.data.validation.dataset import KEYS
from pipeline.labelling.coco import clear_brush_crowds
from pipeline.labelling.cvat import read_cvat
from pipeline.labelling.label_studio import is_label_studio, read_label_studio

MAX_BYTES = 1 << 30
"""Bytes of the largest file with labels that is read; in an archive, a small file may claim to be larger."""
_SUFFIXES = (".json", ".xml")
_ADVICE = (
    "export 'COCO 1.0' or 'CVAT for images 1.1' from CVAT, 'JSON' from Label Studio, or COCO instances from "
    "another tool"
)


@dataclass(frozen=True)
class Export:
    """The labels of an export as a COCO dataset, not yet validated."""

    tool: str
    """The format's name, for messages."""
    dataset: dict[str, Any]
    notes: list[str]
    """What the user should know, one line each."""


def read_export(path: Path) -> Export:
    """Read the labels of a file, or of the one file with labels in a folder or zip archive.

    Raises:
        UserError: there is no such path, no file with labels or several, or it is malformed.
    """
    if path.is_dir():
        files = _files_of_folder(path)
    elif not path.exists():
        raise UserError(f"{path}: no such file or folder; give what the annotation tool exported")
    elif zipfile.is_zipfile(path):
        files = _files_of_archive(path)
    else:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(str(path))
        export = parse_labels(path.read_bytes(), str(path))
        if export is None:
            raise UserError(f"{path}: not the labels of a known tool; {_ADVICE}")
        return export
    found = {where: export for where, data in files if (export := parse_labels(data, where))}
    if not found:
        raise UserError(f"{path}: has no file with labels; {_ADVICE}")
    if len(found) > 1:
        raise UserError(f"{path}: several files have labels: {list_names(found)}; give one of them")
    return next(iter(found.values()))


def parse_labels(data: bytes, where: str) -> Export | None:
    """Parse the content of a file by its form, whatever its name.

    Args:
        data: the content.
        where: the file's name, for messages.

    Returns:
        The labels; None if it is valid XML or JSON of another kind.

    Raises:
        UserError: it is neither XML nor JSON, or malformed.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        root = parse_xml(text, where)
        return Export("CVAT", *read_cvat(root, where)) if root.tag == "annotations" else None
    try:
        value = json.loads(text)
    except RecursionError:
        raise UserError(f"{where}: nested too deeply; {_ADVICE}") from None
    except ValueError as error:
        raise UserError(f"{where}: neither XML nor JSON ({error}); {_ADVICE}") from None
    if isinstance(value, dict) and all(isinstance(value.get(key), list) for key in KEYS):
        return Export("COCO", *clear_brush_crowds(value))
    tasks = [value] if isinstance(value, dict) else value
    if is_label_studio(tasks):
        return Export("Label Studio", *read_label_studio(tasks, where))
    return None


def parse_xml(data: bytes, where: str) -> ElementTree.Element:
    """Parse XML without a document type, so that no entity can be declared.

    Raises:
        UserError: it is malformed, or has a document type.
    """

    def refuse(*_: Any) -> None:
        raise UserError(f"{where}: refused: it has a document type (DTD), which exports do not have")

    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise UserError(f"{where}: not readable as XML: {error}; export it again") from None
    return builder.close()


def _files_of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file() and is_inside(folder, path):
            if path.stat().st_size > MAX_BYTES:
                raise _too_large(str(path))
            yield str(path), path.read_bytes()


def _files_of_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files with labels; nothing is unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries:
                if reason := unsafe_path_reason(entry.filename):
                    raise UserError(
                        f"{path}: refused: the path {entry.filename!r} in it: {reason}; zip the folder again"
                    )
            for entry in entries:
                if entry.is_dir() or Path(entry.filename).suffix.lower() not in _SUFFIXES:
                    continue
                where = f"{path}/{entry.filename}"
                if entry.file_size > MAX_BYTES:  # zipfile unpacks no more than this
                    raise _too_large(where)
                yield where, archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: not a readable zip archive: {error}; export it again") from None


def _too_large(where: str) -> UserError:
    return UserError(f"{where}: larger than {MAX_BYTES >> 20} MiB; export the images in several parts")

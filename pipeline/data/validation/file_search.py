"""Find the file of an image whose ``file_name`` is a variant of the file's name.

Annotation tools write paths of their own machine, URLs and encoded names. Archives change the Unicode form of
a name, and file systems its case. A file is taken only if exactly one fits, and only for one entry.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote

from blender.contract import list_names
from pipeline.data.images import is_file, is_inside

Parts = tuple[str, ...]
"""The folders of a path and its last part."""
_MOST_PARTS = 32
"""Longest tail of a name that is compared."""


@dataclass(frozen=True)
class Match:
    """The files that fit a name."""

    files: tuple[str, ...] = ()
    """Paths in the folder, with '/'."""
    shared: bool = False
    """Another entry has the same file."""

    @property
    def file(self) -> str | None:
        """The file, if there is no doubt; else None."""
        return self.files[0] if len(self.files) == 1 and not self.shared else None

    def __str__(self) -> str:
        """Describe the match for a message; "" if no file fits."""
        names = list_names(self.files, 3)
        if len(self.files) > 1:
            return f"{len(self.files)} files fit: {names}"
        if not self.files:
            return ""
        return f"{names} fits{', but another entry has it' if self.shared else ''}"


NO_MATCH = Match()


class FileSearch:
    """Match the names of a COCO file with the files of its image folder."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        """Prepare the search; the folder is listed when the first file is searched.

        Args:
            folder: the image folder.
            names: every ``file_name`` of the COCO file.
        """
        self.folder, self.names = folder, frozenset(names)

    def match(self, name: str) -> Match:
        """Find the files that fit a ``file_name``."""
        return self._matches.get(name, NO_MATCH)

    @cached_property
    def _matches(self) -> dict[str, Match]:
        files = {PurePosixPath(*parts).as_posix() for parts in self._files}
        exact = {name for name in self.names if name in files}
        found = {name: self._search(name) for name in self.names - exact}
        users = Counter([*exact, *(fits[0] for fits in found.values() if len(fits) == 1)])
        matches = {
            name: Match(fits, shared=len(fits) == 1 and users[fits[0]] > 1) for name, fits in found.items()
        }
        return matches | {name: Match((name,)) for name in exact}

    @cached_property
    def _files(self) -> list[Parts]:
        """The files below the folder, without symlinks that lead out of it."""
        files = []
        for root, folders, names in os.walk(self.folder):
            folders.sort()
            for path in (Path(root, name) for name in sorted(names)):
                if not path.is_symlink() or (is_file(path) and is_inside(self.folder, path)):
                    files.append(path.relative_to(self.folder).parts)
        return files

    @cached_property
    def _indices(self) -> list[dict[Parts, list[str]]]:
        """For each pair of ``_KEYS`` the files by their keys."""
        indices = []
        for _, key_of_file in _KEYS:
            index: defaultdict[Parts, list[str]] = defaultdict(list)
            for parts in self._files:
                index[tuple(map(key_of_file, parts))].append(PurePosixPath(*parts).as_posix())
            indices.append(dict(index))
        return indices

    def _search(self, name: str) -> tuple[str, ...]:
        """Return the files that fit best: by the first key that has any, and there by the longest tail."""
        spellings = [_split(spelling) for spelling in _spellings(name)]
        for (key_of_name, _), index in zip(_KEYS, self._indices, strict=True):
            tails = [
                keys[start:]
                for keys in (tuple(map(key_of_name, parts)) for parts in spellings)
                for start in range(len(keys))
            ]
            for tail in sorted(tails, key=len, reverse=True):
                if tail in index:
                    return tuple(index[tail])
        for (key_of_name, _), index in zip(_KEYS, self._indices, strict=True):
            for keys in (tuple(map(key_of_name, parts)) for parts in spellings if parts):
                if fits := [f for path, files in index.items() if path[-len(keys) :] == keys for f in files]:
                    return tuple(fits)
        return ()


def _spellings(name: str) -> list[str]:
    """Return a name as it is, without a URL's query, the values in that query, and all of them decoded."""
    address, _, query = name.partition("?")
    spellings = [name, address.partition("#")[0], *(value for _, value in parse_qsl(query))]
    return list(dict.fromkeys([*spellings, *map(_decode, spellings)]))


def _split(spelling: str) -> Parts:
    """Split a path of any system, without its drive, and without its parts "." and ".."."""
    parts = re.split(r"[/\\]", re.sub(r"^[A-Za-z]:", "", spelling))
    parts = [part for part in parts if part not in ("", ".", "..")]
    return tuple(parts[-_MOST_PARTS:])


# ------------------------------------------------------------------------------ keys of a name's parts


def _decode(text: str) -> str:
    """Decode percent signs, also if the text was encoded twice."""
    decoded = unquote(text)
    return decoded if decoded == text else _decode(decoded)


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", _decode(text))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", _compose(text).casefold())


def _upload(text: str) -> str:
    """Return the name that Django, on which Label Studio runs, gives to an uploaded file."""
    return re.sub(r"[^-\w.]", "", _fold(text).strip().replace(" ", "_"))


def _without_hash(text: str) -> str:
    """Remove the eight hexadecimal digits that Label Studio puts before an uploaded file's name."""
    return re.sub(r"^[0-9a-f]{8}-", "", _upload(text))


Key = Callable[[str], str]
_KEYS: tuple[tuple[Key, Key], ...] = (
    (str, str),
    (_decode, _decode),
    (_compose, _compose),
    (_fold, _fold),
    (_upload, _upload),
    (_without_hash, _upload),
    (_upload, _without_hash),
)
"""Pairs of functions, from exact to lenient. A file fits if its key is that of the name."""

"""Find the file of an image whose ``file_name`` is a variant of the file's name.

Annotation tools write paths of their own machine, URLs and encoded names. Archives change the Unicode form of
a name, and file systems its case. A file is taken only if exactly one fits, and only for one entry.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from blender.contract import list_names
from pipeline.data.images import HEIC_SUFFIXES, IMAGE_SUFFIXES, is_file, is_inside

Parts = tuple[str, ...]
"""The folders of a path and its last part."""
Key = Callable[[str], str]
"""Maps a part of a path to what is compared."""
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
        return match_names(self.names, self._files)

    @cached_property
    def _files(self) -> list[str]:
        """The files below the folder, without symlinks that lead out of it."""
        files = []
        for root, folders, names in os.walk(self.folder):
            folders.sort()
            for path in (Path(root, name) for name in sorted(names)):
                if not path.is_symlink() or (is_file(path) and is_inside(self.folder, path)):
                    files.append(path.relative_to(self.folder).as_posix())
        return files


def match_names(names: Collection[str], files: Collection[str], any_folder: bool = False) -> dict[str, Match]:
    """Match names, which may be variants, with files.

    Args:
        names: the names.
        files: paths with '/'.
        any_folder: a name without a match also fits a file of that name in another folder.
    """
    known, index = set(files), NameIndex(files)
    exact = {name for name in names if name in known}
    found = {name: index.search(name, any_folder) for name in names if name not in exact}
    users = Counter([*exact, *(fits[0] for fits in found.values() if len(fits) == 1)])
    matches = {
        name: Match(fits, shared=len(fits) == 1 and users[fits[0]] > 1) for name, fits in found.items()
    }
    return matches | {name: Match((name,)) for name in exact}


class NameIndex:
    """An index of files by the variants of their names."""

    def __init__(self, files: Iterable[str]) -> None:
        """Take the paths of the files, with '/'; they are indexed when the first name is searched."""
        self._files = [(file, _split(file)) for file in dict.fromkeys(files)]
        self._indices: dict[Key, tuple[dict[Parts, list[str]], dict[Parts, list[str]]]] = {}

    def search(self, name: str, any_folder: bool = False) -> tuple[str, ...]:
        """Return the files that fit best: by the first key that has any, and there by the longest tail.

        Args:
            name: the name.
            any_folder: if no file fits, compare the last parts alone.
        """
        spellings = [parts for parts in map(_split, _spellings(name)) if parts]
        for keys in (_KEYS, _STEM_KEYS):
            for compared in (spellings, [parts[-1:] for parts in spellings if any_folder]):
                for key_of_name, key_of_file in keys:
                    variants = [tuple(map(key_of_name, parts)) for parts in compared]
                    if files := self._look_up(variants, key_of_file):
                        return tuple(files)
        return ()

    def _look_up(self, variants: list[Parts], key_of_file: Key) -> list[str]:
        """Return the files whose path is the longest tail of a variant, or ends with a variant."""
        paths, tails = self._index(key_of_file)
        ends = [parts[start:] for parts in variants for start in range(len(parts))]
        for end in sorted(ends, key=len, reverse=True):
            if end in paths:
                return paths[end]
        return next((tails[parts] for parts in variants if parts in tails), [])

    def _index(self, key: Key) -> tuple[dict[Parts, list[str]], dict[Parts, list[str]]]:
        """Return the files by the keys of their paths, and by those of the tails of their paths."""
        if key not in self._indices:
            paths: defaultdict[Parts, list[str]] = defaultdict(list)
            tails: defaultdict[Parts, list[str]] = defaultdict(list)
            for file, parts in self._files:
                keys = tuple(map(key, parts))
                paths[keys].append(file)
                for start in range(len(keys)):
                    tails[keys[start:]].append(file)
            self._indices[key] = dict(paths), dict(tails)
        return self._indices[key]


def _spellings(name: str) -> list[str]:
    """Return a name as it is, without a URL's query, the values in that query, and all of them decoded."""
    address, _, query = name.partition("?")
    spellings = [name, address.partition("#")[0], *(value for _, value in parse_qsl(query))]
    spellings += [spelling.replace("+", " ") for spelling in spellings]  # spaces in URLs of forms
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
    """Remove the hash that Label Studio puts before an uploaded file's name, or Roboflow behind it."""
    name = re.sub(r"^[0-9a-f]{8}-", "", _upload(text))
    return re.sub(r"_([a-z]{3,4})\.rf\.\w{8,}\.[a-z]{3,4}$", r".\1", name)


def _without_suffix(text: str) -> str:
    """Remove the extension of an image file, which changes when a tool converts it."""
    name = _fold(text)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix in IMAGE_SUFFIXES + HEIC_SUFFIXES else name


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
_STEM_KEYS = ((_without_suffix, _without_suffix),)
"""The most lenient pair: a file of another image format."""

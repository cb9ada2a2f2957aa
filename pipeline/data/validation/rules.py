"""The registry of validation rules: each rule has a severity, advice for the user, and a fix if possible.

A rule is a function with the decorator ``rule``. To add a rule, write it in the module of its scope::

    @rule("bbox-missing", ANNOTATION, advice="write the mask's box", **MEASURE_BBOX)
    def _bbox_missing(annotation, context):
        return None if "bbox" in annotation else "it has no bbox"
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pipeline.data.validation.file_search import FileSearch, NameIndex
from pipeline.data.values import free_ids, is_id, is_int, short_repr

Entry = dict[str, Any]
"""An entry of ``images``, ``categories`` or ``annotations``."""

ERROR, WARNING = "error", "warning"

JSON, FILE, LISTS, DATASET = "json", "file", "lists", "dataset"
"""Scopes of a complete file: its bytes, its top level, its lists, and all annotations together."""
CATEGORY, IMAGE, IMAGE_FILE = "category", "image", "image file"
ANNOTATION, SEGMENTATION, MASK = "annotation", "segmentation", "mask"
"""Scopes of an entry, or of a part of it."""


@dataclass(frozen=True)
class Problem:
    """A place where a COCO file breaks a rule, with advice how to fix it."""

    rule: str
    message: str
    image_id: Any = None
    annotation_id: Any = None
    advice: str = ""
    severity: str = ERROR
    """"error": training or evaluation with the file fails or gives wrong figures; "warning": probably a
    mistake."""

    def __str__(self) -> str:
        """Format as one line: severity, place, rule, message, advice."""
        ids = (("image", self.image_id), ("annotation", self.annotation_id))
        place = [f"{kind} {value!r}" for kind, value in ids if value is not None]
        return f"{self.severity}: {', '.join([*place, self.rule])}: {self.message}; fix: {self.advice}"


@dataclass(frozen=True)
class Context:
    """An index of the complete COCO file, for rules and fixes of a single entry."""

    images: dict[int, Entry]
    categories: dict[int, Entry]
    image_ids: Counter[Any]
    category_ids: Counter[Any]
    annotation_ids: Counter[Any]
    file_names: Counter[Any]
    category_names: Counter[Any]
    files: FileSearch | None = None
    """The image folder; None: do not check the files."""
    free_category_id: int = 1
    """An id that no category has."""
    image_names: NameIndex = field(default_factory=lambda: NameIndex(()))
    """The file names of the images."""

    def image_id_of_name(self, name: Any) -> int | None:
        """Return the id of the image with this file name or stem, if there is exactly one."""
        files = self.image_names.search(name) if isinstance(name, str) else ()
        if len(files) != 1 or self.file_names[files[0]] != 1:
            return None
        return self._ids_by_file_name.get(files[0])

    @cached_property
    def _ids_by_file_name(self) -> dict[Any, int]:
        return {i["file_name"]: i["id"] for i in self.images.values() if isinstance(i.get("file_name"), str)}


@dataclass(frozen=True)
class Change:
    """A change that was made in the repaired copy."""

    rule: str
    place: str
    """The entry with its original id: ``image 3``, ``annotation 11``, ..."""
    removed: bool = False


EntryFix = Callable[[Entry, Context], Entry | None]
"""Returns a copy of the entry with the problem fixed; None: the entry must be removed; the entry itself: the
problem stays, because only the owner of the file can decide."""
DatasetFix = Callable[[Entry, Path | None, list[Change]], Entry]
"""Returns the fixed COCO file. Takes the file, its image folder and the list of changes, which it extends."""


@dataclass(frozen=True)
class Rule:
    """A check with its severity, its advice, and exactly one of a fix or a reason why there is none."""

    name: str
    scope: str
    check: Callable[[Any, Any], Any]
    """Takes the entry and the context; returns a message if the rule is broken, else None.

    Checks of the scopes FILE, LISTS and DATASET yield any number of ``Violation`` instead.
    """
    advice: str
    severity: str = ERROR
    fix: EntryFix | None = None
    fix_stage: int = 0
    """Fixes of an entry are applied by stage, and within a stage in the order of registration."""
    dataset_fix: DatasetFix | None = None
    not_fixable: str = ""
    """Why the rule has no fix."""

    def problem(self, message: str, image_id: Any = None, annotation_id: Any = None) -> Problem:
        """Build a problem of this rule."""
        return Problem(self.name, message, image_id, annotation_id, self.advice, self.severity)


@dataclass(frozen=True)
class Violation:
    """A violation of a rule about the complete file: the message and the entry that it is about."""

    message: str
    image_id: Any = None
    annotation_id: Any = None


RULES: dict[str, Rule] = {}
"""All registered rules by name, in the order of registration."""
_BY_SCOPE: defaultdict[str, list[Rule]] = defaultdict(list)

Check = TypeVar("Check", bound=Callable[[Any, Any], Any])


def rule(
    name: str,
    scope: str,
    *,
    advice: str,
    severity: str = ERROR,
    fix: EntryFix | None = None,
    fix_stage: int = 0,
    dataset_fix: DatasetFix | None = None,
    not_fixable: str = "",
) -> Callable[[Check], Check]:
    """Register the decorated function as the check of a rule.

    Args:
        name: the rule's name in messages.
        scope: one of the scopes above; it decides what the check takes.
        advice: how the user can fix the problem, as an imperative.
        severity: ERROR or WARNING.
        fix, fix_stage, dataset_fix, not_fixable: as in ``Rule``. Give exactly one of the fixes, or a reason
            why there is none.

    Raises:
        ValueError: the name is in use, or the options are not as described.
    """
    if name in RULES or sum(map(bool, (fix, dataset_fix, not_fixable))) != 1:
        raise ValueError(f"rule {name}: give it a new name and one of fix, dataset_fix and not_fixable")

    def register(check: Check) -> Check:
        RULES[name] = Rule(name, scope, check, advice, severity, fix, fix_stage, dataset_fix, not_fixable)
        _BY_SCOPE[scope].append(RULES[name])
        return check

    return register


def broken_rules(scope: str, entry: Any, context: Any, **place: Any) -> Iterator[Problem]:
    """Yield a problem for each rule of ``scope`` that ``entry`` breaks.

    Args:
        scope: the scope.
        entry: the entry, as the scope's checks take it.
        context: the second argument of the scope's checks.
        place: image_id and annotation_id of the entry.
    """
    for each in _BY_SCOPE[scope]:
        message = each.check(entry, context)
        if message is not None:
            yield each.problem(message, **place)


def broken_dataset_rules(scope: str, dataset: Any, context: Any) -> Iterator[Problem]:
    """Yield a problem for each violation of a rule of the scope FILE, LISTS or DATASET."""
    for each in _BY_SCOPE[scope]:
        for violation in each.check(dataset, context):
            yield each.problem(violation.message, violation.image_id, violation.annotation_id)


def make_context(dataset: Entry, folder: Path | None = None) -> Context:
    """Index a COCO file whose entries may be any JSON values."""
    images, categories, annotations = (
        [entry for entry in dataset[key] if isinstance(entry, dict)]
        for key in ("images", "categories", "annotations")
    )
    by_id = {c["id"]: c for c in categories if is_int(c.get("id"))}
    return Context(
        images={i["id"]: i for i in images if is_int(i.get("id"))},
        categories=by_id,
        image_ids=_count(images, "id"),
        category_ids=_count(categories, "id"),
        annotation_ids=_count(annotations, "id"),
        file_names=_count(images, "file_name"),
        category_names=_count(categories, "name"),
        files=None if folder is None else FileSearch(folder, _texts(images, "file_name")),
        free_category_id=next(free_ids(by_id.keys() | int_ids(annotations, "category_id"))),
        image_names=NameIndex(_texts(images, "file_name")),
    )


def int_ids(entries: list[Entry], key: str) -> set[int]:
    """Return the values of ``key`` that are valid ids."""
    return {entry[key] for entry in entries if is_id(entry.get(key))}


def _texts(entries: list[Entry], key: str) -> list[str]:
    return [entry[key] for entry in entries if isinstance(entry.get(key), str)]


def _count(entries: list[Entry], key: str) -> Counter[Any]:
    return Counter(entry[key] for entry in entries if is_reference(entry.get(key)))


def remove(entry: Entry, context: Context) -> None:
    """Fix for an entry that cannot be corrected: remove it."""


def fix_entry(
    entry: Entry,
    kind: str,
    find_problems: Callable[[Entry], Iterable[Problem]],
    context: Context,
    changes: list[Change],
) -> Entry | None:
    """Apply the fixes of the rules that an entry breaks, one after the other, until it breaks none.

    Args:
        entry: the entry; it is not changed.
        kind: "image", "category" or "annotation", for the list of changes.
        find_problems: yields all problems of an entry.
        context: the index of the file, for the fixes.
        changes: the list to which the changes are appended.

    Returns:
        The fixed entry; None if it must be removed, for example because a fix had no effect.
    """
    place, applied, left = f"{kind} {short_repr(entry.get('id'))}", set(), set()

    def broken() -> list[Rule]:
        rules = [RULES[problem.rule] for problem in find_problems(entry)]
        return [each for each in rules if each.fix and each.name not in left]

    # The problems come in the order of registration, and min() takes the first of the lowest stage.
    while rules := broken():
        first = min(rules, key=lambda each: each.fix_stage)
        fixed = first.fix(entry, context) if first.fix is not None and first.name not in applied else None
        if fixed is entry:
            left.add(first.name)
            continue
        changes.append(Change(first.name, place, removed=fixed is None))
        if fixed is None:
            return None
        applied.add(first.name)
        entry = fixed
    return entry


def move_references(annotations: list[Entry], key: str, moved: dict[Any, int]) -> list[Entry]:
    """Return the annotations with the new ids of their images or categories.

    Args:
        key: "image_id" or "category_id".
        moved: old id -> new id.
    """
    return [
        a | {key: moved[a[key]]} if is_reference(a.get(key)) and a[key] in moved else a for a in annotations
    ]


def is_reference(value: Any) -> bool:
    """Return whether the value can be the id that an annotation names: a number or a word."""
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)

"""What a check of a COCO file is made of: rules in tables, and the faults that they find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.data.values import is_int

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a COCO file, where it is, and what to do about it."""

    rule: str
    message: str
    image_id: Any = None
    annotation_id: Any = None
    cure: str = ""
    severity: str = ERROR
    """"error": evaluation or training with the file fails or lies; "warning": suspicious, usable."""

    def __str__(self) -> str:
        """One line: severity, place, rule, what, cure."""
        place = [
            f"{what} {value!r}"
            for what, value in (("image", self.image_id), ("annotation", self.annotation_id))
            if value is not None
        ]
        return f"{self.severity}: {', '.join([*place, self.rule])}: {self.message}; cure: {self.cure}"


@dataclass(frozen=True)
class Index:
    """What a rule may need to know of the rest of the file."""

    images: dict[int, dict[str, Any]]
    categories: dict[int, dict[str, Any]]
    image_ids: Counter[Any]
    category_ids: Counter[Any]
    annotation_ids: Counter[Any]
    file_names: Counter[Any]
    category_names: Counter[Any]


@dataclass(frozen=True)
class Rule:
    """A check of one image, category or annotation: None, or what is wrong."""

    name: str
    check: Callable[[dict[str, Any], Any], str | None]
    """Takes the item and what it is to be seen with: the index, its image, or its mask."""
    cure: str
    severity: str = ERROR


def broken(rules: Iterable[Rule], item: dict[str, Any], context: Any, **place: Any) -> Iterator[Fault]:
    """Yield a fault for each rule that ``item`` breaks; ``place`` is its image_id and annotation_id."""
    for rule in rules:
        message = rule.check(item, context)
        if message is not None:
            yield Fault(rule.name, message, cure=rule.cure, severity=rule.severity, **place)


def make_index(dataset: dict[str, Any]) -> Index:
    """Index a COCO file whose entries may be anything at all."""
    images, categories, annotations = (
        [item for item in dataset[key] if isinstance(item, dict)]
        for key in ("images", "categories", "annotations")
    )
    return Index(
        images={i["id"]: i for i in images if is_int(i.get("id"))},
        categories={c["id"]: c for c in categories if is_int(c.get("id"))},
        image_ids=_count(images, "id"),
        category_ids=_count(categories, "id"),
        annotation_ids=_count(annotations, "id"),
        file_names=_count(images, "file_name"),
        category_names=_count(categories, "name"),
    )


def _count(items: list[dict[str, Any]], key: str) -> Counter[Any]:
    return Counter(item[key] for item in items if isinstance(item.get(key), (int, str)))

"""Labels that a model proposes for images, before they are written for an annotation tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ProposedObject:
    """A detected object, to be corrected."""

    label: str
    """The name of its class."""
    rle: dict[str, Any]
    """Its mask as COCO's compressed RLE; at least one pixel."""
    score: float
    """From 0 to 1."""


@dataclass(frozen=True)
class ProposedImage:
    """An image as an annotation tool gets it, and its objects."""

    name: str
    """The file's name in the folder images/."""
    width: int
    """In pixels, upright."""
    height: int
    objects: tuple[ProposedObject, ...]

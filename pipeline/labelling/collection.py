"""A folder in the form of ``prelabel`` to which images are added one by one, also in several sessions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender.contract import UserError, canonical_json, from_table, sha256_file, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.inference.detections import Detections
from pipeline.labelling.image_copies import copy_name, upright_copy
from pipeline.labelling.prelabel import WRITERS
from pipeline.labelling.proposals import ProposedImage, propose_objects, without_empty_masks
from pipeline.labelling.review import Doubt, assess, write_review

STATE = "collection.json"
"""File of the folder from which the labels and review.csv are written again when an image is added."""
DIGITS = 9999
"""Number of images for which the numbers in the names of files have the same length."""


@dataclass(frozen=True)
class CollectedImage:
    """An image of the folder."""

    image: ProposedImage
    doubt: Doubt
    source: str
    """The name of the original image."""
    sha256: str
    """Of the original image."""


@dataclass(frozen=True)
class CollectionState:
    """The content of ``STATE``."""

    tool: str
    """A key of ``pipeline.labelling.prelabel.WRITERS``."""
    classes: tuple[str, ...]
    """The model's class names."""
    images: tuple[CollectedImage, ...]
    """In the order in which they were added."""


class Collection:
    """A folder of images and labels to correct."""

    def __init__(self, out: Path, tool: str, classes: Iterable[str]) -> None:
        """Open a folder; it is created when the first image is added.

        Args:
            out: a new or empty folder, or one that was filled before with the same tool and classes.
            tool: a key of ``pipeline.labelling.prelabel.WRITERS``.
            classes: the model's class names.

        Raises:
            UserError: the folder has other files, or labels for another tool or of other classes.
        """
        self.out = out
        self._state = CollectionState(tool, tuple(classes), ())
        if (out / STATE).is_file():
            self._state = self._read()
        elif out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out}: contains other files; remove them, or give another folder")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._state.images)

    def add(self, path: Path, detections: Detections, threshold: float) -> str:
        """Add an image and its objects; the same image replaces its earlier entry.

        Args:
            path: the image file.
            detections: those with a score from ``threshold - NEAR`` on (see ``assess``).
            threshold: the lowest score of an object.

        Returns:
            The name of its copy in the folder images/.

        Raises:
            UserError: the image cannot be read, or the folder cannot be written to.
        """
        prepare_output_dir(self.out)
        detections = without_empty_masks(detections)
        objects = propose_objects(detections, self._state.classes, threshold)
        content, suffix = upright_copy(path)
        sha256, images = sha256_file(path), list(self._state.images)
        place = next((n for n, entry in enumerate(images) if entry.sha256 == sha256), len(images))
        if place < len(images):
            name = images[place].image.name
        else:
            last = max((int(entry.image.name.partition("-")[0]) for entry in images), default=0)
            name = copy_name(last + 1, DIGITS, path, suffix)
        height, width = detections.image_size
        image = ProposedImage(name, width, height, objects)
        images[place : place + 1] = [CollectedImage(image, assess(detections, threshold), path.name, sha256)]
        write_atomic(self.out / "images" / name, content)
        self._state = dataclasses.replace(self._state, images=tuple(images))
        self._write()
        return name

    def _write(self) -> None:
        state = self._state
        write_atomic(self.out / STATE, canonical_json(dataclasses.asdict(state)))
        WRITERS[state.tool](self.out, [entry.image for entry in state.images], state.classes)
        write_review(
            self.out,
            [
                (entry.image.name, len(entry.image.objects), entry.doubt, Path(entry.source))
                for entry in sorted(state.images, key=lambda entry: entry.doubt.order)
            ],
        )

    def _read(self) -> CollectionState:
        """Read the images of earlier sessions; those whose copy was removed are left out."""
        path = self.out / STATE
        try:
            table: Any = json.loads(path.read_bytes())
        except (OSError, ValueError):
            raise UserError(f"{path}: cannot be read; give another folder") from None
        state = from_table(CollectionState, table, str(path))
        wanted = self._state
        if (state.tool, state.classes) != (wanted.tool, wanted.classes):
            raise UserError(
                f"{self.out}: has labels for {state.tool} of the classes {', '.join(state.classes)}; "
                "give another folder"
            )
        present = [entry for entry in state.images if (self.out / "images" / entry.image.name).is_file()]
        return dataclasses.replace(state, images=tuple(present))

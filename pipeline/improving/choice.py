"""Choose which of the proposed scenes to render: those whose objects fall into weak slices.

A part of the frames is taken as it comes, so that nothing is forgotten. Each other frame is the one with the
largest gain, one after the other. A slice with n objects so far gains strength * (sqrt(n + new) - sqrt(n)):
many objects of one slice do not crowd out the other slices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.combine import select_categories
from pipeline.evaluation.factors import Binner, Factors, image_factors, make_binner, object_factors
from pipeline.evaluation.matching import Floats
from pipeline.improving.weakness import Mistaken, WeakCell, kind_of, look_alikes

UNIFORM_SHARE = 0.25
"""Share of the frames that are taken as they come, rounded up."""
_FILL = 0.5
"""Area of a mask as a share of its box's, for a class that the choosing split does not show."""


@dataclass(frozen=True)
class Choice:
    """The frames to render."""

    frames: tuple[int, ...]
    """Numbers of the frames in their split, ascending."""
    hits: dict[int, dict[str, int]]
    """Frame -> description of a weak slice -> number of its objects in the frame."""


class SliceReader:
    """Sorts objects into the slices of the factor table of the choosing split."""

    def __init__(self, dataset: dict[str, Any], classes: Sequence[str]) -> None:
        """Read the bins of the factors.

        Args:
            dataset: the annotations of the choosing split.
            classes: the classes that are detected.
        """
        self.classes = tuple(classes)
        ids = {c["name"]: c["id"] for c in dataset["categories"] if c["name"] in classes}
        dataset = select_categories(dataset, ids.values())
        pairs = zip(dataset["annotations"], object_factors(dataset), strict=True)
        counted = [(a, factors) for a, factors in pairs if not a.get("iscrowd")]
        names = sorted({name for _, factors in counted for name in factors})
        found = {name: make_binner(name, [f[name] for _, f in counted if name in f]) for name in names}
        self.binners: dict[str, Binner] = {name: b for name, b in found.items() if b is not None}
        self.fill = {
            name: self._fill_of([a for a, _ in counted if a["category_id"] == i]) for name, i in ids.items()
        }

    @staticmethod
    def _fill_of(annotations: list[dict[str, Any]]) -> float:
        """Return the median share of the boxes that the masks fill."""
        shares = [a["area"] / (a["bbox"][2] * a["bbox"][3]) for a in annotations if min(a["bbox"][2:]) > 0]
        return float(np.median(shares)) if shares else _FILL

    def bins(self, factors: Factors) -> dict[str, str]:
        """Return the name of the bin of each factor that the table has."""
        return {name: self.binners[name](v)[1] for name, v in factors.items() if name in self.binners}

    def objects(self, scene: dict[str, Any], least_pixels: float) -> list[tuple[str, dict[str, str]]]:
        """Return the class and the bins of each object of the classes in a described scene.

        The area of a mask is estimated from its box; occlusion is not known, and neither is its factor.

        Args:
            scene: the scene, described as by ``blender.proposals``.
            least_pixels: objects of a smaller area are left out: they would be ignore regions.
        """
        image = {key: value for key, value in scene.items() if key != "objects"} | {"id": 1}
        annotations = []
        for item in scene["objects"]:
            if item["category"] in self.classes:
                area = self.fill.get(item["category"], _FILL) * item["bbox"][2] * item["bbox"][3]
                annotations.append(item | {"image_id": 1, "area": area, "category_id": item["category"]})
        factors = object_factors({"images": [image], "annotations": annotations})
        pairs = zip(annotations, factors, strict=True)
        return [(a["category"], self.bins(f)) for a, f in pairs if a["area"] >= least_pixels]


def count_hits(
    scene: dict[str, Any],
    cells: Sequence[WeakCell],
    mistaken: Sequence[Mistaken],
    reader: SliceReader,
    least_pixels: float = 0.0,
) -> list[int]:
    """Count the objects of a described scene in each weak slice, then those of each mistaken kind.

    A slice of false alarms counts the look-alikes that are mistaken, in the situations in which they are:
    scenes of the slice's bin. If no kind is known to be mistaken, it counts all look-alikes.

    Returns:
        A number for each of ``cells``, then for each of ``mistaken``.
    """
    objects = reader.objects(scene, least_pixels)
    others = [kind_of(item) for item in look_alikes(scene, reader.classes)]
    of_kind = [
        sum(m.kind == kind and m.variant in ("", variant) for kind, variant in others) for m in mistaken
    ]
    of_scene = reader.bins(image_factors(scene))
    counts = []
    for cell in cells:
        if cell.side == "recall":
            hit = [bins.get(cell.factor) == cell.bin for name, bins in objects if name == cell.class_name]
            counts.append(sum(hit))
        else:
            fits = of_scene.get(cell.factor) == cell.bin
            counts.append((max(of_kind) if mistaken else len(others)) if fits else 0)
    return counts + of_kind


def choose_frames(
    scenes: Sequence[Mapping[str, Any]], hits: Sequence[Sequence[int]], strengths: Sequence[float], count: int
) -> tuple[int, ...]:
    """Choose frames; the same arguments give the same frames.

    Args:
        scenes: the proposed scenes, with their ``frame``.
        hits: for each scene, the number of objects in each weak slice (see ``count_hits``).
        strengths: strength of each weak slice.
        count: number of frames to choose, at most that of the scenes.

    Returns:
        Numbers of the frames, ascending.
    """
    uniform = count if not strengths else math.ceil(UNIFORM_SHARE * count)
    chosen = list(range(uniform))
    table = np.array(hits, float).reshape(len(scenes), len(strengths))
    weights: Floats = np.array(strengths, float)
    so_far = table[chosen].sum(axis=0)
    free = np.ones(len(scenes), bool)
    free[chosen] = False
    for _ in range(count - uniform):
        gains = (np.sqrt(so_far + table) - np.sqrt(so_far)) @ weights
        best = int(np.argmax(np.where(free, np.round(gains, 9), -1.0)))  # of equal gains, the first frame
        chosen.append(best)
        free[best] = False
        so_far = so_far + table[best]
    return tuple(sorted(int(scenes[number]["frame"]) for number in chosen))


def choose(
    scenes: Sequence[dict[str, Any]],
    cells: Sequence[WeakCell],
    mistaken: Sequence[Mistaken],
    reader: SliceReader,
    count: int,
    least_pixels: float = 0.0,
) -> Choice:
    """Choose ``count`` of the proposed scenes, and say which weak slices their objects are in."""
    hits = [count_hits(scene, cells, mistaken, reader, least_pixels) for scene in scenes]
    names = [describe_cell(cell) for cell in cells] + [describe_mistaken(entry) for entry in mistaken]
    strengths = [cell.strength for cell in cells] + [entry.strength for entry in mistaken]
    frames = choose_frames(scenes, hits, strengths, count)
    of_frame = {int(scene["frame"]): row for scene, row in zip(scenes, hits, strict=True)}
    table = {f: {n: h for n, h in zip(names, of_frame[f], strict=True) if h} for f in frames}
    return Choice(frames, table)


def describe_cell(cell: WeakCell) -> str:
    """Describe a weak slice in a few words: "pallet truck, mount overhead: recall"."""
    return f"{cell.class_name.replace('_', ' ')}, {cell.factor.replace('_', ' ')} {cell.bin}: {cell.side}"


def describe_mistaken(entry: Mistaken) -> str:
    """Describe a look-alike that is taken for a class: "forklift, reach truck: taken for a class"."""
    words = [word.replace("_", " ") for word in (entry.kind, entry.variant) if word]
    return f"{', '.join(words)}: taken for a class"

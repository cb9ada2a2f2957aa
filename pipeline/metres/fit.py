"""``python -m pipeline.metres.fit``: fit the distance model to rendered frames whose distances are known.

The network minimises the pinball loss of three quantiles (quantile regression, Koenker and Bassett 1978).
Frames that it has not seen then widen or narrow the intervals (conformalized quantile regression, Romano,
Patterson and Candes 2019), so that 90 % of the objects of a class are inside.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from blender.contract import UserError, exit_on_user_error, write_atomic
from pipeline.data.coco_io import group_by_image, read_coco
from pipeline.data.values import has_mask
from pipeline.metres.camera import Floats, recorded_camera
from pipeline.metres.estimate import OTHER, QUANTILES, DistanceModel, Layer
from pipeline.metres.shapes import Shapes, features, shapes_of

HIDDEN, EPOCHS, BATCH_SIZE, LEARNING_RATE = 24, 120, 256, 8e-3
"""Units of a hidden layer; epochs; objects of a batch; largest learning rate of the one-cycle schedule."""
JITTERED_COPIES = 1
"""Copies of each object with the errors of a detector, besides the true outline."""
SIDE_ERRORS, LARGEST_ERROR = np.array([0.027, 0.018, 0.027, 0.012]), 0.15
"""Errors of the left, top, right and bottom side of a detected mask, as shares of the box: the scale of
Student's t distribution with two degrees of freedom, and the largest error. The shipped detector's errors on
80 rendered frames are two thirds larger, but a fit with such errors is worse for cut objects."""
STAY_CUT, FILL_ERROR = 0.9, (0.05, 0.08)
"""Share of the sides at the picture's edge that stay there; mean and standard deviation of the error of a
mask's share of its box."""
UNNAMED = 0.1
"""Share of the objects whose class is withheld, so that the network also knows objects of any class."""
HELD_OUT = 5
"""Every fifth frame is held out and calibrates the intervals."""
LEAST = 30
"""Smallest number of held-out objects that calibrate an interval of their own."""


@dataclass(frozen=True)
class RenderedObjects:
    """N objects of rendered frames."""

    inputs: Floats
    """(1 + copies, N, 14) ``features``: of the true boxes, then of the moved ones."""
    names: list[str]
    """N class names."""
    annotations: list[dict[str, Any]]
    """N COCO annotations."""
    images: list[int]
    """N positions of the object's image in the dataset."""

    @property
    def logs(self) -> Floats:
        """(N,) logarithms of the metres from the camera to the nearest point of each object."""
        return np.log([annotation["distance"] for annotation in self.annotations])


def rendered_objects(dataset: dict[str, Any], copies: int = 0) -> RenderedObjects:
    """Collect the objects of rendered frames; ignore regions are left out.

    Args:
        dataset: the COCO dataset of a rendered split.
        copies: number of copies with moved boxes.

    Raises:
        UserError: the images have no camera of a rendered frame, or there is no object with a distance.
    """
    rng = np.random.default_rng(0)
    names = {entry["id"]: entry["name"] for entry in dataset["categories"]}
    by_image = group_by_image([a for a in dataset["annotations"] if not a.get("iscrowd") and has_mask(a)])
    inputs, chosen, numbers = [], [], []
    for number, image in enumerate(dataset["images"]):
        objects = [a for a in by_image[image["id"]] if "distance" in a]
        if objects and "camera" in image:
            shapes = shapes_of(objects, (image["width"], image["height"]))
            moved = [shapes, *(_jitter(shapes, rng) for _ in range(copies))]
            inputs.append(np.stack([features(copy, recorded_camera(image["camera"])) for copy in moved]))
            chosen += objects
            numbers += [number] * len(objects)
    if not chosen:
        raise UserError(
            "no object with a camera and a distance; give the annotations.json of a rendered split"
        )
    return RenderedObjects(
        np.concatenate(inputs, 1), [names[a["category_id"]] for a in chosen], chosen, numbers
    )


def _jitter(shapes: Shapes, rng: np.random.Generator) -> Shapes:
    """Change the outlines as a detector does: sides move, and masks fill their boxes more."""
    count, (width, height) = len(shapes.boxes), shapes.size
    sides = shapes.boxes[:, [2, 3]] - shapes.boxes[:, [0, 1]]
    moves = np.clip(SIDE_ERRORS * rng.standard_t(2, (count, 4)), -LARGEST_ERROR, LARGEST_ERROR)
    moves[(shapes.cut > 0) & (rng.random((count, 4)) < STAY_CUT)] = 0
    boxes = np.clip(shapes.boxes + moves * np.tile(sides, 2), 0, [width, height, width, height])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    feet = np.clip(shapes.feet + 0.05 * sides[:, 0] * rng.standard_t(2, count), boxes[:, 0], boxes[:, 2])
    fills = np.clip(shapes.fills + rng.normal(*FILL_ERROR, count), 0.05, 1)
    return Shapes(boxes, feet, fills, shapes.size)


def fit(objects: RenderedObjects) -> DistanceModel:
    """Fit the model to all but every fifth frame, and calibrate the intervals on these."""
    held_out = np.array(objects.images) % HELD_OUT == HELD_OUT - 1
    classes, names, logs = tuple(sorted(set(objects.names))), np.array(objects.names), objects.logs
    inputs = objects.inputs[0]
    mean, scale = inputs[~held_out].mean(0), np.maximum(inputs[~held_out].std(0), 0.05)
    one_hot = (names[:, None] == np.array(classes)).astype(float)
    layers = _train((objects.inputs[:, ~held_out] - mean) / scale, one_hot[~held_out], logs[~held_out])
    # The height of an object that is seen whole follows from the ray through its top.
    heights = np.maximum(inputs[:, 8] - np.exp(logs) * inputs[:, 5], 0.05)
    whole = np.array([a["visible_fraction"] > 0.9 and not a["truncated"] for a in objects.annotations])
    tops, sizes = {}, {}
    for name in (OTHER, *classes):
        rows = whole & ~held_out & ((names == name) | (name == OTHER))
        rows = rows if rows.any() else np.full(len(names), True)
        tops[name] = float(np.median(heights[rows]))
        sizes[name] = float(np.median((logs + inputs[:, 3])[rows]))
    no_margins = dict.fromkeys((*classes, OTHER), (0.0, 0.0))
    model = DistanceModel(classes, tuple(mean), tuple(scale), layers, no_margins, tops, sizes)
    return replace(model, margins=_margins(model, objects, held_out))


def _train(inputs: Floats, one_hot: Floats, logs: Floats) -> tuple[Layer, ...]:
    """Train the network on features (copies, N, 14), classes (N, C) and logarithms of distances (N,)."""
    torch.manual_seed(0)
    count, size = len(logs), inputs.shape[2] + one_hot.shape[1]
    sizes = [size, HIDDEN, HIDDEN, len(QUANTILES)]
    linear = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    network = torch.nn.Sequential(linear[0], torch.nn.SiLU(), linear[1], torch.nn.SiLU(), linear[2])
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    steps = EPOCHS * -(-count // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    shares, targets = torch.tensor(QUANTILES), torch.tensor(logs, dtype=torch.float32)
    copies, kinds = torch.tensor(inputs, dtype=torch.float32), torch.tensor(one_hot, dtype=torch.float32)
    for epoch in range(EPOCHS):
        copy = copies[epoch % len(copies)]
        for rows in torch.randperm(count).split(BATCH_SIZE):
            named = kinds[rows] * (torch.rand(len(rows), 1) >= UNNAMED)
            errors = targets[rows, None] - network(torch.cat([copy[rows], named], 1))
            loss = torch.maximum(shares * errors, (shares - 1) * errors).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return tuple(
        Layer(tuple(map(tuple, layer.weight.tolist())), tuple(layer.bias.tolist())) for layer in linear
    )


def _margins(
    model: DistanceModel, objects: RenderedObjects, held_out: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the margins of each class for objects that the picture's edge does not cut, and for cut ones.

    Half of the outlines are true, half have the errors of a detector.
    """
    copies = objects.inputs[:2, held_out]
    inputs = np.concatenate(list(copies))
    logs = np.tile(objects.logs[held_out], len(copies))
    names = np.tile(np.array(objects.names)[held_out], len(copies))
    is_cut = inputs[:, -4:].any(1)
    margins: dict[str, tuple[float, float]] = {}
    for name in (OTHER, *model.classes):
        bounds = model.quantiles(inputs, [name] * len(logs))
        outside = np.maximum(bounds[:, 0] - logs, logs - bounds[:, 2])
        values = []
        for index, part in enumerate((~is_cut, is_cut)):
            scores = outside[part & ((names == name) | (name == OTHER))]
            if len(scores) >= LEAST or (name == OTHER and len(scores)):
                share = min(1.0, np.ceil((QUANTILES[2] - QUANTILES[0]) * (len(scores) + 1)) / len(scores))
                values.append(float(np.quantile(scores, share)))
            else:
                values.append(margins[OTHER][index] if margins else 0.0)
        margins[name] = (values[0], values[1])
    return margins


def select_frames(dataset: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a COCO dataset with the images A to B (excluded) of "A:B" alone."""
    start, _, end = text.partition(":")
    try:
        frames = slice(int(start or 0), int(end) if end else None)
    except ValueError:
        raise UserError(f"--frames must be A:B, such as 0:1600, not {text!r}") from None
    return dataset | {"images": dataset["images"][frames]}


def _round(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    return [_round(item) for item in value] if isinstance(value, (tuple, list)) else value


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("annotations", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--frames", default=":", show_default=True, metavar="A:B", help="Images of the file; B excluded."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The .json to write."
)
def main(annotations: Path, frames: str, out: Path) -> None:
    """Fit the distance model to ANNOTATIONS, the COCO file of a rendered split."""
    with exit_on_user_error():
        objects = rendered_objects(select_frames(read_coco(annotations), frames), JITTERED_COPIES)
        model = fit(objects)
        write_atomic(out, (json.dumps(_round(asdict(model)), separators=(",", ":")) + "\n").encode())
        click.echo(f"fit: {len(objects.names)} objects of {len(model.classes)} classes -> {out}")


if __name__ == "__main__":
    main()

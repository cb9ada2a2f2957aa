"""The command ``prelabel``: a model's detections as labels that a person corrects in an annotation tool."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from blender.contract import UserError, write_atomic
from pipeline.common.stages import prepare_output_dir
from pipeline.inference.segmenter import Segmenter, load
from pipeline.inference.sources import find_images
from pipeline.labelling.coco import write_coco
from pipeline.labelling.cvat import write_cvat
from pipeline.labelling.image_copies import copy_name, upright_copy
from pipeline.labelling.label_studio import write_label_studio
from pipeline.labelling.prediction_log import LOG, ImagePrediction, PredictionLog
from pipeline.labelling.proposals import ProposedImage, propose_objects, without_empty_masks
from pipeline.labelling.review import NEAR, assess, write_review

Writer = Callable[[Path, Sequence[ProposedImage], Sequence[str]], None]
WRITERS: dict[str, Writer] = {"cvat": write_cvat, "label-studio": write_label_studio, "coco": write_coco}
"""What writes the labels of images and the names of the classes into a folder, by the tool's name."""
IMAGES = "images"


def prelabel(
    model_path: Path,
    images: tuple[Path, ...],
    tool: str,
    out: Path,
    threshold: float | None = None,
    classes: tuple[str, ...] = (),
) -> None:
    """Detect the objects in ``images`` and write them as labels for an annotation tool.

    ``out`` gets upright copies in images/, the labels in the tool's format, and review.csv, all with the
    least certain image first. The names of the copies begin with this rank, because tools sort by name.
    Images that cannot be read are reported at the end and left out. After an interruption, a repeated call
    continues.

    Args:
        model_path: a checkpoint (model.safetensors), or an exported .onnx file.
        images: files, folders and patterns (see ``find_images``).
        tool: one of ``WRITERS``.
        out: a new or empty folder, or that of an interrupted call.
        threshold: lowest score of an object; None: the model's threshold.
        classes: the classes to detect; empty: all of the model.

    Raises:
        UserError: no image or model was found, no image can be read, or ``out`` is not empty.
        SystemExit: at the end, with status 1, if some image could not be read.
    """
    paths = find_images(images)
    prepare_output_dir(out)
    if any(out.iterdir()) and not (out / LOG).is_file():
        raise UserError(f"{out}: contains other files; remove them, or give another --out")
    segmenter = load(model_path, classes=classes)
    min_score = segmenter.threshold if threshold is None else threshold
    log = PredictionLog(out, model_path, segmenter.classes, min_score)
    if len(log):
        click.echo(f"prelabel: continues after {len(log)} images")
    predictions, errors = [], []
    with click.progressbar(paths, label="prelabel", show_pos=True, file=sys.stderr) as bar:
        for path in bar:
            try:
                prediction = log.find(path)
                if prediction is None:
                    prediction = _predict(segmenter, path, min_score)
                    log.add(prediction)
                predictions.append(prediction)
            except UserError as error:
                errors.append(str(error))
    if not predictions:
        log.remove()
        raise UserError("\n".join(errors))
    predictions.sort(key=lambda prediction: prediction.doubt.order)
    proposals = _write_images(out, predictions)
    rows = [
        (image.name, len(image.objects), prediction.doubt, prediction.path)
        for image, prediction in zip(proposals, predictions, strict=True)
    ]
    write_review(out, rows)
    WRITERS[tool](out, proposals, segmenter.classes)
    log.remove()
    for message in errors:
        click.echo(f"error: {message}", err=True)
    objects = Counter(proposed.label for image in proposals for proposed in image.objects)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(objects.items())) or "nothing"
    click.echo(f"prelabel: {counts} in {len(proposals)} of {len(paths)} images for {tool} -> {out}")
    if errors:
        raise SystemExit(1)


def _predict(segmenter: Segmenter, path: Path, threshold: float) -> ImagePrediction:
    """Detect the objects in an image; masks without a pixel are left out, as there is nothing to correct."""
    detections = without_empty_masks(segmenter.predict(path, max(0.0, threshold - NEAR)))
    objects = propose_objects(detections, segmenter.classes, threshold)
    height, width = detections.image_size
    return ImagePrediction(path, (width, height), objects, assess(detections, threshold))


def _write_images(out: Path, predictions: Sequence[ImagePrediction]) -> list[ProposedImage]:
    """Write the copies, which are no hard links: a tool that changes one must not change the original."""
    shutil.rmtree(out / IMAGES, ignore_errors=True)  # an interrupted call may have left other ranks
    proposals = []
    for rank, prediction in enumerate(predictions, start=1):
        content, suffix = upright_copy(prediction.path)
        name = copy_name(rank, len(predictions), prediction.path, suffix)
        write_atomic(out / IMAGES / name, content)
        proposals.append(ProposedImage(name, *prediction.size, prediction.objects))
    return proposals

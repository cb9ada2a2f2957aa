"""Find the objects in pictures of any kind: drawn masks to look at, COCO results to work with."""

from __future__ import annotations

import io
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from blender.contract import UserError, canonical_json, write_atomic
from pipeline.checkpoint import Checkpoint, load_model
from pipeline.draw import draw_overlays, readable
from pipeline.gallery import result_overlays
from pipeline.image_files import SUFFIXES, read_rgb
from pipeline.inference import predict_array, rounded, to_coco
from pipeline.out_dir import claim_out_dir

_JPEG = (".jpg", ".jpeg")


def predict_images(model_path: Path, images: tuple[Path, ...], out: Path, threshold: float | None) -> None:
    """Draw what the model finds in ``images`` (files, or folders of them) and write COCO results.

    ``out`` gets a drawn picture per image, turned as EXIF says, and predictions.json: results
    with ``file_name``, ``picture`` (its drawing in ``out``), ``category_name``, and ``image_id``
    from 1 in the order given. An image that can't be read is named and left out.

    Args:
        threshold: the least score kept; None: the checkpoint's own, best on its validation split.

    Raises:
        UserError: no image, no model, or ``out`` can't be written.
        SystemExit: 1, at the end, if an image could not be read.
    """
    sources = find_pictures(images)
    claim_out_dir(out)
    names = _drawn_names(sources, out)
    model, checkpoint = load_model(model_path)
    least = checkpoint.score_threshold if threshold is None else threshold
    categories = [{"id": label, "name": name} for label, name in enumerate(checkpoint.classes, start=1)]
    results: list[dict[str, Any]] = []
    failures: list[str] = []
    with click.progressbar(
        list(zip(sources, names, strict=True)), label="predict", show_pos=True, file=sys.stderr
    ) as bar:
        for number, (source, name) in enumerate(bar, start=1):
            try:
                pixels = read_rgb(source, upright=True)
            except UserError as error:
                failures.append(str(error))
                continue
            found = _find(model, checkpoint, pixels, number, least)
            drawn = draw_overlays(Image.fromarray(pixels), result_overlays(found, categories))
            write_atomic(out / name, _encode(drawn, name))
            results += [r | {"file_name": source.name, "picture": name} for r in found]
    write_atomic(out / "predictions.json", canonical_json(results))
    _summarise(results, len(sources), failures, out, least)
    if failures:
        raise SystemExit(1)


def find_pictures(images: tuple[Path, ...]) -> list[Path]:
    """The files in ``images``: a file is itself, a folder the pictures directly in it, by name.

    Raises:
        UserError: a path does not exist, a folder has no picture, or nothing was given.
    """
    found: list[Path] = []
    for path in images:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise UserError(f"{path}: no image in this folder ({', '.join(SUFFIXES)})")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"{path}: no such image or folder")
    if not found:
        raise UserError("no image given; name image files or folders of them")
    return found


def _drawn_names(sources: list[Path], out: Path) -> list[str]:
    """A name for each drawing, no two the same even where case does not count."""
    names: list[str] = []
    taken: set[str] = set()
    for source in sources:
        suffix = source.suffix.lower() if source.suffix.lower() in (*_JPEG, ".png") else ".png"
        name, copy = f"{source.stem}{suffix}", 2
        while name.lower() in taken:
            name, copy = f"{source.stem}-{copy}{suffix}", copy + 1
        names.append(name)
        taken.add(name.lower())
    inputs = {source.resolve() for source in sources}
    clash = next((name for name in names if (out / name).resolve() in inputs), None)
    if clash:
        raise UserError(f"{out / clash}: the drawing would replace the image itself; give another --out")
    return names


def _find(
    model: Any, checkpoint: Checkpoint, pixels: npt.NDArray[np.uint8], image_id: int, threshold: float
) -> list[dict[str, Any]]:
    labels = range(1, len(checkpoint.classes) + 1)
    found = to_coco(predict_array(model, pixels), image_id, {label: label for label in labels})
    return [
        rounded(result) | {"category_name": checkpoint.classes[result["category_id"] - 1]}
        for result in found
        if result["score"] >= threshold
    ]


def _encode(picture: Image.Image, name: str) -> bytes:
    stream = io.BytesIO()
    if Path(name).suffix in _JPEG:
        picture.save(stream, format="JPEG", quality=92)
    else:
        picture.save(stream, format="PNG")
    return stream.getvalue()


def _summarise(
    results: list[dict[str, Any]], images: int, failures: list[str], out: Path, threshold: float
) -> None:
    for failure in failures:
        click.echo(f"error: {failure}", err=True)
    counts = Counter(readable(result["category_name"]) for result in results)
    found = ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "nothing"
    done = images - len(failures)
    click.echo(f"predict: {found} in {done} of {images} images (score from {threshold:.2f}) -> {out}")

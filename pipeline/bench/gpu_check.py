"""``python -m pipeline.bench.gpu_check``: does a machine's GPU give what the CPU gives, and how fast?

Renders frames, trains and predicts on the GPU and on the CPU, compares the results, and prints a line for
each check. It ends with status 1 if a check fails. Without a GPU it says so and ends.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from blender.contract import UserError, exit_on_user_error, write_atomic
from pipeline.cli.group import FOLDER, PROFILE
from pipeline.common.processes import module_command
from pipeline.config import Profile, read_profile
from pipeline.data.convert import convert_split
from pipeline.data.images import read_rgb
from pipeline.inference.detections import Detections
from pipeline.inference.pairing import mask_iou, pair_boxes
from pipeline.inference.predictor import predict_array
from pipeline.models.checkpoint import load_model
from pipeline.training.fit import fit

SPLIT, VALIDATION = "train", "val"
"""Splits whose first frames are rendered: for all checks, and for the validation of the training."""
MASK_SHARE = 1e-4
"""Largest share of mask pixels that may differ: rays through an edge of an object are rounded differently."""
MEAN_DIFFERENCE = 4.0
"""Largest mean difference of the pixels of an image, of 255: noise differs between devices."""
STEPS, EPOCHS = 200, 4
"""Training steps, and the epochs that they are divided into."""
BOX_DISTANCE, SCORE_DISTANCE, MASK_IOU, AGREEING = 1.0, 0.02, 0.95, 0.95
"""Predictions: tolerances in pixels, of scores and of masks, and the share of detections that must be
within them. Detections near a threshold may change places."""


@dataclass(frozen=True)
class Result:
    """The outcome of one check."""

    name: str
    passed: bool
    text: str
    """The measured figures."""


def render(profile: Path, people: Path, split: str, frames: int, device: str, out: Path) -> float:
    """Render the first frames of a split on a device.

    Returns:
        The seconds that it took, with the start of Blender.

    Raises:
        UserError: rendering failed; the command has printed the reason.
    """
    start = time.monotonic()
    command = module_command(
        "blender.render", "--profile", profile, "--split", split, "--people", people,
        "--out", out, "--frames", f":{frames}", "--device", device, "--update",
    )  # fmt: skip
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise UserError(f"{out}: the frames could not be rendered on '{device}', see above")
    return time.monotonic() - start


def compare_renders(first: Path, second: Path) -> Result:
    """Compare the masks and the images of two folders with the same frames."""
    differing, means = [], []
    for path in sorted((first / "masks").iterdir()):
        pair = [np.asarray(Image.open(folder / "masks" / path.name)) for folder in (first, second)]
        differing.append(float((pair[0] != pair[1]).mean()))
    for path in sorted((first / "images").iterdir()):
        pair = [np.asarray(Image.open(folder / "images" / path.name), float) for folder in (first, second)]
        means.append(float(np.abs(pair[0] - pair[1]).mean()))
    passed = max(differing) <= MASK_SHARE and max(means) <= MEAN_DIFFERENCE
    same = sum(share == 0 for share in differing)
    text = f"{same} of {len(differing)} masks are equal, at most {max(differing):.2%} of pixels differ; "
    return Result("renders", passed, f"{text}images differ by {max(means):.2f} of 255 at most (mean)")


def check_training(profile: Profile, train: Path, val: Path, out: Path) -> Result:
    """Train for ``STEPS`` steps in bf16; the loss must fall."""
    images = len(json.loads((train / "annotations.json").read_bytes())["images"])
    batch = profile.train.batch_size
    passes = max(1, round(STEPS * batch / images / EPOCHS))
    recipe = replace(profile.train, epochs=EPOCHS, passes=passes, precision="bf16", patience=0, pictures=0)
    profile = replace(profile, train=recipe, model=replace(profile.model, name="auto", weights="embedded"))
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.reset_peak_memory_stats()
    fit(profile, train, val, out, inputs_hash="gpu check", allow_empty_classes=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line["losses"]["loss"] for line in lines]
    peak = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most" if has_gpu else ""
    rate = images * passes * EPOCHS / lines[-1]["seconds"]
    described = " -> ".join(f"{loss:.2f}" for loss in losses)
    return Result("training", losses[-1] < losses[0], f"loss {described}; {rate:.1f} images/s{peak}")


def compare_predictions(path: Path, images: list[npt.NDArray[np.uint8]], devices: tuple[str, str]) -> Result:
    """Predict images on two devices; nearly all detections must agree."""
    models = [load_model(path, device)[0] for device in devices]
    found = [[predict_array(model, image) for image in images] for model in models]
    count = sum(len(detections) for detections in found[0])
    agreeing = sum(count_agreeing(first, second) for first, second in zip(*found, strict=True))
    share = agreeing / count if count else 1.0
    limits = f"within {BOX_DISTANCE:g} px, {SCORE_DISTANCE:g} in score and mask IoU {MASK_IOU:g}"
    return Result("predictions", share >= AGREEING, f"{agreeing} of {count} detections are {limits}")


def count_agreeing(first: Detections, second: Detections) -> int:
    """Return how many of the first detections the second ones have too, within the tolerances."""
    pairs = pair_boxes((first.boxes, first.labels), (second.boxes, second.labels), BOX_DISTANCE)
    return sum(
        abs(float(first.scores[i] - second.scores[k])) <= SCORE_DISTANCE
        and mask_iou(first.rles[i], second.rles[k]) >= MASK_IOU
        for i, k in pairs
    )


def run_checks(
    profile_path: Path, people: Path, out: Path, frames: int, renderer: str, device: str
) -> list[Result]:
    """Run all checks of a device against the CPU.

    Args:
        profile_path: the profile whose scenes are rendered.
        people: folder of the posed body meshes.
        out: folder for renders and models; it is emptied first, because existing frames would be kept.
        frames: number of frames that are compared and trained on.
        renderer: a device of Blender, such as "optix"; "auto": the best one.
        device: a device of torch.
    """
    profile = read_profile(profile_path)
    shutil.rmtree(out, ignore_errors=True)
    seconds = render(profile_path, people, SPLIT, frames, renderer, out / "train")
    on_cpu = render(profile_path, people, SPLIT, frames, "cpu", out / "cpu")
    render(profile_path, people, VALIDATION, 2, renderer, out / "val")
    compared = compare_renders(out / "train", out / "cpu")
    speed = f"{60 * frames / seconds:.1f} images/min, CPU {60 * frames / on_cpu:.1f}"
    results = [replace(compared, text=f"{compared.text}; {speed}")]
    for name in ("train", "val"):
        convert_split(out / name, profile.coco)
    results.append(check_training(profile, out / "train", out / "val", out / "run"))
    images = [read_rgb(path) for path in sorted((out / "cpu" / "images").iterdir())]
    return [*results, compare_predictions(out / "run" / "model.safetensors", images, ("cpu", device))]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@PROFILE
@click.option("--people", type=FOLDER, required=True, help="Folder with the posed body meshes.")
@click.option("--out", type=FOLDER, required=True, help="Folder for renders, models and gpu.json.")
@click.option("--frames", type=click.IntRange(2), default=20, show_default=True, help="Frames to render.")
def main(profile: Path, people: Path, out: Path, frames: int) -> None:
    """Compare rendering, training and prediction on this machine's GPU with its CPU."""
    with exit_on_user_error():
        if not torch.cuda.is_available():
            click.echo("check-gpu: skipped: torch finds no GPU on this machine")
            return
        results = run_checks(profile, people, out / "work", frames, "auto", "cuda")
        name = torch.cuda.get_device_name()
        table: dict[str, Any] = {"gpu": name, "checks": [vars(result) for result in results]}
        write_atomic(out / "gpu.json", json.dumps(table, indent=1).encode())
        for result in results:
            click.echo(f"{'ok  ' if result.passed else 'FAIL'} {result.name}: {result.text}")
        if not all(result.passed for result in results):
            raise SystemExit(1)


if __name__ == "__main__":
    main()

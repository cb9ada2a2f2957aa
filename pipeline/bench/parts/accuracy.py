"""Accuracy: mask AP of the profile's training recipe and of torchvision's, after equal numbers of epochs."""

from __future__ import annotations

from statistics import mean
from typing import Any

from pipeline.bench.measurement import measure_in_subprocess
from pipeline.bench.options import BenchOptions
from pipeline.bench.parts.rendered_split import render_split
from pipeline.bench.parts.training import (
    TrainingTask,
    round_to_profile_epochs,
    train_profile_recipe,
    train_reference,
)


def measure(options: BenchOptions) -> dict[str, Any]:
    """Train with both recipes on the same images, once per seed, and evaluate on the validation split."""
    train = render_split(options, "train", options.accuracy_images)
    val = render_split(options, "val", options.accuracy_images)
    epochs = round_to_profile_epochs(options.profile, options.accuracy_epochs)
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        task = TrainingTask(options.profile, train, epochs, seed, val)
        rows.append(
            {
                "seed": seed,
                "transpalette": measure_in_subprocess(
                    f"accuracy, profile's recipe, seed {seed}", train_profile_recipe, task
                ),
                "reference": measure_in_subprocess(
                    f"accuracy, torchvision's recipe, seed {seed}", train_reference, task
                ),
            }
        )
    difference = mean(row["transpalette"]["AP"] - row["reference"]["AP"] for row in rows)
    return {"images": options.accuracy_images, "epochs": epochs, "seeds": rows, "ap_difference": difference}

"""Training: time per image and memory of the profile's recipe and of torchvision's reference recipe."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from pipeline.bench.measurement import clocks, measure_in_subprocess
from pipeline.bench.options import BenchOptions
from pipeline.bench.parts.rendered_split import RenderedSplit, render_split
from pipeline.config import Profile, read_profile

# Functions that run in a measured process import torch and the training code themselves, for start-up time
# and because the memory of the measuring process must stay small.

WARM_UP_STEPS = 2
"""First steps, which are not counted: they allocate memory and choose kernels."""
REFERENCE_SIZES = (800, 1333)
"""Lengths of the shorter and the longer image side in torchvision's reference, by default."""


@dataclass(frozen=True)
class TrainingTask:
    """One training to measure."""

    profile: Path
    train: RenderedSplit
    epochs: int
    """Epochs (passes over the images)."""
    seed: int = 0
    val: RenderedSplit | None = None
    """Images to evaluate on after the training; None: no evaluation."""
    sizes: tuple[int, int] | None = None
    """For the reference: lengths of the shorter and the longer image side; None: the profile's."""

    def read_profile(self) -> Profile:
        """Read the profile, with the embedded initial weights, which are the same on every machine."""
        profile = read_profile(self.profile)
        epochs = max(1, self.epochs // profile.train.passes)
        return replace(
            profile,
            seed=self.seed,
            model=replace(profile.model, name="auto", weights="embedded"),
            train=replace(profile.train, epochs=epochs),
        )

    def dataset(self, split: RenderedSplit) -> Any:
        """Open a split as a dataset of training samples."""
        from pipeline.training.dataset import CocoDataset

        return CocoDataset(split.annotations, split.images, self.read_profile().classes)


def round_to_profile_epochs(profile: Path, epochs: int) -> int:
    """Round passes over the images down to whole epochs of the profile, but to one at least.

    One epoch of the profile has ``[train] passes`` passes over the images.
    """
    passes = read_profile(profile).train.passes
    return passes * max(1, epochs // passes)


def measure(options: BenchOptions) -> dict[str, Any]:
    """Time both recipes; the reference runs before and after the profile's recipe."""
    profile = read_profile(options.profile)
    train = render_split(options, "train", options.images)
    task = TrainingTask(options.profile, train, round_to_profile_epochs(options.profile, options.epochs))
    one_epoch = replace(task, epochs=1)
    before = measure_in_subprocess("training, torchvision's recipe", train_reference, one_epoch)
    recipe = measure_in_subprocess("training, profile's recipe", train_profile_recipe, task)
    after = measure_in_subprocess("training, torchvision's recipe again", train_reference, one_epoch)
    small_set = render_split(options, "train", min(options.images, 8))
    large_images = replace(task, train=small_set, epochs=1, sizes=REFERENCE_SIZES)
    own_sizes = measure_in_subprocess(
        "training, torchvision's recipe at its own sizes", train_reference, large_images
    )
    reference = {
        **{
            name: mean(run[name] for run in (before, after))
            for name in ("seconds_per_image", "cpu_seconds_per_image")
        },
        "runs": [before, after],
        "peak_mb": max(run["peak_mb"] for run in (before, after)),
    }
    additional_views = recipe["cached_views"] * (profile.splits["train"] - options.images)
    projected = recipe["peak_mb"] + recipe["cache_mb_per_view"] * additional_views
    return {
        "images": options.images,
        "size": [profile.model.min_size, profile.model.max_size],
        "transpalette": recipe | {"projected_peak_mb": round(projected)},
        "profile_images": profile.splits["train"],
        "reference": reference,
        "reference_own_sizes": own_sizes | {"size": list(REFERENCE_SIZES)},
        "speedup": reference["seconds_per_image"] / recipe["seconds_per_image"],
        "speedup_cpu": reference["cpu_seconds_per_image"] / recipe["cpu_seconds_per_image"],
    }


def train_profile_recipe(task: TrainingTask) -> dict[str, Any]:
    """Train with the profile's recipe, in as many processes as ``transpalette train`` starts."""
    from pipeline.training.launch import launch, process_count

    recipe = task.read_profile().train
    processes = process_count(recipe.processes, recipe.batch_size * recipe.accumulate)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "figures.json"
        launch(processes, _train_in_one_process, task, result)
        return {"processes": processes, **json.loads(result.read_bytes())}


def _train_in_one_process(task: TrainingTask, result: Path) -> None:
    """Train in one process of the process group and write the figures.

    ``training.fit`` is the complete training, which also validates and writes a checkpoint after each epoch.
    """
    from pipeline.training.data_loader import TrainLoader
    from pipeline.training.device import choose_device, choose_precision
    from pipeline.training.distributed import gather, rank
    from pipeline.training.feature_cache import FeatureCache, choose_cached_views
    from pipeline.training.loop import train_one_epoch
    from pipeline.training.param_groups import set_trainable, trainable_parts
    from pipeline.training.sharded_optimizer import ShardedOptimizer
    from pipeline.training.train_state import initial_checkpoint, restore

    device, profile, data = choose_device(), task.read_profile(), task.dataset(task.train)
    state = restore(initial_checkpoint(profile, len(data), "bench", device), profile.train, device)
    precision = choose_precision(profile.train.precision, device)
    cache = FeatureCache(choose_cached_views(state.model, data, profile.train, device))
    loader = TrainLoader(data, profile.train, profile.seed, cache, device)
    seconds, cpu_seconds, last = list[float](), list[float](), clocks()

    def on_step(count: int, loss: float | None) -> None:
        nonlocal last
        now = clocks()
        seconds.append(now[0] - last[0])
        cpu_seconds.append(now[1] - last[1])
        last = now

    for epoch in range(profile.train.epochs):
        for network in (state.model, state.ema_model):
            set_trainable(network, trainable_parts(profile.train, epoch))
        optimizer = ShardedOptimizer(state.model, state.ema_model, state.optimizer)
        last = clocks()
        train_one_epoch(
            state.model,
            optimizer,
            loader,
            device,
            epoch,
            profile=profile,
            precision=precision,
            scaler=state.scaler,
            feature_cache=cache,
            progress=on_step,
        )
    all_processes = [sum(of_step) for of_step in zip(*gather([cpu_seconds]), strict=True)]
    figures = _per_image(seconds, all_processes or cpu_seconds, len(data), cache.views, task)
    figures["cache_mb_per_view"] = cache.mean_nbytes() / 2**20
    if task.val is not None:
        figures |= _evaluate(state.ema_model, task, precision)
    if rank() == 0:
        figures["precision"] = precision
        result.write_text(json.dumps(figures))


def _per_image(
    seconds: list[float], cpu_seconds: list[float], images: int, views: int, task: TrainingTask
) -> dict[str, Any]:
    """Compute the seconds per image in epochs that fill the feature cache and in epochs that read it.

    ``seconds_per_image`` is the mean of both, weighted as in a complete training with the profile, whatever
    the number of timed epochs.

    Args:
        seconds: wall-clock seconds of each step.
        cpu_seconds: CPU seconds of each step, all processes.
        images: number of training images.
        views: number of cached views per image, that is, of epochs that fill the cache; 0: no cache.
        task: the training.
    """
    recipe, full_recipe = task.read_profile().train, read_profile(task.profile).train
    steps = -(-images // (recipe.batch_size * recipe.accumulate))
    epochs = full_recipe.epochs * full_recipe.passes
    computed_share = min(1.0, views / epochs) if views else 1.0

    def per_image(spent: list[float]) -> tuple[float, float | None]:
        computed = spent[WARM_UP_STEPS : (views or task.epochs) * steps]
        cached = spent[views * steps :] if views else []
        return median(computed or spent) * steps / images, median(cached) * steps / images if cached else None

    def weighted(computed: float, cached: float | None) -> float:
        return computed_share * computed + (1 - computed_share) * (computed if cached is None else cached)

    computed, cached = per_image(seconds)
    return {
        "seconds_per_image": weighted(computed, cached),
        "cpu_seconds_per_image": weighted(*per_image(cpu_seconds)),
        "seconds_per_image_computed": computed,
        "seconds_per_image_cached": cached,
        "epochs": task.epochs,
        "profile_epochs": epochs,
        "cached_views": views,
        "cache_mb_per_view": 0.0,
    }


def train_reference(task: TrainingTask) -> dict[str, Any]:
    """Train with torchvision's recipe in one process with all threads (``torchvision_training``)."""
    from pipeline.bench.parts.torchvision_training import train

    profile = task.read_profile()
    model, steps = train(profile, task.dataset(task.train), task.epochs, task.sizes)
    steps_per_image = len(steps) / task.epochs / len(task.train.image_paths())
    seconds, cpu_seconds = zip(*(steps[WARM_UP_STEPS:] or steps), strict=True)
    figures: dict[str, Any] = {
        "seconds_per_image": median(seconds) * steps_per_image,
        "cpu_seconds_per_image": median(cpu_seconds) * steps_per_image,
    }
    if task.val is not None:
        figures |= _evaluate(model, task, "fp32")
    return figures | {"epochs": task.epochs}


def _evaluate(model: Any, task: TrainingTask, precision: str) -> dict[str, Any]:
    """Compute mask AP on the validation images, in the same way for both recipes."""
    from pipeline.training.distributed import rank
    from pipeline.training.epoch_validation import compute_validation_metrics, predict_dataset

    assert task.val is not None
    data = task.dataset(task.val)
    results = predict_dataset(model.eval(), data, precision, lambda count, loss: None)
    if rank() != 0:
        return {}
    scores, _ = compute_validation_metrics(data, results)
    class_ap = {name: table["segm"]["AP"] for name, table in scores["classes"].items()}
    overall = scores["overall"]["segm"]
    return {"AP": overall["AP"] or 0.0, "AP50": overall["AP50"] or 0.0, "classes": class_ap}

"""Our recipe and torchvision's, side by side: seconds an image and memory."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from pipeline.bench.child import measured
from pipeline.bench.data import Split, split
from pipeline.bench.plan import Plan
from pipeline.config import Profile, read_profile

WARM = 2
"""Steps that are not counted: the first ones allocate memory and choose kernels."""
OWN_SIZES = (800, 1333)
"""What torchvision's reference shows the network unless told otherwise."""


@dataclass(frozen=True)
class Task:
    """One training."""

    profile: Path
    train: Split
    rounds: int
    """Through the images."""
    seed: int = 0
    val: Split | None = None
    """Judge on these afterwards."""
    sizes: tuple[int, int] | None = None
    """For the reference: other sizes than the profile's."""

    def read(self) -> Profile:
        """The profile, from the embedded start: the same on every machine."""
        profile = read_profile(self.profile)
        epochs = max(1, self.rounds // profile.train.passes)
        return replace(
            profile,
            seed=self.seed,
            model=replace(profile.model, name="auto", weights="embedded"),
            train=replace(profile.train, epochs=epochs),
        )

    def data(self, split: Split) -> Any:
        """A split as samples."""
        from pipeline.training.dataset import CocoDataset

        return CocoDataset(split.annotations, split.images, self.read().classes)


def whole_epochs(profile: Path, rounds: int) -> int:
    """The rounds of whole epochs of ours, at least one, that are not more than ``rounds``."""
    passes = read_profile(profile).train.passes
    return passes * max(1, rounds // passes)


def measure(plan: Plan) -> dict[str, Any]:
    """Time both, the reference before and after ours."""
    profile = read_profile(plan.profile)
    train = split(plan, "train", plan.images)
    task = Task(plan.profile, train, whole_epochs(plan.profile, plan.rounds))
    before = measured("training, torchvision's way", reference, replace(task, rounds=1))
    mine = measured("training, ours", ours, task)
    after = measured("training, torchvision's way again", reference, replace(task, rounds=1))
    few = replace(task, train=split(plan, "train", min(plan.images, 8)), rounds=1, sizes=OWN_SIZES)
    large = measured("training, torchvision's way at its own sizes", reference, few)
    theirs = {
        **{
            name: mean(run[name] for run in (before, after))
            for name in ("seconds_per_image", "cpu_seconds_per_image")
        },
        "runs": [before, after],
        "peak_mb": max(run["peak_mb"] for run in (before, after)),
    }
    views = mine["views"] * (profile.splits["train"] - plan.images)
    return {
        "images": plan.images,
        "size": [profile.model.min_size, profile.model.max_size],
        "ours": mine | {"projected_peak_mb": round(mine["peak_mb"] + mine["kept_mb_each"] * views)},
        "profile_images": profile.splits["train"],
        "reference": theirs,
        "reference_own_sizes": large | {"size": list(OWN_SIZES)},
        "speedup": theirs["seconds_per_image"] / mine["seconds_per_image"],
        "speedup_cpu": theirs["cpu_seconds_per_image"] / mine["cpu_seconds_per_image"],
    }


def ours(task: Task) -> dict[str, Any]:
    """The profile's own recipe, in as many processes as ``train`` starts."""
    from pipeline.training.launch import launch, process_count

    recipe = task.read().train
    processes = process_count(recipe.processes, recipe.batch_size * recipe.accumulate)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        launch(processes, _train_ours, task, answer)
        return {"processes": processes, **json.loads(answer.read_bytes())}


def _train_ours(task: Task, answer: Path) -> None:
    """One process of it; see ``training.fit`` for the whole, which also validates and writes each epoch."""
    from pipeline.bench.reference import clocks
    from pipeline.training.data_loader import TrainLoader
    from pipeline.training.device import choose_device, choose_precision
    from pipeline.training.distributed import gather, rank
    from pipeline.training.feature_cache import FeatureCache, choose_cached_views
    from pipeline.training.loop import train_one_epoch
    from pipeline.training.param_groups import set_trainable, trainable_parts
    from pipeline.training.sharded_optimizer import ShardedOptimizer
    from pipeline.training.train_state import initial_checkpoint, restore

    device, profile, data = choose_device(), task.read(), task.data(task.train)
    state = restore(initial_checkpoint(profile, len(data), "bench", device), profile.train, device)
    precision = choose_precision(profile.train.precision, device)
    cache = FeatureCache(choose_cached_views(state.model, data, profile.train, device))
    loader = TrainLoader(data, profile.train, profile.seed, cache, device)
    seconds, cpu, last = list[float](), list[float](), clocks()

    def tick(count: int, loss: float | None) -> None:
        nonlocal last
        now = clocks()
        seconds.append(now[0] - last[0])
        cpu.append(now[1] - last[1])
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
            progress=tick,
        )
    together = [sum(of_step) for of_step in zip(*gather([cpu]), strict=True)]
    figures = _ours_by_image(seconds, together or cpu, len(data), cache.views, task)
    figures["kept_mb_each"] = cache.mean_nbytes() / 2**20
    if task.val is not None:
        figures |= _judged(state.ema_model, task, precision)
    if rank() == 0:
        figures["precision"] = precision
        answer.write_text(json.dumps(figures))


def _ours_by_image(
    seconds: list[float], cpu: list[float], images: int, views: int, task: Task
) -> dict[str, Any]:
    """Seconds an image in rounds that compute their views and in those that have them kept.

    ``seconds_per_image`` weighs the two as the profile's whole run does, however few rounds were timed.
    """
    recipe, whole = task.read().train, read_profile(task.profile).train
    steps = -(-images // (recipe.batch_size * recipe.accumulate))
    rounds = whole.epochs * whole.passes
    share = min(1.0, views / rounds) if views else 1.0

    def by_image(spent: list[float]) -> tuple[float, float | None]:
        computed, kept = spent[WARM : (views or task.rounds) * steps], spent[views * steps :] if views else []
        return median(computed or spent) * steps / images, median(kept) * steps / images if kept else None

    (new, old), (cpu_new, cpu_old) = by_image(seconds), by_image(cpu)
    return {
        "seconds_per_image": share * new + (1 - share) * (new if old is None else old),
        "cpu_seconds_per_image": share * cpu_new + (1 - share) * (cpu_new if cpu_old is None else cpu_old),
        "seconds_per_image_computed": new,
        "seconds_per_image_kept": old,
        "rounds": task.rounds,
        "profile_rounds": rounds,
        "views": views,
        "kept_mb_each": 0.0,
    }


def reference(task: Task) -> dict[str, Any]:
    """torchvision's way, in one process with all threads; see ``pipeline.bench.reference``."""
    from pipeline.bench.reference import train

    profile = task.read()
    model, spent = train(profile, task.data(task.train), task.rounds, task.sizes)
    each = len(spent) / task.rounds / len(task.train.pictures())
    seconds, cpu = zip(*(spent[WARM:] or spent), strict=True)
    figures: dict[str, Any] = {
        "seconds_per_image": median(seconds) * each,
        "cpu_seconds_per_image": median(cpu) * each,
    }
    if task.val is not None:
        figures |= _judged(model, task, "fp32")
    return figures | {"rounds": task.rounds}


def _judged(model: Any, task: Task, precision: str) -> dict[str, Any]:
    """Mask AP on the validation images, by the same prediction and the same judge for both."""
    from pipeline.training.distributed import rank
    from pipeline.training.validation import compute_metrics, predict_dataset

    assert task.val is not None
    data = task.data(task.val)
    results = predict_dataset(model.eval(), data, precision, lambda count, loss: None)
    if rank() != 0:
        return {}
    scores, _ = compute_metrics(data, results)
    of_class = {name: table["segm"]["AP"] for name, table in scores["classes"].items()}
    overall = scores["overall"]["segm"]
    return {"AP": overall["AP"] or 0.0, "AP50": overall["AP50"] or 0.0, "classes": of_class}

"""Is the faster recipe as good? Mask AP of ours and of torchvision's way, after as many rounds."""

from __future__ import annotations

from statistics import mean
from typing import Any

from pipeline.bench.child import measured
from pipeline.bench.data import split
from pipeline.bench.plan import Plan
from pipeline.bench.training import Task, ours, reference, whole_epochs


def measure(plan: Plan) -> dict[str, Any]:
    """Train both ways for as many rounds through the same images; judge on the validation split."""
    train = split(plan, "train", plan.accuracy_images)
    val = split(plan, "val", plan.accuracy_images)
    rounds = whole_epochs(plan.profile, plan.accuracy_rounds)
    rows: list[dict[str, Any]] = []
    for seed in plan.seeds:
        task = Task(plan.profile, train, rounds, seed, val)
        rows.append(
            {
                "seed": seed,
                "ours": measured(f"accuracy, ours, seed {seed}", ours, task),
                "reference": measured(f"accuracy, torchvision's way, seed {seed}", reference, task),
            }
        )
    gain = mean(row["ours"]["AP"] - row["reference"]["AP"] for row in rows)
    return {"images": plan.accuracy_images, "rounds": rounds, "seeds": rows, "gain": gain}

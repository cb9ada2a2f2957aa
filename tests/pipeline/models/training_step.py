"""What several tests of models need: one training step, and the comparison of a model with its checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.config import ModelConfig, TrainConfig
from pipeline.config.train import Part
from pipeline.models.checkpoint import Checkpoint, load_model, save_checkpoint
from pipeline.training.dataset import CocoDataset, collate_fn
from pipeline.training.param_groups import parameter_groups, set_trainable
from tests.helpers.shapes import CLASSES, write_split

SMALL = ModelConfig(min_size=96, max_size=96)


def train_one_step(model: torch.nn.Module, folder: Path, parts: tuple[Part, ...], start: str) -> None:
    """Train ``parts`` of a model for one step on two images."""
    write_split(folder, 2, empty=0)
    data = CocoDataset(folder / "annotations.json", folder / "images", CLASSES)
    set_trainable(model, parts)
    optimizer = torch.optim.AdamW(parameter_groups(model, TrainConfig(trainable=parts), start))
    losses = model.train()(*collate_fn([data[0], data[1]]))
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()


def check_reload(model: torch.nn.Module, name: str, path: Path) -> None:
    """Save a model, load it again, and check that both predict the same, bit for bit."""
    config = {"min_size": 96, "max_size": 96, "box_score_thresh": 0.0}
    checkpoint = Checkpoint(
        model=name, config=config, classes=CLASSES, start={"kind": "none", "source": "", "fallback": ""},
        metrics={}, epoch=1, epochs=1, seed=0, seconds=0.0, images=2, score_threshold=0.5,
        state=model.state_dict(),
    )  # fmt: skip
    save_checkpoint(path, checkpoint)
    reloaded, _ = load_model(path)
    model = model.eval().to(memory_format=torch.channels_last)
    image = torch.rand(3, 80, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (first,), (second,) = model([image]), reloaded([image])
    assert len(first["boxes"]) > 0
    assert all(torch.equal(first[k], second[k]) for k in first)

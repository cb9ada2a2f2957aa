"""The background loss of each image, and its table."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)

from pipeline.models.losses import background_losses
from pipeline.training.sampling.mining import BackgroundLosses


def test_the_background_loss_is_the_mean_over_an_images_background_boxes() -> None:
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = [torch.tensor([0, 1, 0]), torch.tensor([2, 1]), torch.tensor([0, 0])]
    losses = background_losses(logits, labels)
    expected = [F.cross_entropy(logits[rows], torch.zeros(2, dtype=torch.int64)) for rows in ([0, 2], [5, 6])]
    assert torch.allclose(losses, torch.stack([expected[0], torch.tensor(0.0), expected[1]]))
    assert not losses.requires_grad
    assert background_losses(torch.zeros(0, 3), [torch.zeros(0, dtype=torch.int64)]).tolist() == [0.0]


def test_the_table_has_the_means_of_the_last_epoch_that_used_an_image() -> None:
    table = BackgroundLosses(3)
    table.add([0], torch.tensor([1.0]))
    assert table.weights() is None  # in the first epoch nothing is mined
    table.add([0, 5], torch.tensor([2.0, 9.0]))  # 5 is a negative
    table.add([1], torch.tensor([0.5]))
    table.end_epoch()
    weights = table.weights()
    assert weights is not None and weights.tolist() == [1.5, 0.5, 1.0]
    assert table.state()[:2] == [1.5, 0.5] and math.isnan(table.state()[2])
    table.add([1, 2], torch.tensor([0.25, 4.0]))
    table.end_epoch()
    assert table.state() == [1.5, 0.25, 4.0]
    resumed = BackgroundLosses(3, table.state()).weights()
    assert resumed is not None and resumed.tolist() == table.state()

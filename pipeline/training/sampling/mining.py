"""Online hard-example mining over images: measure on which images the model takes background for objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.training.distributed import all_reduce


class BackgroundLosses:
    """The background loss of each labelled image: the mean of its views in the last epoch that used it.

    It is the classification loss of the regions without an object, which is high where the model raises
    false alarms. It costs nothing, because training computes it.
    """

    def __init__(self, images: int, losses: Sequence[float] = (), device: torch.device | None = None) -> None:
        """Create the table.

        Args:
            images: number of labelled images.
            losses: those of earlier epochs (``state``), NaN for an image not used yet; (): of no
                epoch.
            device: the device of the training, on which processes exchange tensors.
        """
        self._losses = np.array(losses) if len(losses) else np.full(images, np.nan)
        self._sums = torch.zeros(2, images, dtype=torch.float64, device=device)

    def add(self, indices: Sequence[int], losses: Tensor) -> None:
        """Add the losses (B,) of images; those that are not labelled are left out."""
        for index, loss in zip(indices, losses, strict=True):
            if index < self._sums.shape[1]:
                self._sums[0, index] += loss
                self._sums[1, index] += 1

    def end_epoch(self) -> None:
        """Update the table by the sums of all processes, which all must call this at the same time."""
        all_reduce(self._sums)
        sums, counts = self._sums.cpu().numpy()
        used = counts > 0
        self._losses[used] = sums[used] / counts[used]
        self._sums.zero_()

    def weights(self) -> npt.NDArray[np.float64] | None:
        """Return the loss of each image (images,), the mean for one not used yet; None in the first epoch."""
        known = self._losses[~np.isnan(self._losses)]
        return np.nan_to_num(self._losses, nan=float(known.mean())) if len(known) else None

    def state(self) -> list[float]:
        """Return the table for the checkpoint."""
        values: list[float] = self._losses.tolist()
        return values

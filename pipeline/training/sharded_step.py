"""The second half of a training step: gradients are summed and clipped, weights moved, and their average.

Processes that train together have the same weights, and would all do the same. On one machine each does a
part of it instead, in memory that all see: what ZeRO's first stage shares out (Rajbhandari et al. 2020),
without anything to send.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.training.distributed import add_up, common_rows, gather, rank, size


class Step:
    """One model's, for as long as the same parameters learn."""

    def __init__(self, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Lay out all gradients, zero, in one vector, to be summed and scaled at once.

        Each parameter's ``grad`` is a view of it, in the parameter's own memory order. All processes do this
        at the same time; on one machine, their weights and averages become views of memory that all see.

        Args:
            model: its parameters that learn are moved.
            average: follows them; of the same kind.
            optimizer: knows all that ever learns.
        """
        self._optimizer = optimizer
        twins = dict(zip(model.parameters(), average.parameters(), strict=True))
        owned = dict(zip(_parameters(optimizer), _owners(optimizer), strict=True))
        self._learning = [p for p in owned if p.requires_grad]
        sizes = [p.numel() for p in self._learning]
        count, device = sum(sizes), self._learning[0].device
        self._rows = common_rows(size() + 2, count) if device.type == "cpu" and size() > 1 else None
        if self._rows is None:
            self._mine = slice(0, len(self._learning))
            self.gradients = torch.zeros(count, device=device)
        else:
            ranks = [owned[p] for p in self._learning]  # ascending: each has a stretch of the vector, or none
            before = sum(r < rank() for r in ranks)
            self._mine = slice(before, before + ranks.count(rank()))
            self.gradients = self._rows[rank()]
            self._share(self._learning, self._rows[-2])
            self._share([twins[p] for p in self._learning], self._rows[-1])
        self._views = _views(self._learning, self.gradients)
        self._averages = [twins[p].data for p in self._learning[self._mine]]
        self._part = slice(sum(sizes[: self._mine.start]), sum(sizes[: self._mine.stop]))
        for p, view in zip(self._learning, self._views, strict=True):
            p.grad = view

    def _share(self, parameters: list[nn.Parameter], row: Tensor) -> None:
        """Make parameters views of a row that all see. They are the same everywhere."""
        views = _views(parameters, row)
        if rank() == 0:
            for view, p in zip(views, parameters, strict=True):
                view.copy_(p.data)
        dist.barrier()
        for view, p in zip(views, parameters, strict=True):
            p.data = view

    def add_up(self) -> None:
        """Sum the gradients over the processes: all of them, or this process's part of them."""
        if self._rows is None:
            add_up(self.gradients)
            return
        dist.barrier()  # all have theirs
        for other in range(size()):
            if other != rank():
                self.gradients[self._part] += self._rows[other, self._part]

    def norm(self) -> Tensor:
        """The norm of all gradients, once they are summed."""
        norms = torch.zeros(len(self._learning), device=self.gradients.device)
        if self._averages:
            norms[self._mine] = torch.stack(torch._foreach_norm(self._views[self._mine]))
        if self._rows is not None:
            add_up(norms)
        return norms.norm()

    def scale(self, factor: Tensor) -> None:
        """Multiply the summed gradients."""
        self.gradients[self._part] *= factor

    def move(self, scaler: torch.amp.GradScaler, decay: float) -> None:
        """Move the weights, and their running average towards them."""
        theirs = [*range(self._mine.start), *range(self._mine.stop, len(self._learning))]
        for i in theirs:
            self._learning[i].grad = None  # the optimizer leaves them alone
        scaler.step(self._optimizer)
        for i in theirs:
            self._learning[i].grad = self._views[i]
        if self._averages:
            now = [p.data for p in self._learning[self._mine]]
            torch._foreach_lerp_(self._averages, now, 1 - decay)
        if self._rows is not None:
            dist.barrier()  # all weights are moved


def whole_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's ``state_dict``; the leader's is whole though each process moves its part alone."""
    found = optimizer.state_dict()
    if size() == 1 or _parameters(optimizer)[0].device.type != "cpu":
        return found
    owners = _owners(optimizer)
    mine = [(i, one) for i, one in sorted(found["state"].items()) if owners[i] == rank()]
    # Names as the optimizer has them: pickle writes an object that it has met as a reference.
    states = {i: {sys.intern(name): value for name, value in one.items()} for i, one in gather(mine)}
    return found | {"state": states}


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _owners(optimizer: torch.optim.Optimizer) -> list[int]:
    """The process that moves each parameter where that is shared out: about as many numbers for each."""
    sizes = torch.tensor([p.numel() for p in _parameters(optimizer)])
    middles = sizes.cumsum(0) - sizes / 2
    owners: list[int] = (middles * size() / sizes.sum()).long().tolist()
    return owners


def _views(parameters: list[nn.Parameter], row: Tensor) -> list[Tensor]:
    """A row (N,) as tensors of the parameters' shapes, in their memory order."""
    parts = row.split([p.numel() for p in parameters])
    return [part.as_strided(p.shape, p.stride()) for part, p in zip(parts, parameters, strict=True)]

"""Collective operations between training processes, on torch.distributed's default process group.

Each of them also works in a single process without a group. Only rank 0, the leader, prints, computes
validation metrics and writes files. ``launch.py`` starts the processes.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def rank() -> int:
    """Return this process's rank; 0 is the leader."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of training processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shard(items: Sequence[T]) -> Sequence[T]:
    """Return this process's part of ``items``: every ``world_size()``-th, from ``rank()`` on."""
    return items[rank() :: world_size()]


def barrier() -> None:
    """Wait until all processes have called this."""
    if world_size() > 1:
        dist.barrier()


def all_reduce(tensor: Tensor) -> None:
    """Sum a tensor over all processes, in place."""
    if world_size() > 1:
        dist.all_reduce(tensor)


def gather(items: list[T]) -> list[T]:
    """Return the lists of all processes, concatenated in the order of ranks, on rank 0; [] on other ranks."""
    if world_size() == 1:
        return items
    lists: list[Any] = [None] * world_size()
    dist.gather_object(items, lists if rank() == 0 else None)
    return [item for part in lists for item in part] if rank() == 0 else []


def broadcast(value: T) -> T:
    """Return rank 0's value on all ranks."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def from_leader(compute: Callable[[], T]) -> T:
    """Call a function on rank 0 alone, and return its result on all ranks; the result is pickled."""
    return broadcast(compute() if rank() == 0 else cast(T, None))


def shared_rows(rows: int, columns: int) -> Tensor | None:
    """Allocate a zero tensor (rows, columns) float32 in memory that all processes map.

    All processes must call this at the same time. The memory is an anonymous file of rank 0
    (``memfd_create``), because torch's own shared memory uses /dev/shm, which many containers limit to 64 MB.

    Returns:
        The tensor; None if the processes cannot share memory: the system is not Linux, forbids it, or they
        run on several machines.
    """
    name, path, elements = f"transpalette-{uuid.uuid4()}", "", rows * columns
    mapped = None
    with contextlib.ExitStack() as closing:
        if rank() == 0 and hasattr(os, "memfd_create"):
            with contextlib.suppress(OSError):
                descriptor = os.memfd_create(name)
                closing.callback(os.close, descriptor)
                os.ftruncate(descriptor, elements * torch.float32.itemsize)
                path = f"/proc/{os.getpid()}/fd/{descriptor}"
        name, path = broadcast((name, path))
        with contextlib.suppress(OSError, RuntimeError):
            # On another machine or in another container the path is missing or belongs to another process.
            if name in str(Path(path).readlink()):
                mapped = torch.from_file(path, shared=True, size=elements, dtype=torch.float32)
        all_mapped = torch.tensor(mapped is not None).int()
        dist.all_reduce(all_mapped, dist.ReduceOp.MIN)
    return mapped.view(rows, columns) if mapped is not None and all_mapped else None

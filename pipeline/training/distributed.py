"""Training in several processes: each takes its share of every batch, and gradients are averaged.

One process leads: it reports, judges, and alone writes. Either ``torchrun`` starts them all, or ``run``
starts its own on this machine: two processes of one thread use two cores better than one process of two
threads, whose many small operations leave the second core idle.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from blender.contract import UserError
from pipeline.common.processes import core_count, exit_with_parent

T = TypeVar("T")


def rank() -> int:
    """This process's number; 0 leads."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of ``items``."""
    return items[rank() :: size()]


def add_up(tensor: Tensor) -> None:
    """Replace a tensor, in place, by its sum over the processes."""
    if size() > 1:
        dist.all_reduce(tensor)


def common_rows(rows: int, count: int) -> Tensor | None:
    """Zeros (``rows``, ``count``) float32 that all processes see; None where they can't."""
    name, path, elements = f"transpalette-{uuid.uuid4()}", "", rows * count
    found = None
    with contextlib.ExitStack() as closing:
        if rank() == 0 and hasattr(os, "memfd_create"):  # Linux
            with contextlib.suppress(OSError):  # forbidden, or limited
                # Memory without a file: that of /dev/shm is limited to 64 MB in many containers.
                handle = os.memfd_create(name)
                closing.callback(os.close, handle)
                os.ftruncate(handle, elements * torch.float32.itemsize)
                path = f"/proc/{os.getpid()}/fd/{handle}"
        name, path = from_leader((name, path))
        with contextlib.suppress(OSError, RuntimeError):
            # On another machine, or in another container, the path is somebody else's or nobody's.
            if name in str(Path(path).readlink()):
                found = torch.from_file(path, shared=True, size=elements, dtype=torch.float32)
        seen = torch.tensor(found is not None).int()
        dist.all_reduce(seen, dist.ReduceOp.MIN)  # all have opened it, or nobody uses it
    return found.view(rows, count) if found is not None and seen else None


def gather(items: list[T]) -> list[T]:
    """Give the leader everybody's items, rank after rank; nothing to the others."""
    if size() == 1:
        return items
    parts: list[Any] = [None] * size()
    dist.gather_object(items, parts if rank() == 0 else None)
    return [item for part in parts for item in part] if rank() == 0 else []


def from_leader(value: T) -> T:
    """Give everybody the leader's value."""
    if size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def processes_for(wanted: int, batch_size: int) -> int:
    """How many processes to start here: ``wanted``; 0: on a CPU, as many as share a batch and have a core."""
    if wanted or torch.cuda.is_available():
        return max(1, wanted)
    return max(1, min(batch_size, core_count()))


def run(processes: int, work: Callable[..., None], *arguments: Any) -> bool:
    """Call ``work(*arguments)`` in ``processes`` processes; says whether this one led.

    Raises:
        UserError: one of them met a user's mistake.
    """
    if "WORLD_SIZE" in os.environ:  # torchrun's
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        try:
            work(*arguments)
            return rank() == 0
        finally:
            dist.destroy_process_group()
    elif processes == 1:
        work(*arguments)
    else:
        with tempfile.TemporaryDirectory() as folder, _helpers(processes, folder, work, arguments) as errors:
            try:
                _member(0, processes, folder, work, arguments)
            except RuntimeError as lost:  # gloo's, when a helper is gone
                raise _ended(errors) or lost from lost
    return True


def _ended(errors: Any) -> Exception | None:
    """What ended a helper, if that's known."""
    if not errors.poll(5):
        return None
    try:
        found: Exception = errors.recv()
    except EOFError:
        return UserError(
            "a process of the training was killed; is there enough memory? Repeated, the command goes on"
        )
    return found


@contextlib.contextmanager
def _helpers(
    processes: int, folder: str, work: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[Any]:
    """Start ranks 1, 2, ...; give the pipe through which they send what ended them."""
    context = multiprocessing.get_context("spawn")
    errors, end = context.Pipe(duplex=False)
    helpers = [
        context.Process(
            target=_help, args=(i, processes, folder, end, os.getpid(), work, arguments), daemon=True
        )
        for i in range(1, processes)
    ]
    for helper in helpers:
        helper.start()
    end.close()
    try:
        yield errors
    finally:
        for helper in helpers:
            helper.join(5)
            helper.kill()


def _help(
    number: int, processes: int, folder: str, end: Any, leader: int, work: Callable[..., None], arguments: Any
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader ends it
    exit_with_parent(leader)  # where this does nothing, the lost connection ends it
    try:
        _member(number, processes, folder, work, arguments)
    except UserError as error:
        end.send(error)
    except Exception:  # nobody reads this if the leader ended first
        end.send(RuntimeError(f"process {number} failed:\n{traceback.format_exc()}"))


def _member(
    number: int, processes: int, folder: str, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // processes))
    rendezvous = (Path(folder) / "rendezvous").as_uri()
    dist.init_process_group("gloo", init_method=rendezvous, rank=number, world_size=processes)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()
        torch.set_num_threads(threads)

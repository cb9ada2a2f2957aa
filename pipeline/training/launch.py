"""Start the training processes, unless ``torchrun`` has started them.

On a CPU, two processes of one thread train faster than one process of two threads: detection consists of
hundreds of small operations, during which a second thread is idle.

On one machine the processes are started here, and not by ``torch.multiprocessing.spawn`` or ``torchrun``:

- No process may outlive the command. If the starting process is killed, the workers of both continue:
  ``torchrun`` does not end them, and ``spawn`` sends SIGINT, which a script's background jobs ignore. Here
  Linux kills the workers.
- A user's mistake in a worker is reported in one line. Both report the traceback of a failed process.
- Here the command's own process is rank 0, so all processes import torch at the same time, and only once: two
  processes take 7.5 s of processor time until the end of their first all-reduce, 9.4 s with ``spawn`` and
  9.3 s with ``torchrun`` (AMD EPYC, two cores).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from blender.contract import UserError
from pipeline.common.processes import core_count, exit_with_parent, reuse_freed_memory
from pipeline.training.distributed import rank

ERROR_SECONDS = 5
"""Time limit for rank 0 to receive the error of a worker whose connection broke, and for workers to end."""


def process_count(requested: int, batch_size: int) -> int:
    """Return the number of processes to start on this machine.

    Args:
        requested: number in the profile; 0: one on a GPU, and on CPUs one per core.
        batch_size: images per optimizer step; more processes than images would be idle.
    """
    if requested or torch.cuda.is_available():
        return max(1, requested)
    return max(1, min(batch_size, core_count()))


def launch(processes: int, function: Callable[..., None], *arguments: Any) -> bool:
    """Call ``function(*arguments)`` in several processes with a process group; this process is rank 0.

    If ``torchrun`` started this process, ``processes`` is ignored, and ``torchrun``'s processes form the
    group.

    Args:
        processes: number of processes.
        function: a function that is importable by name, like the types of its arguments.
        arguments: its arguments; they are pickled.

    Returns:
        Whether this process is rank 0.

    Raises:
        UserError: one of the processes raised it, or was killed.
    """
    reuse_freed_memory()
    if "WORLD_SIZE" in os.environ:  # torchrun sets it
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        try:
            function(*arguments)
            return rank() == 0
        finally:
            dist.destroy_process_group()
    elif processes == 1:
        function(*arguments)
    else:
        with (
            tempfile.TemporaryDirectory() as folder,
            _workers(processes, folder, function, arguments) as errors,
        ):
            try:
                _run_rank(0, processes, folder, function, arguments)
            except RuntimeError as lost_connection:  # gloo raises it if a worker has ended
                raise _worker_error(errors) or lost_connection from lost_connection
    return True


def _worker_error(errors: Connection) -> Exception | None:
    """Return the error that ended a worker; None if no worker reported an error."""
    if not errors.poll(ERROR_SECONDS):
        return None
    try:
        error: Exception = errors.recv()
    except EOFError:
        return UserError(
            "a training process was killed, probably for lack of memory; run the same command again to resume"
        )
    return error


@contextlib.contextmanager
def _workers(
    processes: int, folder: str, function: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[Connection]:
    """Start ranks 1, 2, ...; yield the connection through which they send the error that ended them."""
    context = multiprocessing.get_context("spawn")
    errors, sender = context.Pipe(duplex=False)
    workers = [
        context.Process(
            target=_worker_main,
            args=(worker_rank, processes, folder, sender, os.getpid(), function, arguments),
            daemon=True,
        )
        for worker_rank in range(1, processes)
    ]
    for worker in workers:
        worker.start()
    sender.close()  # so that reading ends when all workers have ended
    try:
        yield errors
    finally:
        for worker in workers:
            worker.join(ERROR_SECONDS)
            worker.kill()


def _worker_main(
    worker_rank: int,
    processes: int,
    folder: str,
    errors: Connection,
    leader: int,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 handles Ctrl-C and ends this process
    reuse_freed_memory()
    exit_with_parent(leader)  # on other systems the lost connection to rank 0 ends this process
    try:
        _run_rank(worker_rank, processes, folder, function, arguments)
    except UserError as error:
        errors.send(error)
    except Exception:  # not read if rank 0 failed first
        errors.send(RuntimeError(f"training process {worker_rank} failed:\n{traceback.format_exc()}"))


def _run_rank(
    own_rank: int, processes: int, folder: str, function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """Join the process group, with this process's share of the threads, and call ``function``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // processes))
    rendezvous = (Path(folder) / "rendezvous").as_uri()
    dist.init_process_group("gloo", init_method=rendezvous, rank=own_rank, world_size=processes)
    try:
        function(*arguments)
    finally:
        dist.destroy_process_group()
        torch.set_num_threads(threads)

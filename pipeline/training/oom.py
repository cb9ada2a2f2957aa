"""Short memory, said in one line with its cure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from pipeline.config import TrainConfig, UserError


@contextlib.contextmanager
def memory_guard(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Turn a failed allocation into a UserError that names the settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise UserError(out_of_memory(config, device)) from None
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what torch says on a CPU
            raise
        raise UserError(out_of_memory(config, device)) from None


def out_of_memory(config: TrainConfig, device: torch.device) -> str:
    """What to lower, biggest consumer first, and what it is now."""
    now = {
        "cache_features": config.cache_features if device.type == "cpu" else 0,
        "processes": config.processes if device.type == "cpu" else 0,
        "batch_size": config.batch_size if config.batch_size > 1 and device.type != "cpu" else 0,
        "box_batch_size_per_image": config.box_batch_size_per_image,
        "crop": config.crop,
    }
    named = ", ".join(f"{name} (now {value})" for name, value in now.items() if value)
    kept = "; accumulate makes up for a smaller batch_size" if now["batch_size"] else ""
    return f"out of memory ({device.type}): lower [train] {named}, or min_size{kept}"

"""The device to train on: its choice, its precision, and its out-of-memory errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from pipeline.config import TrainConfig, UserError

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags in /proc/cpuinfo of processors that multiply bf16 in hardware: two of x86, one of Arm."""


def choose_device() -> torch.device:
    """Return the GPU if torch can use it, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(requested: str, device: torch.device) -> str:
    """Resolve "auto": "bf16" where the machine computes it in hardware, else "fp32".

    Raises:
        UserError: fp16 is requested without a GPU.
    """
    if requested == "fp16" and device.type != "cuda":
        raise UserError("[train] precision 'fp16' needs a GPU, and torch finds none; set 'auto' or 'bf16'")
    if requested != "auto":
        return requested
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return "fp32"
    return "bf16" if flags & BF16_FLAGS else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the autocast context of a forward pass at ``precision``."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "fp32")


@contextlib.contextmanager
def memory_guard(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Turn out-of-memory errors into a UserError that names the settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise UserError(out_of_memory_message(config, device)) from None
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch's message on a CPU
            raise
        raise UserError(out_of_memory_message(config, device)) from None


def out_of_memory_message(config: TrainConfig, device: torch.device) -> str:
    """Return the message that names the settings that take memory, the largest consumer first."""
    on_cpu = device.type == "cpu"
    settings = {
        "cache_features": config.cache_features if on_cpu else 0,
        "processes": config.processes if on_cpu else 0,
        "batch_size": config.batch_size if config.batch_size > 1 and not on_cpu else 0,
        "box_batch_size_per_image": config.box_batch_size_per_image,
        "crop": config.crop,
    }
    named = ", ".join(f"{name} (now {value})" for name, value in settings.items() if value)
    hint = "; raise accumulate to compensate for a smaller batch_size" if settings["batch_size"] else ""
    return f"out of memory ({device.type}): lower [train] {named}, or min_size{hint}"

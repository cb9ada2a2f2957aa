"""The recipe's small decisions: seeds, the learning rate, the precision."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from pipeline.config import TrainConfig


def seed_of(*numbers: int) -> int:
    """One seed for torch from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def schedule(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the peak rate: linear warm-up (at most a quarter of the run), then a cosine to 1 %."""
    warmup = min(config.warmup_iterations, steps // 4)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def choose_precision(wanted: str, device: torch.device) -> str:
    """Resolve "auto": "bf16" where the machine computes it in hardware, else "fp32"."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return "fp32"
    return "bf16" if flags & {"avx512_bf16", "amx_bf16", "bf16"} else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context a forward pass runs in."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

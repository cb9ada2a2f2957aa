"""The recipe's small decisions: seeds, the learning rate, the precision."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from pipeline.config import TrainConfig, UserError


def schedule(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the peak rate: linear warm-up (at most a quarter of the run), then a cosine or steps."""
    warmup = min(config.warmup_iterations, steps // 4)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if config.schedule == "step":
        return 0.1 ** sum(step >= share * steps for share in config.lr_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def choose_precision(wanted: str, device: torch.device) -> str:
    """Resolve "auto": "bf16" where the machine computes it in hardware, else "fp32".

    Raises:
        UserError: fp16 without a GPU.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise UserError("[train] precision 'fp16' needs a GPU, and torch sees none; say 'auto' or 'bf16'")
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
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=precision != "fp32")

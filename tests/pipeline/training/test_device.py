"""Precision of the device, and out-of-memory errors."""

from __future__ import annotations

import pytest
import torch

from pipeline.config import TrainConfig, UserError
from pipeline.training.device import choose_precision, memory_guard

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(UserError, match=r"fp16.* needs a GPU"):
        choose_precision("fp16", CPU)
    assert choose_precision("fp16", GPU) == "fp16"


def test_auto_precision_on_a_cpu_is_fp32_or_bf16() -> None:
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("auto", CPU) in ("fp32", "bf16")


def test_an_out_of_memory_error_names_the_settings_to_lower() -> None:
    with (
        pytest.raises(UserError, match=r"lower \[train\] batch_size \(now 8\).*; raise accumulate") as error,
        memory_guard(TrainConfig(batch_size=8), GPU),
    ):
        torch.empty(1 << 50)  # more than any machine has
    assert "\n" not in str(error.value)


def test_other_runtime_errors_pass_the_memory_guard() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_guard(TrainConfig(), CPU):
        torch.zeros(2) + torch.zeros(3, 4).view(5)

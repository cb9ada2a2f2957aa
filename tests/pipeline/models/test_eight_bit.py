"""Checkpoints with 8-bit weights: their error, their size, and that they load like others."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.models.checkpoint import load_checkpoint, load_model, save_checkpoint
from pipeline.models.eight_bit import SCALE, compress, expand
from tests.helpers.synthetic import write_tiny_model


def test_a_weight_is_rounded_to_a_127th_of_its_channels_largest() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 8, 3, 3) * torch.tensor([0.01, 1, 100, 1, 0]).reshape(5, 1, 1, 1)
    kernel = torch.randn(8, 1, 3, 3)
    state = {
        "conv.weight": weight,
        "conv.bias": torch.randn(5),
        "depthwise.weight": kernel,
        "count": torch.arange(4).reshape(2, 2),
    }
    compressed = compress(state)
    assert compressed["conv.weight"].dtype == torch.int8
    expanded = expand(compressed)
    assert expanded.keys() == state.keys()
    error = (expanded["conv.weight"] - weight).abs().flatten(1).amax(1)
    largest = weight.abs().flatten(1).amax(1)
    assert (error <= largest / 127 / 2 * 1.001).all() and (error[:4] > 0).all()
    assert torch.equal(expanded["conv.bias"], state["conv.bias"]), "vectors are not rounded"
    assert torch.equal(expanded["depthwise.weight"], kernel), "nor are depthwise kernels"
    assert torch.equal(expanded["count"], state["count"])


def test_a_checkpoint_in_8_bits_is_less_than_a_third_as_large_and_loads(tmp_path: Path) -> None:
    full, small = tmp_path / "full.safetensors", tmp_path / "small.safetensors"
    write_tiny_model(full)
    checkpoint = load_checkpoint(full)
    save_checkpoint(small, checkpoint, eight_bit=True)
    assert small.stat().st_size < 0.3 * full.stat().st_size
    model, loaded = load_model(small)
    assert loaded.classes == checkpoint.classes and loaded.score_threshold == checkpoint.score_threshold
    name = "roi_heads.box_head.fc6.weight"
    rounded, exact = model.state_dict()[name], checkpoint.state[name]
    assert rounded.dtype == torch.float32 and not any(key.endswith(SCALE) for key in loaded.state)
    assert 0 < (rounded - exact).abs().max() < exact.abs().max() / 127

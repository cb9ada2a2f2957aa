"""The sharded optimizer gives the weights and the EMA of torch's plain functions."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pipeline.training.sharded_optimizer import ShardedOptimizer

MAX_NORM, EMA_DECAY = 0.1, 0.9


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    return layers.to(memory_format=torch.channels_last)


def test_one_process_equals_the_plain_functions() -> None:
    """Compare with ``zero_grad``, ``clip_grad_norm_``, ``step`` and an average over all parameters."""
    model, plain = network(), network()
    ema_model, plain_ema = copy.deepcopy(model), copy.deepcopy(model)
    optimizer = ShardedOptimizer(model, ema_model, torch.optim.AdamW(model.parameters(), fused=True))
    plain_optimizer = torch.optim.AdamW(plain.parameters(), fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for _ in range(3):
        images = torch.rand(2, 3, 8, 8)

        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.all_reduce_gradients()
        norm = optimizer.grad_norm()
        optimizer.scale_gradients((MAX_NORM / (norm + 1e-6)).clamp(max=1.0))
        optimizer.step(scaler)
        optimizer.update_ema(EMA_DECAY)

        plain_optimizer.zero_grad()
        plain(images).square().sum().backward()
        plain_norm = nn.utils.clip_grad_norm_(plain.parameters(), MAX_NORM)
        plain_optimizer.step()
        with torch.no_grad():
            for average, weight in zip(plain_ema.parameters(), plain.parameters(), strict=True):
                average.lerp_(weight, 1 - EMA_DECAY)

        assert norm > MAX_NORM and torch.allclose(norm, plain_norm)
    for first, second in ((model, plain), (ema_model, plain_ema)):
        for p, expected in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.allclose(p, expected, rtol=1e-6, atol=1e-7)
    state, expected_state = optimizer.state_dict()["state"], plain_optimizer.state_dict()["state"]
    assert state.keys() == expected_state.keys()
    for index, values in state.items():
        for name, value in values.items():
            assert torch.allclose(value, expected_state[index][name])


def test_frozen_parameters_do_not_change() -> None:
    model = network()
    ema_model, before = copy.deepcopy(model), copy.deepcopy(model)
    torch_optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model[0].requires_grad_(False)
    optimizer = ShardedOptimizer(model, ema_model, torch_optimizer)
    optimizer.zero_grad()
    model(torch.rand(2, 3, 8, 8)).square().sum().backward()
    optimizer.step(torch.amp.GradScaler("cpu", enabled=False))
    optimizer.update_ema(EMA_DECAY)
    initial = before.state_dict()
    for state in (model.state_dict(), ema_model.state_dict()):
        assert torch.equal(state["0.weight"], initial["0.weight"])
        assert not torch.equal(state["2.weight"], initial["2.weight"])

"""Amplitude jitter changes amplitudes, most at high frequencies, and keeps phases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config import TrainConfig
from pipeline.training.augment.amplitude import amplitude_jitter
from pipeline.training.augment.augmentation import augment


def faint_texture(size: tuple[int, int]) -> Tensor:
    """Return a grey image (3, H, W) with small amplitudes at all frequencies, which is never clipped."""
    generator = torch.Generator().manual_seed(0)
    return 0.5 + 1e-3 * torch.randn(3, *size, generator=generator)


@pytest.mark.parametrize("size", [(96, 128), (97, 121)])
def test_factors_grow_with_the_frequency(size: tuple[int, int]) -> None:
    image = faint_texture(size)
    before = torch.fft.rfft2(image)
    ratios = [
        torch.fft.rfft2(amplitude_jitter(image, np.random.default_rng(seed))) / before for seed in range(6)
    ]
    factors = torch.stack(ratios)[:, :, :, 1:-1]  # the outer columns are their own mirror images
    assert factors.imag.abs().median() < 1e-2, "phases stay, or turn by half a circle"
    low = factors.real[:, :, 1:4, :3].std().item()
    middle = factors.real[:, :, size[0] // 4, size[1] // 4 - 3 : size[1] // 4 + 3].std().item()
    assert low == pytest.approx(0.25 / np.sqrt(2), rel=0.25)
    assert middle == pytest.approx((1.5**2 + 0.25) / np.sqrt(2), rel=0.25)


def test_the_image_stays_in_its_range_and_depends_on_the_generator_only() -> None:
    image = torch.rand(3, 45, 64)
    first, again, other = (amplitude_jitter(image, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == image.shape and first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_amplitude_is_a_probability() -> None:
    target = {
        "boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "ignore": torch.zeros(0, 4),
        "masks": torch.zeros(0, 48, 64, dtype=torch.uint8), "image_id": torch.tensor(1),
    }  # fmt: skip
    sample = (torch.rand(3, 48, 64), target)

    def images(amplitude: float) -> list[Tensor]:
        config = TrainConfig(photometric=0, blur=0, noise=0, jpeg=0, amplitude=amplitude)
        return [augment(sample, config, np.random.default_rng(seed))[0] for seed in range(40)]

    never, half, always = images(0.0), images(0.5), images(1.0)
    changed = [not torch.equal(a, b) for a, b in zip(never, half, strict=True)]
    assert 8 < sum(changed) < 32
    assert not any(torch.equal(a, b) for a, b in zip(never, always, strict=True))

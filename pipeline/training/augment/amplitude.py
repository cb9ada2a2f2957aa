"""Amplitude jitter: random factors on an image's Fourier amplitudes. Targets do not change."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

ALPHA, POWER, BASE = 3.0, 2.0, 0.25
"""The paper's alpha, k and beta."""


def amplitude_jitter(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Multiply the Fourier amplitudes of an image by random factors, and keep its phases.

    PASTA (Chattopadhyay et al. 2023, "Proportional Amplitude Spectrum Training Augmentation for
    Syn-to-Real Domain Generalization"): renders and photographs differ most in the amplitudes of high
    frequencies, so these change most. A factor's mean is 1, its standard deviation is
    (ALPHA * f) ** POWER + BASE, where f is the frequency as a share of the highest one.

    Args:
        image: (3, H, W) in 0..1.
        rng: generator of the random numbers.

    Returns:
        (3, H, W) in 0..1.
    """
    height, width = image.shape[1:]
    down, across = 2 * np.fft.fftfreq(height)[:, None], 2 * np.fft.rfftfreq(width)[None, :]
    deviation = (ALPHA * np.hypot(down, across) / np.sqrt(2)) ** POWER + BASE
    # The paper draws for all frequencies and takes the real part, which is the mean of the factors of
    # f and -f. Here half of the frequencies are drawn, with the deviation of that mean.
    deviation = (deviation / np.sqrt(2)).astype(np.float32)
    spectrum = torch.fft.rfft2(image)
    factors = rng.standard_normal(spectrum.shape, np.float32) * deviation + 1
    jittered: Tensor = torch.fft.irfft2(spectrum * torch.from_numpy(factors), s=(height, width))
    return jittered.clamp(0, 1)

"""Effects of air and lens on linear light, and blurs. Numpy only.

Images are stored as planes, (3, H, W) float32.
"""

from __future__ import annotations

import numpy as np

MID_GREY = 0.18
"""Linear light to which the automatic exposure scales the metered luminance."""
WHITE = 1.0
"""Linear light above which a surface causes glare: 2.5 stops above mid-grey."""


def haze(image: np.ndarray, distance: np.ndarray, loss: float) -> np.ndarray:
    """Apply haze: dust replaces light by mid-grey with growing distance (Koschmieder's law).

    Args:
        image: (3, H, W).
        distance: (H, W) metres.
        loss: share of the light that is lost per metre.
    """
    if loss <= 0:
        return image
    transmitted = np.exp(np.float32(np.log1p(-loss)) * distance.astype(np.float32))
    return image * transmitted + np.float32(MID_GREY) * (1 - transmitted)


def vignette(height: int, width: int, loss: float) -> np.ndarray:
    """Return the share of the light that reaches each pixel, (H, W).

    It falls with the fourth power of the cosine of the field angle; ``loss`` is the share lost in the
    corners.
    """
    y, x = np.ogrid[0:height, 0:width]
    radius = ((x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2) / (
        (width / 2) ** 2 + (height / 2) ** 2
    )
    strength = 1 / np.sqrt(max(1 - loss, 1e-3)) - 1
    return (1 / (1 + strength * radius.astype(np.float32)) ** 2).astype(np.float32)


def glare(image: np.ndarray, share: float, radius: float) -> np.ndarray:
    """Scatter a share of the light above WHITE to the surroundings with a Gaussian.

    The light is summed in cells of 8 x 8 pixels, and the Gaussian maps cells to pixels. It is separable, so
    two small matrix products are enough.

    Args:
        image: (3, H, W).
        share: share of the excess light that is scattered.
        radius: standard deviation of the Gaussian in pixels.
    """
    if share <= 0 or not (image > WHITE).any():
        return image
    height, width = image.shape[1:]
    padding = ((0, 0), (0, -height % 8), (0, -width % 8))
    excess = np.pad(np.clip(image - np.float32(WHITE), 0, 20), padding)
    cells = excess.reshape(3, excess.shape[1] // 8, 8, -1, 8).mean((2, 4))
    vertical = _gaussian_weights(height, cells.shape[1], radius)
    horizontal = _gaussian_weights(width, cells.shape[2], radius)
    return image + np.float32(share) * (vertical @ cells @ horizontal.T)


def _gaussian_weights(pixels: int, cells: int, radius: float) -> np.ndarray:
    """Return the weights of cells 8 pixels wide at each pixel, (pixels, cells); each row sums to 1."""
    offset = np.arange(pixels)[:, None] + 0.5 - (np.arange(cells) * 8 + 4)
    weights = np.exp(-0.5 * (offset / np.hypot(radius, 4)) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def flare(image: np.ndarray, share: float) -> np.ndarray:
    """Spread a share of the light (3, H, W) evenly over the image (veiling glare), which lifts the blacks."""
    if share <= 0:
        return image
    mean = np.minimum(image, 20).mean((1, 2), dtype=np.float64).astype(np.float32)
    return image * np.float32(1 - share) + np.float32(share) * mean[:, None, None]


def aberration(image: np.ndarray, share: float) -> np.ndarray:
    """Apply lateral chromatic aberration: magnify red and shrink blue about the image centre by a share."""
    if share <= 0:
        return image
    red, green, blue = image
    return np.stack([_scale_plane(red, 1 + share), green, _scale_plane(blue, 1 - share)])


def _scale_plane(plane: np.ndarray, scale: float) -> np.ndarray:
    """Scale a plane (H, W) about its centre with linear interpolation."""
    for axis in (0, 1):
        size = plane.shape[axis]
        plane = _interpolate(plane, (np.arange(size) - (size - 1) / 2) / scale + (size - 1) / 2, axis)
    return plane


def resample(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize planes (3, H, W) to another number of lines and columns, with linear interpolation."""
    for axis, size in ((1, height), (2, width)):
        if image.shape[axis] != size:
            image = _interpolate(image, (np.arange(size) + 0.5) * (image.shape[axis] / size) - 0.5, axis)
    return image


def _interpolate(array: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Read an array at fractional positions along an axis, with linear interpolation."""
    size = array.shape[axis]
    position = np.clip(position, 0, size - 1)
    low = np.minimum(position.astype(np.intp), size - 2)
    share = (position - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    first = np.take(array, low, axis)
    between: np.ndarray = first + (np.take(array, low + 1, axis) - first) * share
    return between


Kernel = dict[tuple[int, int], float]
"""A small convolution kernel: weights by (rows down, columns right); they sum to 1."""


def disc_kernel(radius: float) -> Kernel:
    """Return the kernel of a defocus blur: a disc of ``radius`` pixels with an edge of one pixel."""
    reach = int(np.ceil(radius))
    weights = {
        (dy, dx): float(np.clip(radius + 0.5 - np.hypot(dx, dy), 0, 1))
        for dy in range(-reach, reach + 1)
        for dx in range(-reach, reach + 1)
    }
    total = sum(weights.values())
    return {offset: weight / total for offset, weight in weights.items() if weight > 0}


def motion_kernel(length: float, angle: float) -> Kernel:
    """Return the kernel of a motion blur: a line of ``length`` pixels at ``angle`` radians."""
    steps = max(1, int(np.ceil(length)) + 1 if length > 0 else 1)
    kernel: Kernel = {}
    for t in np.linspace(-0.5, 0.5, steps) if steps > 1 else [0.0]:
        offset = (round(t * length * np.sin(angle)), round(t * length * np.cos(angle)))
        kernel[offset] = kernel.get(offset, 0.0) + 1 / steps
    return kernel


def blur(image: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Convolve (3, H, W) with a small kernel; border pixels are repeated."""
    if len(kernel) == 1:
        return image
    height, width = image.shape[1:]
    reach = max(max(abs(dy), abs(dx)) for dy, dx in kernel)
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    total, product = np.zeros_like(image), np.empty_like(image)
    for (dy, dx), weight in kernel.items():
        y, x = reach - dy, reach - dx
        total += np.multiply(padded[:, y : y + height, x : x + width], np.float32(weight), out=product)
    return total

"""Check uploaded files before they are decoded: only pictures and videos, up to a size."""

from __future__ import annotations

from pathlib import Path

from blender.contract import UserError
from pipeline.data.images import HEIC_ADVICE, format_size, identify_image, is_heic, open_image
from pipeline.inference.video import is_readable_video, read_header

MAX_BYTES = 200 * 2**20
"""Size of the largest file that is accepted."""
MAX_PIXELS = 50_000_000
"""Pixels of the largest picture, or frame of a video, that is accepted: with their masks, more would need
gigabytes of memory."""


def check_upload(path: Path) -> bool:
    """Check a file by its size and its header.

    Returns:
        Whether it is a video; otherwise it is a picture.

    Raises:
        UserError: it is neither, or too large; one line that names the file without its folder.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(
            f"{path.name}: {size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are accepted: "
            "make it smaller"
        )
    if identify_image(path):
        with open_image(path) as image:
            _check_pixels(path.name, image.size)
        return False
    if is_heic(path):
        raise UserError(f"{path.name}: HEIC; {HEIC_ADVICE}")
    if not is_readable_video(path):
        raise UserError(f"{path.name}: neither a picture nor a video that can be read")
    _check_pixels(path.name, read_header(path).size)
    return True


def _check_pixels(name: str, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(
            f"{name}: {format_size(size)} pixels; at most {MAX_PIXELS // 10**6} megapixels are accepted: "
            "make it smaller"
        )

"""Fixtures of the tests of training."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from pipeline.models import weight_files


@pytest.fixture(autouse=True, scope="session")
def embedded_weights_read_once() -> Iterator[None]:
    """Read the embedded weights once: it takes 0.7 s, and dozens of trainings start from them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "load_embedded", functools.cache(weight_files.load_embedded))
        yield

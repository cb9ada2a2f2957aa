"""Keep what the predictors of a checkpoint know of the classes that the next training has, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.models.mask_rcnn import TranspaletteMaskRCNN

BACKGROUND = ""
"""The background among the names of a predictor's rows; no class has this name."""
SHARED = "roi_heads.mask_predictor.conv5_mask."
"""Start of the names of the mask predictor's layer that all classes share."""
BOX_OFFSETS = 4
"""Rows of the box regression for each class."""


@dataclass(frozen=True)
class Labels:
    """The names of a model's labels, from 1."""

    classes: tuple[str, ...]
    """The classes."""
    auxiliary: tuple[str, ...] = ()
    """The auxiliary classes, whose labels follow."""

    @property
    def rows(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the rows of each predictor, by the predictor's module."""
        with_background = (BACKGROUND, *self.classes, *self.auxiliary)
        return {
            "roi_heads.box_predictor.cls_score": with_background,
            "roi_heads.box_predictor.bbox_pred": tuple(
                n for n in with_background for _ in range(BOX_OFFSETS)
            ),
            "roi_heads.mask_predictor.mask_fcn_logits": (BACKGROUND, *self.classes),
            "roi_heads.pixels": (*self.classes, *self.auxiliary),
        }


def copy_known_rows(
    model: TranspaletteMaskRCNN, state: Mapping[str, Tensor], before: Labels, after: Labels
) -> None:
    """Copy the rows of the background and of each known class from a checkpoint into a model's predictors.

    The layer of the mask predictor that all classes share is copied, too, since rows of masks mean nothing
    without it. Rows of new classes stay as they are. A class that was an auxiliary class has no row for
    masks.

    Args:
        model: the model, with predictors for ``after``.
        state: the checkpoint's weights, with predictors for ``before``.
        before: the labels of the checkpoint.
        after: the labels of the model.
    """
    own = model.state_dict()  # it shares its memory with the model
    for key in own:
        if key.startswith(SHARED) and key in state:
            own[key].copy_(state[key])
    for module, names in after.rows.items():
        old_names = before.rows[module]
        pairs = []
        for name in dict.fromkeys(names):
            if name in old_names:
                pairs += list(zip(_places(names, name), _places(old_names, name), strict=True))
        for key in (f"{module}.weight", f"{module}.bias"):
            if key in own and key in state and pairs:
                rows, old_rows = torch.tensor(pairs).T
                own[key][rows] = state[key][old_rows].to(own[key])


def reorder_rows(state: Mapping[str, Tensor], before: Labels, after: Labels) -> dict[str, Tensor]:
    """Return a state dict whose predictors have their rows in the order of other labels.

    Args:
        state: the weights.
        before: their labels.
        after: labels with the same names, in another order or with fewer classes and more auxiliary classes.
    """
    reordered = dict(state)
    for module, names in after.rows.items():
        rows = [place for name in dict.fromkeys(names) for place in _places(before.rows[module], name)]
        for key in (f"{module}.weight", f"{module}.bias"):
            if key in state:
                reordered[key] = state[key][rows]
    return reordered


def _places(names: tuple[str, ...], name: str) -> list[int]:
    """Return the indices of the rows with a name."""
    return [i for i, other in enumerate(names) if other == name]

"""Histograms and maps as a picture, drawn with Pillow: small panels in rows, one or two sets in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.viz.contact_sheet import BACKGROUND, INK
from pipeline.viz.overlays import PALETTE, Colour

_WIDTH, _HEIGHT, _GAP = 300, 200, 16
_LEFT, _TOP, _BOTTOM = 34, 26, 20
_FAINT: Colour = (58, 62, 70)


@dataclass(frozen=True)
class Panel:
    """One chart: a histogram with a bar for each set in every bin, or a map for each set."""

    title: str
    bars: tuple[tuple[int, ...], ...]
    """For each set its counts; () if it has none. Drawn as shares, so that sets of any size compare."""
    labels: tuple[str, ...] = ()
    """The bins' edges, one more than there are bins."""
    maps: tuple[tuple[tuple[int, ...], ...], ...] = ()
    """For each set its counts by row and column, instead of bars."""


def draw_page(names: list[str], rows: list[list[Panel]]) -> Image.Image:
    """Draw the panels, a row of them for each row, under a legend of the sets' names."""
    columns = max((len(row) for row in rows), default=1)
    size = (columns * (_WIDTH + _GAP) + _GAP, max(1, len(rows)) * (_HEIGHT + _GAP) + _GAP + 24)
    page = Image.new("RGB", size, BACKGROUND)
    canvas, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    x = float(_GAP)
    for number, name in enumerate(names):
        canvas.rectangle((x, 12, x + 12, 24), fill=PALETTE[number])
        canvas.text((x + 18, 9), name, font=font, fill=INK)
        x += 40 + canvas.textlength(name, font=font)
    for number, row in enumerate(rows):
        for column, panel in enumerate(row):
            corner = (_GAP + column * (_WIDTH + _GAP), 24 + _GAP + number * (_HEIGHT + _GAP))
            page.paste(draw_panel(panel), corner)
    return page


def draw_panel(panel: Panel) -> Image.Image:
    """Draw one panel."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), BACKGROUND)
    canvas = ImageDraw.Draw(picture)
    canvas.text((0, 2), panel.title, font=ImageFont.load_default(size=13), fill=INK)
    if panel.maps:
        _maps(picture, panel)
    else:
        _bars(canvas, panel)
    return picture


def _bars(canvas: ImageDraw.ImageDraw, panel: Panel) -> None:
    shares = [np.array(counts) / max(1, sum(counts)) for counts in panel.bars]
    highest = max((float(s.max(initial=0)) for s in shares), default=0.0)
    font, base = ImageFont.load_default(size=10), _HEIGHT - _BOTTOM
    bins = len(panel.labels) - 1
    step = (_WIDTH - _LEFT - 8) / bins
    canvas.line((_LEFT, base, _WIDTH - 4, base), fill=_FAINT)
    if not highest:
        canvas.text((_LEFT + 8, base - 20), "not known", font=font, fill=INK)
    else:
        canvas.text((0, _TOP), f"{highest:.0%}", font=font, fill=INK)
        canvas.line((_LEFT, _TOP + 6, _WIDTH - 4, _TOP + 6), fill=_FAINT)
    width = (step - 2) / max(1, len(shares))
    for number, share in enumerate(shares):
        for place, value in enumerate(share):
            x = _LEFT + place * step + 1 + number * width
            top = base - value / highest * (base - _TOP - 6) if highest else base
            if value:
                canvas.rectangle((x, top, x + width - 1, base - 1), fill=PALETTE[number])
    for place in range(0, bins + 1, max(1, round(bins / 6))):
        label = panel.labels[place]
        x = _LEFT + place * step - canvas.textlength(label, font=font) / 2
        canvas.text((x, base + 4), label, font=font, fill=INK)


def _maps(picture: Image.Image, panel: Panel) -> None:
    """The sets' maps side by side, the fullest cell of each in its set's full colour."""
    width = (_WIDTH - 8 * (len(panel.maps) - 1)) // len(panel.maps)
    for number, rows in enumerate(panel.maps):
        counts = np.array(rows, float).reshape(len(rows), -1)
        strength = (counts / max(1.0, counts.max(initial=0)))[..., None]
        colours = np.array(_FAINT) * (1 - strength) + np.array(PALETTE[number]) * strength
        if counts.size:
            tile = Image.fromarray(colours.round().astype(np.uint8), "RGB")
            size = (width, min(_HEIGHT - _TOP - 4, round(width * len(rows) / counts.shape[1])))
            picture.paste(tile.resize(size, Image.Resampling.NEAREST), (number * (width + 8), _TOP))

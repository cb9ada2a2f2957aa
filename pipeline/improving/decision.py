"""Decide after each round whether the loop goes on, and which checkpoint is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAINLESS_ROUNDS = 2
"""Number of rounds in a row without a sure gain after which the loop ends."""
NOTHING_WEAK, NO_GAIN, BUDGET = (
    "nothing is surely weak",
    "two rounds without a sure gain",
    "the budget is spent",
)


@dataclass(frozen=True)
class RoundResult:
    """What a decision needs to know about a round; round 0 is the start."""

    ap50: float | None
    """AP50 on the choosing split, of masks where they are measured; None without objects."""
    gain_interval: tuple[float, float] | None
    """95 % interval of the gain over the best round before; None for round 0, or if there is no interval."""
    weak: int
    """Number of slices and kinds that are surely weak."""


@dataclass(frozen=True)
class Decision:
    """The decision after a round."""

    best: int
    """Number of the round with the best checkpoint."""
    reason: str
    """Why the loop ends; empty: it goes on."""

    @property
    def goes_on(self) -> bool:
        """Return whether another round follows."""
        return not self.reason


def best_round(rounds: Sequence[RoundResult]) -> int:
    """Return the round with the highest AP50; of equal ones the first."""
    values = [-1.0 if entry.ap50 is None else entry.ap50 for entry in rounds]
    return values.index(max(values))


def decide(
    rounds: Sequence[RoundResult],
    spent: float,
    next_round: float,
    budget: float | None,
    uniform: bool = False,
    all_rounds: bool = False,
) -> Decision:
    """Decide whether another round follows. A pure function.

    The best checkpoint is the one that the next round trains on from, so its weakness counts.

    Args:
        rounds: all rounds so far, round 0 first.
        spent: seconds spent so far.
        next_round: expected seconds of the next round; 0: unknown.
        budget: seconds that may be spent; None: no limit.
        uniform: whether scenes are drawn uniformly, for comparison: then weakness does not matter.
        all_rounds: whether only the budget ends the loop, for comparison.
    """
    best = best_round(rounds)
    last = rounds[1:][-GAINLESS_ROUNDS:]
    sure = [r.gain_interval is not None and r.gain_interval[0] > 0 for r in last]
    if not (uniform or all_rounds) and not rounds[best].weak:
        return Decision(best, NOTHING_WEAK)
    if not all_rounds and len(last) == GAINLESS_ROUNDS and not any(sure):
        return Decision(best, NO_GAIN)
    if budget is not None and spent + next_round > budget:
        return Decision(best, BUDGET)
    return Decision(best, "")

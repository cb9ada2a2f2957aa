"""The decision after a round: weakness, gains, the budget, the best checkpoint."""

from __future__ import annotations

from pipeline.improving.decision import BUDGET, NO_GAIN, NOTHING_WEAK, RoundResult, best_round, decide

SURE, UNSURE, WORSE = (0.01, 0.05), (-0.01, 0.03), (-0.05, -0.01)
START = RoundResult(0.4, None, 3)


def after(*rounds: RoundResult, spent: float = 0, budget: float | None = None, uniform: bool = False) -> str:
    return decide((START, *rounds), spent, 10.0, budget, uniform).reason


def test_loop_goes_on_while_something_is_weak() -> None:
    assert after() == ""
    assert after(RoundResult(0.5, SURE, 2)) == ""


def test_loop_ends_when_nothing_is_weak_at_the_best_checkpoint() -> None:
    assert after(RoundResult(0.5, SURE, 0)) == NOTHING_WEAK
    assert after(RoundResult(0.3, WORSE, 0)) == ""  # the start is better, and weak
    assert after(RoundResult(0.5, SURE, 0), uniform=True) == ""


def test_loop_ends_after_two_rounds_in_a_row_without_a_sure_gain() -> None:
    unsure, worse = RoundResult(0.41, UNSURE, 2), RoundResult(0.35, WORSE, 2)
    sure = RoundResult(0.5, SURE, 2)
    assert after(unsure) == ""
    assert after(unsure, sure, unsure) == ""
    assert after(unsure, worse) == NO_GAIN
    assert after(RoundResult(0.41, None, 2), unsure) == NO_GAIN


def test_round_that_would_exceed_the_budget_does_not_begin() -> None:
    assert after(RoundResult(0.5, SURE, 2), spent=85, budget=100) == ""
    assert after(RoundResult(0.5, SURE, 2), spent=95, budget=100) == BUDGET


def test_best_round_is_the_first_with_the_highest_ap() -> None:
    assert best_round([START, RoundResult(0.5, SURE, 1), RoundResult(0.5, UNSURE, 1)]) == 1
    assert best_round([RoundResult(None, None, 0)]) == 0

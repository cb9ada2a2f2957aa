"""Run the rounds of ``transpalette improve``.

Every step writes its files completely or not at all, and is skipped if they exist. A decision that depends on
time is read again from its file. So a killed loop goes on when the command is repeated, and ends with the
same bytes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import click

from blender.contract import canonical_json, remove_fragments, write_atomic
from pipeline.common.durations import format_duration
from pipeline.config import Profile, read_profile
from pipeline.improving.decision import BUDGET, Decision, RoundResult, best_round, decide
from pipeline.improving.measure import Metrics, evaluate_round, measure_round, result_of
from pipeline.improving.rounds import Tables, render_choosing_split, render_round, train_round
from pipeline.improving.settings import Loop, check_run, claim_folder, read_json

METRICS, DECISION, MODEL = "metrics.json", "decision.json", "model.safetensors"


class Clock:
    """Seconds that the loop has taken, over all interruptions; kept in a file that no result depends on."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one."""
        self.path = path
        self.rounds: dict[str, float] = {}
        with suppress(OSError, ValueError, AttributeError):
            self.rounds = {str(key): float(value) for key, value in json.loads(path.read_bytes()).items()}

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Add the time of a step to a round, and save it, even if the step is interrupted."""
        began = time.monotonic()
        try:
            yield
        finally:
            key = str(number)
            self.rounds[key] = round(self.rounds.get(key, 0.0) + time.monotonic() - began, 1)
            write_atomic(self.path, canonical_json(self.rounds))

    @property
    def spent(self) -> float:
        """Return the seconds of all rounds."""
        return sum(self.rounds.values())

    def of_round(self, number: int) -> float:
        """Return the seconds of a round; 0 if it is not known."""
        return self.rounds.get(str(number), 0.0)


def improve(loop: Loop) -> Path:
    """Run the loop, or go on with it; return the best checkpoint, ``model.safetensors`` in its folder.

    Raises:
        UserError: a file of the run is missing, an option is wrong, or the folder has another loop.
        SystemExit: a step failed, and said why.
    """
    tables = check_run(loop.run, loop.profile)
    profile = read_profile(loop.profile)
    claim_folder(loop, tables)
    remove_fragments(loop.out)
    clock = Clock(loop.out / "clock.json")
    if not (loop.round(0) / DECISION).is_file():
        click.echo(f"improve: renders and measures the choosing split in {loop.out}", err=True)
        with clock.step(0):
            render_choosing_split(loop, tables)
    results: list[RoundResult] = []
    decision = Decision(0, "")
    for number in range(loop.rounds + 1):
        metrics = _finish_round(loop, profile, tables, number, results, clock)
        results.append(result_of(metrics))
        decision = _decide(loop, results, clock)
        _print_round(number, metrics, decision)
        if not decision.goes_on:
            break
    return _keep_best(loop, decision)


def _finish_round(
    loop: Loop, profile: Profile, tables: Tables, number: int, results: list[RoundResult], clock: Clock
) -> Metrics:
    """Run a round, unless it is finished; return its figures."""
    path = loop.round(number) / METRICS
    if not path.is_file():
        best = best_round(results) if results else 0
        if number:
            _print_start(loop, number, clock)
            with clock.step(number):
                before = read_json(loop.round(best) / METRICS)
                render_round(loop, profile, tables, number, best, before)
            with clock.step(number):
                train_round(loop, number)
        with clock.step(number):
            evaluate_round(loop, number, profile.evaluate.bootstrap)
            scenes = read_json(loop.out / "choose.json")["images"]
            write_atomic(path, canonical_json(measure_round(loop, number, profile, scenes, best)))
    metrics: Metrics = read_json(path)
    return metrics


def _decide(loop: Loop, results: list[RoundResult], clock: Clock) -> Decision:
    """Decide after a round, or read the decision. An ended budget is decided again if it is now larger."""
    number = len(results) - 1
    path = loop.round(number) / DECISION
    if path.is_file():
        saved = read_json(path)
        more = loop.budget is None or loop.budget > (saved["budget"] or 0)
        if saved["reason"] != BUDGET or not more:
            return Decision(saved["best"], saved["reason"])
    uniform, all_rounds = loop.settings.policy == "uniform", loop.settings.all_rounds
    expected = clock.of_round(number) if number else 0.0
    decision = decide(results, clock.spent, expected, loop.budget, uniform, all_rounds)
    budget = loop.budget if decision.reason == BUDGET else None
    write_atomic(path, canonical_json(asdict(decision) | {"round": number, "budget": budget}))
    return decision


def _print_start(loop: Loop, number: int, clock: Clock) -> None:
    """Say which round begins, and how long the rest may take at most."""
    left, last = "", clock.of_round(number - 1) if number > 1 else 0.0
    if last:
        seconds = last * (loop.rounds - number + 1)
        if loop.budget is not None:
            seconds = min(seconds, max(0.0, loop.budget - clock.spent))
        left = f", at most about {format_duration(seconds)} left"
    click.echo(f"improve: round {number} of {loop.rounds}: {loop.settings.frames} new frames{left}", err=True)


def _print_round(number: int, metrics: Metrics, decision: Decision) -> None:
    """Print a round's figures and decision in one line."""
    iou_type, result = metrics["iou_type"], result_of(metrics)
    name = "mask" if iou_type == "segm" else "box"
    text = f"{name} AP50 {result.ap50:.3f}" if result.ap50 is not None else "no object to measure"
    if metrics["gain"]:
        gain = metrics["gain"]["overall"][iou_type]
        value, interval = gain["gain"]["AP50"], gain["gain_interval"]["AP50"]
        if value is not None:
            bounds = f" [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
            text += f", gain {value:+.3f}{bounds} over round {metrics['gain']['over']}"
    text += f", surely weak: {result.weak} {'slice' if result.weak == 1 else 'slices'}"
    end = "" if decision.goes_on else f"; ends: {decision.reason}"
    click.echo(f"improve: {f'round {number}' if number else 'start'}: {text}{end}")


def _keep_best(loop: Loop, decision: Decision) -> Path:
    """Copy the best checkpoint to the loop's folder."""
    source, target = loop.model(decision.best), loop.out / MODEL
    data = source.read_bytes()
    if not (target.is_file() and target.read_bytes() == data):
        write_atomic(target, data)
    origin = f"round {decision.best}" if decision.best else "the start"
    click.echo(f"improve: best: {origin} -> {target}")
    return target

"""An interrupted predict keeps what it has predicted, and continues when it is repeated."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pipeline.common.interrupts import defer_interrupts
from pipeline.inference.detections import Detections
from pipeline.inference.resume import STATE
from pipeline.inference.segmenter import Segmenter
from pipeline.inference.video import read_video
from tests.pipeline.inference.commands import encode_video, predict, read_results, write_image

Interrupt = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcde":
        write_image(tmp_path / "in" / f"{name}.png", size=(60 + ord(name) % 7, 50))
    return tmp_path / "in"


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupt]:
    """Send signals while image number ``at``, from 1, is predicted; without signals: never."""
    real = Segmenter.predict
    # The tests may run under nohup, or in the background of a script: both start them with signals ignored.
    handlers: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def set_signals(at: int, *numbers: int) -> None:
        count = 0

        def predict_and_interrupt(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
            nonlocal count
            count += 1
            if count == at:
                for number in numbers:
                    os.kill(os.getpid(), number)
            return real(self, image, threshold)

        monkeypatch.setattr(Segmenter, "predict", predict_and_interrupt)

    yield set_signals
    for number, handler in before.items():
        signal.signal(number, handler)


def count_predictions(interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stop the interruptions, and count the predicted images from now on."""
    interrupt(0)
    calls: list[int] = []
    real = Segmenter.predict

    def counted(self: Segmenter, image: Any, threshold: float | None = None) -> Detections:
        calls.append(1)
        return real(self, image, threshold)

    monkeypatch.setattr(Segmenter, "predict", counted)
    return calls


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_interrupted_predict_keeps_its_results_and_resumes(
    quick_model: Path, folder: Path, tmp_path: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch,
    number: int, status: int,
) -> None:  # fmt: skip
    whole, out = tmp_path / "whole", tmp_path / "out"
    (folder / "b.png").write_bytes(b"no image")
    assert predict(quick_model, folder, out=whole).exit_code == 1
    interrupt(2, number)
    run = predict(quick_model, folder, out=out)
    assert run.exit_code == status, run.output
    assert (
        f"interrupted: 3 of 5 images are done, and their results are in {out}; repeat the command"
        in run.output
    )
    assert {r["file_name"] for r in read_results(out)} == {"a.png", "c.png"}
    with (out / "predictions.csv").open(newline="") as stream:
        assert {row["file_name"] for row in csv.DictReader(stream)} == {"a.png", "c.png"}
    assert sorted(files(out)) == ["a.png", "c.png", "predictions.csv", "predictions.json", STATE]
    calls = count_predictions(interrupt, monkeypatch)
    run = predict(quick_model, folder, out=out)
    assert run.exit_code == 1 and "3 of 5 images done before" in run.output, run.output
    assert len(calls) == 2 and "in 4 of 5 images" in run.output and "b.png: not a readable" in run.output
    assert files(out) == files(whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_predict_can_be_interrupted_several_times(
    quick_model: Path, folder: Path, tmp_path: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(quick_model, folder, out=tmp_path / "whole").exit_code == 0
    for _ in range(4):
        interrupt(1, signal.SIGTERM)
        assert predict(quick_model, folder, out=tmp_path / "out").exit_code == 143
    calls = count_predictions(interrupt, monkeypatch)
    assert predict(quick_model, folder, out=tmp_path / "out").exit_code == 0
    assert len(calls) == 1 and files(tmp_path / "out") == files(tmp_path / "whole")


def test_interrupted_video_is_closed_and_predicted_again(
    quick_model: Path, tmp_path: Path, interrupt: Interrupt
) -> None:
    write_image(tmp_path / "in" / "a.png")
    encode_video(tmp_path / "in" / "b.mp4", "libx264", "yuv420p")
    write_image(tmp_path / "in" / "c.png")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert predict(quick_model, tmp_path / "in" / "*", out=whole).exit_code == 0
    interrupt(3, signal.SIGINT)
    run = predict(quick_model, tmp_path / "in" / "*", out=out)
    assert run.exit_code == 130 and "1 of 3 images are done" in run.output, run.output
    assert {(r["file_name"], r.get("frame")) for r in read_results(out)} == {
        ("a.png", None),
        ("b.mp4", 0),
        ("b.mp4", 1),
    }
    assert len(list(read_video(out / "b.mp4"))) == 2
    interrupt(0)
    run = predict(quick_model, tmp_path / "in" / "*", out=out)
    assert run.exit_code == 0 and "1 of 3 images done before" in run.output, run.output
    assert "in 7 of 7 images" in run.output
    assert read_results(out) == read_results(whole)
    assert len(list(read_video(out / "b.mp4"))) == 5


def test_second_interruption_ends_at_once_and_keeps_complete_images(
    quick_model: Path, folder: Path, tmp_path: Path, interrupt: Interrupt
) -> None:
    interrupt(3, signal.SIGINT, signal.SIGINT)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 130 and "2 of 5 images are done" in run.output, run.output
    assert {r["file_name"] for r in read_results(tmp_path / "out")} == {"a.png", "b.png"}
    interrupt(0)
    run = predict(quick_model, folder, out=tmp_path / "out")
    assert run.exit_code == 0 and "2 of 5 images done before" in run.output
    assert len({r["image_id"] for r in read_results(tmp_path / "out")}) == 5


def change_threshold(quick_model: Path, folder: Path, out: Path) -> Result:
    return predict(quick_model, folder, out=out, threshold=0.001)


def change_an_image(quick_model: Path, folder: Path, out: Path) -> Result:
    write_image(folder / "a.png", size=(40, 40))
    return predict(quick_model, folder, out=out)


def add_an_image(quick_model: Path, folder: Path, out: Path) -> Result:
    write_image(folder / "0.png")
    return predict(quick_model, folder, out=out)


def change_the_results(quick_model: Path, folder: Path, out: Path) -> Result:
    (out / "predictions.json").write_bytes(b"[]\n")
    return predict(quick_model, folder, out=out)


def damage_the_state(quick_model: Path, folder: Path, out: Path) -> Result:
    (out / STATE).write_bytes(json.dumps({"inputs": []}).encode())
    return predict(quick_model, folder, out=out)


@pytest.mark.parametrize(
    "change", [change_threshold, change_an_image, add_an_image, change_the_results, damage_the_state]
)
def test_other_inputs_are_predicted_from_the_start(
    quick_model: Path, folder: Path, tmp_path: Path, interrupt: Interrupt, change: Callable[..., Result]
) -> None:
    interrupt(2, signal.SIGINT)
    assert predict(quick_model, folder, out=tmp_path / "out").exit_code == 130
    interrupt(0)
    run = change(quick_model, folder, tmp_path / "out")
    assert run.exit_code == 0 and "done before" not in run.output, run.output
    assert "all images are predicted" in run.output
    total = len(list(folder.iterdir()))
    assert f"in {total} of {total} images" in run.output
    assert not (tmp_path / "out" / STATE).exists()


def test_interruption_before_the_first_image_replaces_nothing(
    quick_model: Path, folder: Path, tmp_path: Path, interrupt: Interrupt
) -> None:
    assert predict(quick_model, folder, out=tmp_path / "out").exit_code == 0
    before = files(tmp_path / "out")
    interrupt(1, signal.SIGINT, signal.SIGINT)
    assert predict(quick_model, folder, out=tmp_path / "out").exit_code == 130
    assert files(tmp_path / "out") == before


def test_ignored_signals_stay_ignored() -> None:
    """As under nohup, which ignores SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with defer_interrupts("") as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.came()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

"""The command ``predict``: detect objects in images, videos and camera frames, and draw them.

Results are written to their files image by image, so memory does not grow with their number.
"""

from __future__ import annotations

import copy
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from blender.contract import UserError, print_note
from pipeline.common.interrupts import defer_interrupts
from pipeline.common.stages import prepare_output_dir
from pipeline.inference.drawings import name_drawings
from pipeline.inference.prediction_run import PredictionRun, predict_source, predict_video
from pipeline.inference.resume import earlier_progress, hash_inputs, remove_progress, save_progress
from pipeline.inference.segmenter import load
from pipeline.inference.sources import Source, find_sources
from pipeline.inference.video import Frame, VideoHeader, read_camera, read_header
from pipeline.inference.writers import COLUMNS, RESULTS, TRACK_COLUMNS, open_results
from pipeline.metres import results as metre_fields
from pipeline.tracking.files import check_names, write_tracks
from pipeline.tracking.trackers import import_package
from pipeline.viz.overlays import readable


def predict_images(
    model_path: Path,
    images: tuple[Path, ...],
    out: Path,
    threshold: float | None = None,
    camera: int | None = None,
    frames: int | None = None,
    classes: tuple[str, ...] = (),
    track: bool = False,
    metres: metre_fields.Metres | None = None,
) -> None:
    """Detect the objects in ``images`` (see ``find_sources``), draw them, and write COCO results and a table.

    ``out`` gets a drawing per image, a drawn .mp4 per video, and predictions.json: COCO results that also
    have ``file_name``, ``picture`` (the drawing's name in ``out``) and ``category_name``; ``image_id`` counts
    from 1. Results of a video also have ``frame``, from 0, and ``seconds``. predictions.csv has the same
    without masks. With ``track``, results have ``track_id``, and tracks.json and tracks.csv are written (see
    ``pipeline.tracking.files``). What cannot be read or drawn is reported and skipped. After Ctrl-C or
    SIGTERM the results so far are kept, and a repeated call continues.

    Args:
        model_path: a checkpoint (model.safetensors), or an exported .onnx file.
        images: files, folders and patterns.
        out: the folder for the results.
        threshold: lowest score that is drawn and written; None: the model's threshold.
        camera: number of a camera to read until the user interrupts, or until ``frames`` are read.
        frames: largest number of frames of each video or camera; None: all.
        classes: the classes to detect; empty: all of the model.
        track: track the objects of videos and of the camera.
        metres: adds floor positions and distances; None: the camera is not described.

    Raises:
        UserError: no image, camera or model was found, ``out`` cannot be written to, or there is nothing to
            track.
        SystemExit: at the end, with status 1 if a source could not be read or drawn, and with 128 + the
            signal's number after an interruption.
    """
    found = find_sources(images) if images or camera is None else None
    sources = found.sources if found else []
    if track:
        _check_tracking(sources, camera, out)
    prepare_output_dir(out)
    names = name_drawings(sources, out)
    headers = [read_header(source.path) if source.is_video else VideoHeader() for source in sources]
    lengths = [min(header.frames, frames or sys.maxsize) for header in headers]
    live = _read_first(read_camera(camera)) if camera is not None else None
    length = None if live and not frames else sum(lengths) + (frames or 0) * (live is not None)
    if found and found.left_out:
        print_note(f"left out: {found.describe_left_out()}")
    segmenter = load(model_path, classes=classes)
    if metres:
        metres.check_classes(segmenter.classes)
    min_score = segmenter.threshold if threshold is None else threshold

    def inputs() -> str:
        more = [["track"] if track else [], metres.settings if metres else []]
        return hash_inputs(model_path, segmenter.classes, min_score, frames, sources, names, more)

    columns = (TRACK_COLUMNS if track else COLUMNS) + (metre_fields.COLUMNS if metres else ())
    progress = earlier_progress(out, inputs, len(sources))
    replaces_results = not progress.sources and (out / RESULTS).exists()
    with (
        open_results(out, progress.position, columns) as writer,
        click.progressbar(itertools.count(), length, "predict", show_pos=True, file=sys.stderr) as bar,
        defer_interrupts("interrupted: predict ends after this image") as interrupts,
    ):
        if progress.sources:
            bar.update(sum(lengths[: progress.sources]))
        run = PredictionRun(
            segmenter, min_score, out, writer, lambda: bar.update(1), interrupts, progress, track, metres
        )
        _predict_sources(run, sources, names, headers, frames)
        is_complete = run.progress.sources == len(sources)
        if live is not None and is_complete:
            camera_frames = itertools.islice(live, frames)
            predict_video(run, camera_frames, f"camera {camera}", f"camera-{camera}.mp4")
            if interrupts.number == signal.SIGINT:
                interrupts.number = 0  # the usual end of a camera
        if run.disk_error and (replaces_results or not run.progress.sources):
            raise run.disk_error
        if not (is_complete or run.writer.position[0] or run.progress.sources):
            raise SystemExit(interrupts.exit_status)  # earlier results are not replaced by none
    _print_summary(run)
    _finish(run, inputs, len(sources))
    if run.disk_error:
        raise run.disk_error
    if interrupts.came():
        raise SystemExit(interrupts.exit_status)
    if run.progress.errors:
        raise SystemExit(1)


def _check_tracking(sources: list[Source], camera: int | None, out: Path) -> None:
    """Check that there is a video to track, and that its tracks can be written to ``out``."""
    import_package()
    if camera is None and not any(source.is_video for source in sources):
        raise UserError("--track needs a video or a --camera; all of these are images")
    check_names(out)


def _finish(run: PredictionRun, inputs: Callable[[], str], total: int) -> None:
    """Write the tracks, and save the progress if the user interrupted the run or the disk is full.

    Args:
        run: the run; its results are in their files.
        inputs: returns the hash of the run's inputs.
        total: number of images and videos.
    """
    is_complete = run.progress.sources == total
    if run.track or not is_complete:  # saved before tracks.json, which may not fit on the disk
        save_progress(run.out, inputs(), run.progress)
    if run.track:
        videos = (run.partial or run.progress).videos
        write_tracks(run.out / RESULTS, run.out, videos, run.segmenter.classes)
    if is_complete:
        remove_progress(run.out)
        return
    done = f"{run.progress.sources} of {total} images are done, and their results are in {run.out}"
    again = " (a video that was interrupted starts over)" if run.partial else ""
    click.echo(f"interrupted: {done}; repeat the command to continue{again}", err=True)


def _predict_sources(
    run: PredictionRun,
    sources: list[Source],
    names: list[str],
    headers: list[VideoHeader],
    frames: int | None,
) -> None:
    """Predict the sources that are not done yet, until the user interrupts or the disk is full."""
    for source, name, header in list(zip(sources, names, headers, strict=True))[run.progress.sources :]:
        if run.interrupts.came():
            return
        before = copy.deepcopy(run.progress)
        try:
            predict_source(run, source, name, header, frames)
        except (KeyboardInterrupt, OSError) as error:  # a second Ctrl-C, or a full disk
            run.disk_error = error if isinstance(error, OSError) else None
            run.progress = before
            run.writer.cut(before.position)
            return
        if source.is_video and run.interrupts.came():  # its results and drawing stay, but it is not done
            run.partial, run.progress = run.progress, before
            return
        run.progress.sources += 1
        run.progress.position = run.writer.position


def _read_first(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Read the first frame now, so that a missing camera is reported before the model is loaded."""
    return itertools.chain([next(frames)], frames)


def _print_summary(run: PredictionRun) -> None:
    progress = run.partial or run.progress
    for note in progress.describe_notes():
        print_note(note)
    if run.metres:
        print_note(metre_fields.NOTICE)
    for message in progress.errors:
        click.echo(f"error: {message}", err=True)
    counts = ", ".join(f"{count} {readable(name)}" for name, count in sorted(progress.objects.items()))
    images = f"{progress.images} of {progress.images + progress.unreadable} images"
    tracks = f" on {progress.tracks} tracks" if run.track else ""
    click.echo(
        f"predict: {counts or 'nothing'}{tracks} in {images} (score from {run.threshold:.2f}) -> {run.out}"
    )

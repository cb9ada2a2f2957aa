"""Measure the stages of a frame, the sweeps, and the time that Cycles alone needs for the same scenes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from blender.bench.sweeps import REPEATS, VARIANTS, Row, Seconds, fastest_runs, mean, measure_sweep
from blender.config.profile import Config
from blender.rendering.frame import RenderContext, frame_scene, render_frame
from blender.workers.cpu import pinned_to_one_core
from blender.workers.memory import peak_megabytes, resident_megabytes
from blender.workers.progress import Progress

EARLY_FRAME = 50
"""Number of frames before the first of the two timings of the sweep "images"."""


class FrameTimer:
    """Renders frames in this process and times them."""

    def __init__(self, context: RenderContext, options: argparse.Namespace, folder: Path) -> None:
        """Load bpy and choose the device.

        Args:
            context: the job with its profile and assets.
            options: the command line of ``blender.bench``.
            folder: temporary folder for Blender's images.
        """
        # Imported here because bpy must be loaded while the process is pinned to one core, as in `render`.
        with pinned_to_one_core():
            from blender.rendering.device import choose_device
        from blender.bench.stopwatch import Stopwatch

        self.context, self.threads, self.folder = context, options.threads, folder
        self.device, self.watch = choose_device(options.device, 0, folder), Stopwatch()
        self.progress = Progress("bench render", 0, quiet=options.quiet)
        self.rendered = 0
        """Number of frames that this process has rendered."""

    def time_frame(self, frame: int, config: Config) -> Seconds:
        """Render and write a frame; return the seconds of each stage and in total."""
        self.rendered += 1
        with self.watch.stage("other"):  # everything that belongs to no other stage
            context = replace(self.context, config=config)
            render_frame(context, frame, self.device, self.threads, self.folder)
        if frame:
            self.progress.advance()
        seconds = self.watch.take()
        wall = sum(value for name, value in seconds.items() if " " not in name)
        cpu = sum(value for name, value in seconds.items() if name.endswith(" cpu"))
        return {**seconds, "total": wall, "total cpu": cpu}

    def time_cycles_alone(self, frame: int) -> Seconds:
        """Time Blender's own render of a frame's scene: stage "plain", and without denoiser "undenoised".

        Building the scene and writing an image file are not included.
        """
        # Imported here because bpy must be loaded while the process is pinned to one core.
        import bpy

        from blender.rendering.builder import build_scene
        from blender.rendering.device import use_device

        config, assets = self.context.config, self.context.assets
        self.rendered += 1
        build_scene(frame_scene(config, assets, frame), config, assets)
        use_device(self.device, self.threads)
        self.watch.take()
        with self.watch.stage("plain"):
            bpy.ops.render.render()
        bpy.context.scene.cycles.use_denoising = False
        with self.watch.stage("undenoised"):
            bpy.ops.render.render()
        self.progress.advance()
        return self.watch.take()

    def time_after(self, count: int, frames: int) -> Row:
        """Time the first frames after ``count`` frames have been rendered; small frames fill the gap."""
        config = self.context.config
        small = replace(config, render=replace(config.render, width=64, height=48, samples=1))
        while self.rendered < count:
            self.time_frame(self.rendered, small)
        after = self.rendered
        rows = []
        for frame in range(1, 1 + frames):
            runs = [self.time_frame(frame, config) for _ in range(REPEATS)]
            fastest = min(runs, key=lambda run: run["total cpu"])
            rows.append(fastest | {"resident_mb": resident_megabytes()})
        setting = f"the first {len(rows)}, after {after} frames"
        return {"setting": setting, "after": after, "frames": len(rows), **mean(rows)}


def measure_stages(
    context: RenderContext, options: argparse.Namespace, sweeps: list[str], folder: Path
) -> Row:
    """Render in this process and measure.

    Args:
        context: the job with its profile and assets.
        options: the command line of ``blender.bench``.
        sweeps: names of the sweeps to measure.
        folder: temporary folder.

    Returns:
        The figures for the JSON file.
    """
    timer = FrameTimer(context, options, folder)
    sweep_frames = range(1, 1 + options.sweep_frames)
    variants = {name: VARIANTS[name](context.config) for name in sweeps if name in VARIANTS}
    early, late = min(EARLY_FRAME, options.until // 2), options.until
    total = REPEATS * (2 * options.frames + sum(map(len, variants.values())) * len(sweep_frames))
    if "images" in sweeps:  # the same frames twice, and small frames before each time
        total += (
            early - 1 + 2 * REPEATS * options.frames + max(0, late - early - total - REPEATS * options.frames)
        )
    timer.progress.total = total
    with timer.watch.attached():
        timer.time_frame(0, context.config)  # warm-up
        over_time = [timer.time_after(early, options.frames)] if "images" in sweeps else []
        pairs = [
            fastest_runs(
                [
                    (["total"], partial(timer.time_frame, frame, context.config)),
                    (["plain", "undenoised"], partial(timer.time_cycles_alone, frame)),
                ]
            )
            for frame in range(1, 1 + options.frames)
        ]
        peak = round(peak_megabytes())
        results = {
            name: measure_sweep(context, configs, sweep_frames, timer.time_frame)
            for name, configs in variants.items()
        }
        over_time += [timer.time_after(late, options.frames)] if over_time else []
    timer.progress.close()
    if over_time:
        results["images"] = over_time
    return {"device": timer.device.note, **_summary(pairs), "peak_mb": peak, "sweeps": results}


def _summary(pairs: list[list[Seconds]]) -> Row:
    """Average over the frames.

    Args:
        pairs: for each frame, the seconds of the complete frame and those of Cycles alone.

    Returns:
        The figures. ``ratio`` is the time of all complete frames divided by that of Cycles alone.
    """
    stages, cycles = mean([frame for frame, _ in pairs]), mean([alone for _, alone in pairs])
    # CPU time, because the renders with and without denoiser did not run at the same time.
    sampling_share = min(1.0, cycles["undenoised trace-cpu"] / cycles["plain trace-cpu"])
    total = stages["total"]
    ratios = [frame["total"] / alone["plain"] for frame, alone in pairs]
    return {
        "frames": len(pairs),
        "seconds": stages,
        "cycles": {
            "total": cycles["plain"],
            "total cpu": cycles["plain cpu"],
            "sync": cycles["plain sync"],
            "trace": sampling_share * cycles["plain trace"],
            "denoise": (1 - sampling_share) * cycles["plain trace"],
            "read": cycles["plain read"],
        },
        "images_per_minute": 60 / total,
        "traced_share": sampling_share * stages["rgb trace"] / total,
        "traced_and_denoised_share": stages["rgb trace"] / total,
        "ratio": total / cycles["plain"],
        "ratio_cpu": stages["total cpu"] / cycles["plain cpu"],
        "ratio_median": median(ratios),
        "ratios": ratios,
    }

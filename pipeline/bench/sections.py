"""The page's sections, one for each part: figures to Markdown."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.bench.cells import megabytes, number, table
from pipeline.bench.goals import Figures


def _render(figures: Figures) -> list[str]:
    seconds, cycles, whole = figures["seconds"], figures["cycles"], figures["seconds"]["whole"]
    stages = [name for name in seconds if " " not in name and name != "whole"]
    rows = [
        [
            name,
            number(seconds[name]),
            f"{seconds[name] / whole:.0%}",
            number(seconds.get(f"{name} cpu", 0.0)),
            _phases(seconds, name),
        ]
        for name in stages
    ]
    rows.append(["**whole**", number(whole), "100%", number(seconds["whole cpu"]), ""])
    lines = [
        f"Means over {figures['frames']} frames after a warm-up, each rendered twice and the faster taken; "
        f"one process, {_threads(figures)}, {figures['device']}: {figures['images_per_minute']:.1f} images a "
        f"minute, at most {figures['peak_mb']} MB. Cycles traces RGB in {figures['traced_share']:.0%} of the "
        f"time; with the denoiser it is {figures['traced_and_denoised_share']:.0%}.",
        "",
        *table(["stage", "seconds", "share", "CPU seconds", "of which sync, trace, read (s)"], rows),
        "",
        "Sync is Cycles preparing scene, shaders and BVH; trace its samples and denoiser; read what comes "
        "after them (Blender writes its image, it is read back).",
        "",
        "Cycles alone, a plain `bpy.ops.render.render` of the same scenes, needs "
        f"{number(cycles['whole'])} s: sync {number(cycles['sync'])}, samples {number(cycles['trace'])}, "
        f"denoiser {number(cycles['denoise'])} (its log does not name the denoiser: this is the share "
        f"of CPU time that a render without it saves). A whole frame takes **{figures['ratio']:.2f} times** "
        f"as long (median of the frames {figures['ratio_median']:.2f}, from {min(figures['ratios']):.2f} to "
        f"{max(figures['ratios']):.2f}); in CPU seconds, which other work hardly changes, "
        f"{figures['ratio_cpu']:.2f} times.",
    ]
    for name, title in (
        ("resolution", "pixels"),
        ("samples", "samples"),
        ("objects", "objects"),
        ("images", "frames"),
    ):
        if name in figures["sweeps"]:
            lines += ["", *_sweep(figures["sweeps"][name], title)]
    if "workers" in figures:
        head = ["processes", "images a minute", "seconds to the first image", "MB, the largest process"]
        rows = [
            [r["value"], f"{r['images_per_minute']:.1f}", number(r["start_seconds"]), str(r["peak_mb_each"])]
            for r in figures["workers"]
        ]
        lines += ["", *table(head, rows)]
    return lines


def _threads(figures: Figures) -> str:
    count = figures["threads"]
    return "one thread" if count == 1 else f"{count} threads"


def _phases(seconds: Figures, name: str) -> str:
    if f"{name} sync" not in seconds:
        return ""
    return ", ".join(number(seconds[f"{name} {phase}"]) for phase in ("sync", "trace", "read"))


def _sweep(rows: list[Figures], title: str) -> list[str]:
    """A row a setting, each against the sweep's first."""
    head, first = [title, "seconds a frame", "against the first", "rgb", "build"], rows[0]["whole"]
    head += [text for key, text in (("objects", "objects"), ("resident_mb", "MB held")) if key in rows[0]]
    body = []
    for row in rows:
        cells = [
            row["value"],
            *(number(row["whole"] / by) for by in (1, first)),
            *(number(row[k]) for k in ("rgb", "build")),
        ]
        body.append([*cells, *(f"{row[key]:.0f}" for key in ("objects", "resident_mb") if key in row)])
    return table(head, body)


def _train(figures: Figures) -> list[str]:
    ours, theirs, own = figures["ours"], figures["reference"], figures["reference_own_sizes"]
    size, own_size = ("/".join(map(str, sizes)) for sizes in (figures["size"], own["size"]))
    rows = [
        [
            f"ours, processes: {ours['processes']}, {ours['precision']}",
            *_against(ours, ours),
            megabytes(ours),
        ],
        [f"torchvision's way, {size}", *_against(theirs, ours), megabytes(theirs)],
        [f"torchvision's way, {own_size}", *_against(own, ours), megabytes(own)],
    ]
    kept = ours["seconds_per_image_kept"]
    rounds = (
        f"{number(ours['seconds_per_image_computed'])} s in the {ours['views']} rounds that compute their "
        f"views and {number(kept)} s in the others, weighed as in the profile's "
        f"{ours['profile_rounds']} rounds"
        if kept
        else "no round had its views kept"
    )
    return [
        f"{figures['images']} rendered images, the embedded start, the same parts learning. Ours is the "
        "profile's recipe, which shows the network crops, samples fewer regions and keeps frozen features; "
        "torchvision's way is that of its `references/detection`: float32, whole pictures, a flip, its own "
        "numbers of proposals, SGD. The size is that of the shorter and longer side.",
        "",
        *table(["", "seconds an image", "against ours", "CPU seconds an image", "peak MB"], rows),
        "",
        f"Ours: {rounds}. Kept views take {ours['kept_mb_each']:.2f} MB each: with the profile's "
        f"{figures['profile_images']} images that makes {ours['projected_peak_mb']} MB (computed from the "
        "measured peak, not measured). Memory adds up each process's own peak.",
    ]


def _accuracy(figures: Figures) -> list[str]:
    rows = [
        [str(row["seed"]), *(f"{row[way][ap]:.3f}" for way in ("ours", "reference") for ap in ("AP", "AP50"))]
        for row in figures["seeds"]
    ]
    return [
        f"Mask AP on {figures['images']} held-out images after {figures['rounds']} rounds through "
        f"{figures['images']}, from the embedded start, both predicted and judged alike; on average ours has "
        f"{figures['gain']:+.3f}.",
        "",
        *table(["seed", "ours AP", "AP50", "torchvision's way AP", "AP50"], rows),
    ]


def _against(way: Figures, ours: Figures) -> list[str]:
    times = way["seconds_per_image"] / ours["seconds_per_image"]
    return [number(way["seconds_per_image"]), f"{times:.1f} x", number(way["cpu_seconds_per_image"])]


def _inference(figures: Figures) -> list[str]:
    ways = figures["ways"]
    eager = ways["eager"]["milliseconds"]
    rows = [
        [
            title,
            f"{way['milliseconds']:.0f}",
            f"{way['images_per_second']:.2f}",
            f"{way['milliseconds'] / eager:.2f} x",
            f"{way['cpu_milliseconds']:.0f}",
            str(way["peak_mb"]),
            f"{way['objects']:.1f}",
        ]
        for title, way in ways.items()
    ]
    model = "a trained model" if figures["trained"] else "the untrained start"
    head = [
        "",
        "ms a picture",
        "pictures a second",
        "against eager",
        "CPU ms",
        "peak MB",
        "objects a picture",
    ]
    return [
        f"{figures['pictures']} renders, from the file to masks; ours is {model}. torchvision is its plain "
        "`maskrcnn_resnet50_fpn` with three classes, random weights and its own sizes (800/1333), limited to "
        "as many objects as ours finds, and to its own 100. Medians.",
        "",
        *table(head, rows),
        *(f"\n{title}: not measured: {reason}" for title, reason in figures["missing"].items()),
    ]


def _evaluate(figures: Figures) -> list[str]:
    judged = [
        [*_beside(row["masks"], row), number(row["without intervals"]["seconds"])] for row in figures["judge"]
    ]
    checked = figures["validate"]
    return [
        "A rendered split to COCO, beside encoding the same masks and nothing else:",
        "",
        *table(_HEAD, [_beside(row["masks"], row) for row in figures["convert"]]),
        "",
        "Judging, with 200 resamples for intervals, beside COCOeval of boxes and masks:",
        "",
        *table([*_HEAD, "seconds without intervals"], judged),
        "",
        f"Validating {checked['images']:,} images and {checked['annotations']:,} annotations "
        f"({checked['megabytes']:g} MB), beside pycocotools reading the file and checking nothing:",
        "",
        *table(["annotations", *_HEAD[1:]], [_beside(checked["annotations"], checked)]),
    ]


_HEAD = [
    "masks",
    "seconds",
    "CPU seconds",
    "pycocotools alone",
    "CPU seconds",
    "peak MB",
    "pycocotools alone, MB",
]


def _beside(count: int, row: Figures) -> list[str]:
    both = (row["ours"], row["reference"])
    times = [number(way[kind]) for way in both for kind in ("seconds", "cpu_seconds")]
    return [f"{count:,}", *times, *(megabytes(way) for way in both)]


PARTS: dict[str, Callable[[Figures], list[str]]] = {
    "render": _render,
    "train": _train,
    "accuracy": _accuracy,
    "inference": _inference,
    "evaluate": _evaluate,
}

"""The sections of the benchmark's page, one for each part: figures to Markdown."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.bench.report.markdown import megabytes, number, table
from pipeline.bench.targets import Figures


def _render(figures: Figures) -> list[str]:
    seconds, cycles, total = figures["seconds"], figures["cycles"], figures["seconds"]["total"]
    stages = [name for name in seconds if " " not in name and name != "total"]
    rows = [
        [
            name,
            number(seconds[name]),
            f"{seconds[name] / total:.0%}",
            number(seconds.get(f"{name} cpu", 0.0)),
            _phases(seconds, name),
        ]
        for name in stages
    ]
    rows.append(["**total**", number(total), "100%", number(seconds["total cpu"]), ""])
    lines = [
        f"Means over {figures['frames']} frames after a warm-up. Each frame is rendered twice and the faster "
        f"run counts. One process, {_threads(figures)}, {figures['device']}: "
        f"{figures['images_per_minute']:.1f} images per minute, at most {figures['peak_mb']} MB. Cycles "
        f"traces RGB in {figures['traced_share']:.0%} of the time, or "
        f"{figures['traced_and_denoised_share']:.0%} including the denoiser.",
        "",
        *table(["stage", "seconds", "share", "CPU seconds", "of which sync, trace, read (s)"], rows),
        "",
        "Stages: scene: sample the scene; build: build it in Blender; rgb and ids: render the image and the "
        "instance ids; sensor: convert light to a photograph; files: encode and write; arrays: optional "
        "depth and normals; amodal: amodal masks; annotations: instance records. Sync: Cycles prepares "
        "scene, shaders and BVH. Trace: samples and denoiser. Read: Blender writes its image, and it is "
        "read.",
        "",
        f"Cycles alone, a plain `bpy.ops.render.render` of the same scenes, needs {number(cycles['total'])} "
        f"s: sync {number(cycles['sync'])}, samples {number(cycles['trace'])}, denoiser "
        f"{number(cycles['denoise'])} (computed from the CPU time that a render without denoiser saves, "
        "because Cycles does not report it). A complete frame takes "
        f"**{figures['ratio']:.2f} times** as long (median of the frames "
        f"{figures['ratio_median']:.2f}, from {min(figures['ratios']):.2f} to "
        f"{max(figures['ratios']):.2f}). In CPU seconds, which other work hardly changes, it takes "
        f"{figures['ratio_cpu']:.2f} times as long.",
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
        header = ["processes", "images per minute", "seconds to the first image", "MB, the largest process"]
        rows = [
            [
                row["setting"],
                f"{row['images_per_minute']:.1f}",
                number(row["start_seconds"]),
                str(row["peak_mb_each"]),
            ]
            for row in figures["workers"]
        ]
        lines += ["", *table(header, rows)]
    return lines


def _threads(figures: Figures) -> str:
    count = figures["threads"]
    return "one thread" if count == 1 else f"{count} threads"


def _phases(seconds: Figures, name: str) -> str:
    if f"{name} sync" not in seconds:
        return ""
    return ", ".join(number(seconds[f"{name} {phase}"]) for phase in ("sync", "trace", "read"))


def _sweep(rows: list[Figures], title: str) -> list[str]:
    """Format a sweep: one row per setting, relative to the first."""
    header = [title, "seconds per frame", "relative to the first", "rgb", "build"]
    additional = {"objects": "objects in the scene", "resident_mb": "resident MB"}
    header += [text for key, text in additional.items() if key in rows[0]]
    first, body = rows[0]["total"], []
    for row in rows:
        cells = [row["setting"], number(row["total"]), number(row["total"] / first)]
        cells += [number(row["rgb"]), number(row["build"])]
        body.append([*cells, *(f"{row[key]:.0f}" for key in additional if key in row)])
    return table(header, body)


def _train(figures: Figures) -> list[str]:
    recipe, reference = figures["transpalette"], figures["reference"]
    own_sizes = figures["reference_own_sizes"]
    size, own_size = ("/".join(map(str, sizes)) for sizes in (figures["size"], own_sizes["size"]))
    rows = [
        [
            f"the profile's recipe, processes: {recipe['processes']}, {recipe['precision']}",
            *_times(recipe, recipe),
            megabytes(recipe),
        ],
        [f"torchvision's recipe, {size}", *_times(reference, recipe), megabytes(reference)],
        [f"torchvision's recipe, {own_size}", *_times(own_sizes, recipe), megabytes(own_sizes)],
    ]
    cached = recipe["seconds_per_image_cached"]
    epochs = (
        f"{number(recipe['seconds_per_image_computed'])} s in the {recipe['cached_views']} epochs that fill "
        f"the feature cache and {number(cached)} s in the epochs that read it, weighted as in the profile's "
        f"{recipe['profile_epochs']} epochs"
        if cached
        else "no epoch used the feature cache"
    )
    return [
        f"{figures['images']} rendered images, the embedded initial model, the same trainable parameters. An "
        "epoch is one pass over the images. The profile's recipe trains on crops, samples fewer regions and "
        "caches the features of the frozen layers. torchvision's recipe is that of its "
        "`references/detection`: float32, uncropped images, a flip, its own numbers of proposals, SGD. The "
        "sizes are those of the shorter and the longer side.",
        "",
        *table(["", "seconds per image", "relative", "CPU seconds per image", "peak MB"], rows),
        "",
        f"The profile's recipe: {epochs}. A cached view takes {recipe['cache_mb_per_view']:.2f} MB. With the "
        f"profile's {figures['profile_images']} images, the peak is {recipe['projected_peak_mb']} MB "
        "(computed from the measured peak, not measured). The memory is the sum of the peaks of all "
        "processes.",
    ]


def _times(figures: Figures, recipe: Figures) -> list[str]:
    relative = figures["seconds_per_image"] / recipe["seconds_per_image"]
    return [
        number(figures["seconds_per_image"]),
        f"{relative:.1f} x",
        number(figures["cpu_seconds_per_image"]),
    ]


def _accuracy(figures: Figures) -> list[str]:
    rows = [
        [
            str(row["seed"]),
            *(f"{row[recipe][ap]:.3f}" for recipe in ("transpalette", "reference") for ap in ("AP", "AP50")),
        ]
        for row in figures["seeds"]
    ]
    header = ["seed", "the profile's recipe, AP", "AP50", "torchvision's recipe, AP", "AP50"]
    return [
        f"Mask AP on {figures['images']} held-out images after {figures['epochs']} epochs on "
        f"{figures['images']} images, from the embedded initial model. Prediction and evaluation are the "
        "same for both recipes. Mean of the profile's AP minus torchvision's: "
        f"{figures['ap_difference']:+.3f}.",
        "",
        *table(header, rows),
    ]


def _inference(figures: Figures) -> list[str]:
    models = figures["models"]
    eager = models["eager"]["milliseconds"]
    rows = [
        [
            title,
            f"{model['milliseconds']:.0f}",
            f"{model['images_per_second']:.2f}",
            f"{model['milliseconds'] / eager:.2f} x",
            f"{model['cpu_milliseconds']:.0f}",
            str(model["peak_mb"]),
            f"{model['objects']:.1f}",
        ]
        for title, model in models.items()
    ]
    kind = "a trained model" if figures["trained"] else "the initial model before training"
    header = [
        "",
        "ms per image",
        "images per second",
        "relative to eager",
        "CPU ms",
        "peak MB",
        "objects per image",
    ]
    return [
        f"{figures['images']} renders, from the file to masks, with {kind}; medians. The reference is "
        "torchvision's plain `maskrcnn_resnet50_fpn` with three classes, random weights and its own image "
        "sizes (800/1333). It is limited once to as many objects as the model detects, and once to its own "
        "limit of 100.",
        "",
        *table(header, rows),
        *(f"\n{title}: not measured: {reason}" for title, reason in figures["unavailable"].items()),
    ]


def _evaluate(figures: Figures) -> list[str]:
    evaluated = [
        [*_compared(row["masks"], row), number(row["without_intervals"]["seconds"])]
        for row in figures["evaluate"]
    ]
    validated = figures["validate"]
    return [
        "Conversion of a rendered split to COCO, compared with encoding the same masks and nothing else:",
        "",
        *table(_HEADER, [_compared(row["masks"], row) for row in figures["convert"]]),
        "",
        "Evaluation with 200 bootstrap resamples for intervals, compared with COCOeval of boxes and masks:",
        "",
        *table([*_HEADER, "seconds without intervals"], evaluated),
        "",
        f"Validation of {validated['images']:,} images and {validated['annotations']:,} annotations "
        f"({validated['megabytes']:g} MB), compared with pycocotools loading the file, which checks nothing:",
        "",
        *table(["annotations", *_HEADER[1:]], [_compared(validated["annotations"], validated)]),
    ]


_HEADER = [
    "masks",
    "seconds",
    "CPU seconds",
    "pycocotools alone, seconds",
    "pycocotools alone, CPU seconds",
    "peak MB",
    "pycocotools alone, MB",
]


def _compared(count: int, row: Figures) -> list[str]:
    both = (row["transpalette"], row["reference"])
    times = [number(figures[clock]) for figures in both for clock in ("seconds", "cpu_seconds")]
    return [f"{count:,}", *times, *(megabytes(figures) for figures in both)]


SECTIONS: dict[str, Callable[[Figures], list[str]]] = {
    "render": _render,
    "train": _train,
    "accuracy": _accuracy,
    "inference": _inference,
    "evaluate": _evaluate,
}
"""Part -> the function that formats its figures."""

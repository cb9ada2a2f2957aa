"use strict";
// Paste the network's masks into the image: the same steps as pipeline/inference/mask_pasting.py, where they
// are explained. An object's pixels are visited column by column, in the order of COCO's run lengths, so that
// no array of the image's size is needed.

const float32 = Math.fround;

/** Weights of bilinear resizing for the pixels from start to stop: two cells, and the share of the second. */
function bilinearWeights(start, stop, length, cells) {
  const weights = [];
  for (let pixel = start; pixel < stop; pixel++) {
    const position = Math.max((pixel + 0.5) * (cells / length) - 0.5, 0);
    const low = Math.min(Math.trunc(position), cells - 1);
    weights.push({ low, high: Math.min(low + 1, cells - 1), share: float32(position - low) });
  }
  return weights;
}

/** Pixels along one axis that the side from low to high of a grid covers, enlarged by the border of zeros. */
function coveredPixels(low, high, cells, size) {
  const half = float32(float32(float32(high - low) * 0.5) * float32(cells / (cells - 2)));
  const centre = float32(float32(high + low) * 0.5);
  const start = Math.trunc(float32(centre - half));
  const stop = Math.trunc(float32(centre + half)) + 1;
  const first = Math.max(start, 0);
  const last = Math.min(stop, size);
  return { first, weights: bilinearWeights(first - start, last - start, Math.max(stop - start, 1), cells) };
}

/** Surround a mask of side x side cells by zeros. */
function padMask(mask, side) {
  const padded = new Float32Array((side + 2) * (side + 2));
  for (let row = 0; row < side; row++) {
    padded.set(mask.subarray(row * side, (row + 1) * side), (row + 1) * (side + 2) + 1);
  }
  return padded;
}

/**
 * Paste one mask.
 *
 * grid: xyxy in pixels; size: [height, width] of the image; likely: the lower threshold of the extent.
 * Returns the runs [start, stop) of pixels inside, counted down the columns; the number of pixels; their mean
 * probability; and the extent xyxy of the pixels from the lower threshold, or null.
 */
function pasteMask(grid, mask, side, [height, width], threshold, likely) {
  const cells = side + 2;
  const padded = padMask(mask, side);
  const columns = coveredPixels(grid[0], grid[2], cells, width);
  const rows = coveredPixels(grid[1], grid[3], cells, height);
  const runs = [];
  const column = new Float64Array(cells);
  let area = 0;
  let sum = 0;
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  columns.weights.forEach(({ low, high, share }, x) => {
    for (let row = 0; row < cells; row++) {
      column[row] = padded[row * cells + low] * (1 - share) + padded[row * cells + high] * share;
    }
    const offset = (columns.first + x) * height + rows.first;
    rows.weights.forEach((weight, y) => {
      const probability = float32(column[weight.low] * (1 - weight.share) + column[weight.high] * weight.share);
      if (probability >= likely) {
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
      if (probability >= threshold) {
        const last = runs[runs.length - 1];
        if (last && last[1] === offset + y) last[1]++;
        else runs.push([offset + y, offset + y + 1]);
        area++;
        sum += probability;
      }
    });
  });
  const extent = area && [columns.first + left, rows.first + top, columns.first + right + 1, rows.first + bottom + 1];
  return { runs, area, mean: area ? float32(sum / area) : 0, extent: extent || null };
}

/** Run lengths of an image's pixels, background first. */
function toCounts(runs, pixels) {
  const counts = [];
  let end = 0;
  for (const [start, stop] of runs) {
    counts.push(start - end, stop - start);
    end = stop;
  }
  if (end < pixels || !counts.length) counts.push(pixels - end);
  return counts;
}

/** COCO's compressed string: differences to the last but one length, in groups of five bits. */
function compressCounts(counts) {
  let text = "";
  counts.forEach((count, index) => {
    let rest = index > 2 ? count - counts[index - 2] : count;
    let more = true;
    while (more) {
      let group = rest & 0x1f;
      rest >>= 5;
      more = group & 0x10 ? rest !== -1 : rest !== 0;
      if (more) group |= 0x20;
      text += String.fromCharCode(group + 48);
    }
  });
  return text;
}

/**
 * Paste the masks of all boxes, correct the boxes by them, and rank the objects.
 *
 * outputs: boxes (N x 4), labels (N), scores (N) and masks (N x side x side) of the network, flat.
 * size: [height, width] of the image to which the boxes belong.
 * settings: maskThreshold, maskMargin, extentThreshold.
 */
function pasteMasks({ boxes, labels, scores, masks }, side, size, settings) {
  const margin = float32(settings.maskMargin);
  const threshold = settings.maskThreshold;
  const likely = Math.min(threshold, settings.extentThreshold);
  const objects = [];
  for (let number = 0; number < scores.length; number++) {
    let box = Array.from(boxes.subarray(4 * number, 4 * number + 4));
    const [extraX, extraY] = [float32(float32(box[2] - box[0]) * margin), float32(float32(box[3] - box[1]) * margin)];
    const grid = [box[0] - extraX, box[1] - extraY, box[2] + extraX, box[3] + extraY].map(float32);
    const mask = masks.subarray(number * side * side, (number + 1) * side * side);
    const { runs, area, mean, extent } = pasteMask(grid, mask, side, size, float32(threshold), float32(likely));
    if (margin && extent) box = box.map((value, index) => float32(float32(value + extent[index]) / 2));
    const score = float32(scores[number] * mean);
    objects.push({ label: Number(labels[number]), score, box, area, runs });
  }
  return objects.sort((first, second) => second.score - first.score);
}

"use strict";
// The page: reads a picture, has the worker detect its objects, and shows those that the visitor selects.

const DRAWN_SIDE = 1600; // longer side of the largest drawing in pixels
const MAX_ENLARGEMENT = 2; // of small pictures in the drawing
const DECIMALS = 1e3; // of boxes in the results; scores have twice as many digits
const settings = JSON.parse(document.getElementById("settings").textContent);
const element = (id) => document.getElementById(id);
const say = (text, isError = false) => {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
};
let threshold = settings.scoreThreshold;
let shown = null; // the picture and its objects: { name, size, base, objects, milliseconds }
let lastRequest = 0;
let lastChoice = 0; // number of the picture that the visitor chose last
let worker = null;
const waiting = new Map(); // requests of the worker

/** Decode one part of this file, and drop its text. */
async function unpack(id) {
  const holder = element(id);
  const text = holder.textContent;
  holder.remove();
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = characters.charCodeAt(index);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Send the worker a message; buffers are moved, not copied. */
function ask(message, buffers) {
  const id = ++lastRequest;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, ...message }, buffers);
  });
}

async function startWorker() {
  const script = await unpack("script");
  const code = new Blob([script, "\n", element("worker").textContent], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(code));
  worker.onmessage = ({ data: { id, error, ...answer } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(answer);
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "the worker ended"));
    waiting.clear();
  };
  const module = await unpack("module");
  const wasm = await unpack("wasm");
  const model = await unpack("model");
  await ask({ settings, module, wasm, model }, [module, wasm, model]);
}

const ready = startWorker();
ready.then(
  () => lastChoice || say("Choose or drop a picture."),
  (error) => say(`The model cannot be started: ${error.message}`, true),
);

/** Draw a bitmap on a new canvas, its sides multiplied by factor. */
function drawScaled(bitmap, factor) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Detect the objects in a file; a later choice replaces an earlier one. */
async function detect(file) {
  const choice = ++lastChoice;
  const isLatest = () => choice === lastChoice;
  show(null);
  say(`Reading ${file.name}.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    if (isLatest()) say(`${file.name}: not a picture that this browser can read`, true);
    return;
  }
  try {
    const { width, height } = bitmap;
    const input = drawScaled(bitmap, Math.min(1, Math.sqrt(settings.maxPixels / (width * height))));
    const base = drawScaled(bitmap, Math.min(MAX_ENLARGEMENT, DRAWN_SIDE / Math.max(width, height)));
    bitmap.close();
    if (isLatest()) say(`Detecting objects in ${file.name}.`);
    await ready;
    if (!isLatest()) return;
    const pixels = input.getContext("2d").getImageData(0, 0, input.width, input.height).data.buffer;
    const size = [height, width];
    const request = { pixels, width: input.width, height: input.height, size };
    const { objects, milliseconds } = await ask(request, [pixels]);
    if (isLatest()) show({ name: file.name, size, base, objects, milliseconds });
  } catch (error) {
    if (isLatest()) say(`${file.name}: ${error.message}`, true);
  }
}

/** The objects of the picture that the visitor selects by score and class. */
function selectObjects() {
  const labels = new Set([...document.querySelectorAll("#classes input:checked")].map((box) => Number(box.value)));
  return shown.objects.filter(({ label, score }) => score >= threshold && labels.has(label));
}

function show(next) {
  shown = next;
  element("picture").hidden = element("objects").hidden = !shown;
  const objects = shown ? selectObjects() : [];
  fillTable(objects);
  if (!shown) return;
  const counts = settings.classes
    .map(({ text }, index) => [objects.filter(({ label }) => label === index + 1).length, text])
    .filter(([count]) => count)
    .map(([count, text]) => `${count} ${text}`);
  const found = `${counts.join(", ") || "nothing"} in ${shown.name}`;
  say(`${found} (${Math.round(shown.milliseconds)} ms)`);
  element("picture").setAttribute("aria-label", found);
  draw(objects);
}

function fillTable(objects) {
  const rows = objects.map(({ label, score, box: [left, top, right, bottom], area }) => {
    const row = document.createElement("tr");
    const lengths = [left, top, right - left, bottom - top].map((value) => value.toFixed(1));
    for (const text of [settings.classes[label - 1].text, score.toFixed(3), ...lengths, area]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  document.querySelector("#objects tbody").replaceChildren(...rows);
}

/** Draw the picture, over it the masks with their outlines, and the names. */
function draw(objects) {
  const { base } = shown;
  const canvas = element("picture");
  [canvas.width, canvas.height] = [base.width, base.height];
  const context = canvas.getContext("2d");
  context.drawImage(base, 0, 0);
  const line = Math.max(1, Math.round(Math.max(base.width, base.height) / 500));
  const layer = document.createElement("canvas");
  for (const object of [...objects].reverse()) {
    const { pixels, area } = sampleMask(object, line);
    if (!area) continue;
    [layer.width, layer.height] = [area.width, area.height];
    layer.getContext("2d").putImageData(pixels, 0, 0);
    context.drawImage(layer, area.left, area.top);
  }
  const names = [];
  for (const object of objects) names.push(drawName(context, object, names));
}

/** The colour and the opacity of an object's pixels in the drawing, within the box of its mask. */
function sampleMask({ runs, label }, line) {
  const [height, width] = shown.size;
  const { width: drawnWidth, height: drawnHeight } = shown.base;
  if (!runs.length) return {};
  const [firstColumn, lastColumn] = [runs[0][0], runs[runs.length - 1][1] - 1].map((pixel) =>
    Math.floor(pixel / height),
  );
  const left = Math.floor((firstColumn * drawnWidth) / width);
  const right = Math.min(drawnWidth, Math.ceil(((lastColumn + 1) * drawnWidth) / width));
  const area = { left, top: 0, width: right - left, height: drawnHeight };
  const inside = new Uint8Array(area.width * area.height);
  let firstRun = 0; // of the column; several columns of the drawing may show the same pixels
  for (let x = 0; x < area.width; x++) {
    const column = Math.floor(((x + left + 0.5) * width) / drawnWidth) * height;
    while (firstRun < runs.length && runs[firstRun][1] <= column) firstRun++;
    let run = firstRun;
    for (let y = 0; y < area.height; y++) {
      const pixel = column + Math.floor(((y + 0.5) * height) / drawnHeight);
      while (run < runs.length && runs[run][1] <= pixel) run++;
      inside[y * area.width + x] = run < runs.length && runs[run][0] <= pixel ? 1 : 0;
    }
  }
  const at = (x, y) => x >= 0 && y >= 0 && x < area.width && y < area.height && inside[y * area.width + x];
  const colour = settings.classes[label - 1].colour;
  const rgb = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  const pixels = new ImageData(area.width, area.height);
  for (let y = 0; y < area.height; y++) {
    for (let x = 0; x < area.width; x++) {
      if (!at(x, y)) continue;
      const isCore = at(x - line, y) && at(x + line, y) && at(x, y - line) && at(x, y + line);
      pixels.data.set([...rgb, isCore ? 90 : 255], 4 * (y * area.width + x));
    }
  }
  return { pixels, area };
}

/** Write an object's name above its box, or below the names that are there already; return its rectangle. */
function drawName(context, { label, score, box }, names) {
  const { text, colour } = settings.classes[label - 1];
  const { width: drawnWidth, height: drawnHeight } = shown.base;
  const scale = drawnWidth / shown.size[1];
  // Letters are at least 11 pixels high on the screen.
  const shrink = context.canvas.getBoundingClientRect().width / drawnWidth || 1;
  const size = Math.max(11 / shrink, Math.max(drawnWidth, drawnHeight) / 70);
  context.font = `600 ${size}px system-ui, sans-serif`;
  const words = `${text} ${score.toFixed(2)}`;
  const width = context.measureText(words).width + size * 0.6;
  const height = size * 1.35;
  const left = Math.max(0, Math.min(box[0] * scale, drawnWidth - width));
  const overlaps = (top) =>
    names.some((n) => left < n.left + n.width && n.left < left + width && top < n.top + height && n.top < top + height);
  const highest = Math.max(0, box[1] * scale - height);
  const tops = Array.from({ length: 8 }, (_, step) => Math.min(highest + step * height, drawnHeight - height));
  const top = tops.find((candidate) => !overlaps(candidate)) ?? highest;
  context.fillStyle = "#14161acc";
  context.fillRect(left, top, width, height);
  context.fillStyle = colour;
  context.fillText(words, left + size * 0.3, top + size);
  return { left, top, width };
}

/** The COCO results that predict writes for this picture. */
function cocoResults() {
  const round = (value, factor) => Math.round(value * factor) / factor;
  return selectObjects().map(({ label, score, box: [left, top, right, bottom], counts }) => ({
    image_id: 1,
    category_id: label,
    bbox: [left, top, right - left, bottom - top].map((value) => round(value, DECIMALS)),
    score: round(score, DECIMALS ** 2),
    segmentation: { size: shown.size, counts },
    category_name: settings.classes[label - 1].name,
    file_name: shown.name,
  }));
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(cocoResults())], { type: "application/json" }));
  link.download = "predictions.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function choose(files) {
  if (files.length) detect(files[0]);
}

const slider = element("threshold");
const showThreshold = () => {
  element("threshold-value").textContent = threshold.toFixed(2);
};
slider.value = threshold;
showThreshold();
slider.addEventListener("input", () => {
  threshold = Math.round(slider.value * 100) / 100;
  showThreshold();
  if (shown) show(shown);
});
element("classes").addEventListener("change", () => shown && show(shown));
element("download").addEventListener("click", download);
element("file").addEventListener("change", (event) => {
  choose(event.target.files);
  event.target.value = ""; // the same file can be chosen again
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") choose(event.dataTransfer.files);
  });
}

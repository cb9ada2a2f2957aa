// Runs the network, beside the page, so that the page reacts meanwhile. The page puts onnxruntime-web (ort)
// and mask_pasting.js before this text.

let session;
let settings;

/** Start onnxruntime-web from the page's own bytes; it requests nothing. */
async function start(message) {
  settings = message.settings;
  ort.env.wasm.wasmBinary = message.wasm;
  // The address of the page's own copy would not be readable here: a page from a file has no origin to share.
  const module = new Blob([message.module], { type: "text/javascript" });
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(module) };
  ort.env.wasm.numThreads = 1;
  session = await ort.InferenceSession.create(new Uint8Array(message.model), {
    executionProviders: ["wasm"],
    logSeverityLevel: 4,
    // As pipeline/inference/exported.py: convert 8-bit weights once, when loading.
    extra: { session: { disable_quant_qdq: "1" } },
  });
}

/** Detect the objects in RGBA pixels of width x height; size is that of the picture before it was reduced. */
async function detect({ pixels, width, height, size }) {
  const began = performance.now();
  const rgba = new Uint8Array(pixels);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  const outputs = await session.run({ [settings.input]: new ort.Tensor("uint8", rgb, [height, width, 3]) });
  const [boxes, labels, scores, masks] = settings.outputs.map((name) => outputs[name].data);
  const possible = boxes.every((value) => Math.abs(value) < settings.maxCoordinate);
  if (!possible || !labels.every((label) => label >= 1 && label <= settings.classes.length)) {
    throw new Error("the network returns impossible boxes or classes; export it again");
  }
  const scales = [size[1] / width, size[0] / height];
  const scaled = boxes.map((value, index) => value * scales[index % 2]);
  const side = outputs[settings.outputs[3]].dims[2];
  const objects = pasteMasks({ boxes: scaled, labels, scores, masks }, side, size, settings);
  for (const object of objects) object.counts = compressCounts(toCounts(object.runs, size[0] * size[1]));
  return { objects, milliseconds: performance.now() - began };
}

let queue = Promise.resolve();
onmessage = ({ data }) => {
  queue = queue.then(async () => {
    try {
      const answer = data.model ? await start(data) : await detect(data);
      postMessage({ id: data.id, ...answer });
    } catch (error) {
      postMessage({ id: data.id, error: String(error?.message ?? error).split("\n")[0] });
    }
  });
};

// What is in a volume, slice by slice, and how did a model weigh the slices?
// Slices are counted from 0, as in files, figures and tables.

const KEPT = 8;
const NOTCH = 60;
const [WIDE, HIGH] = [1000, 40];
const decoded = new Map();

// Return the mosaics of a volume as images; a few volumes are kept.
function mosaicsOf(shape) {
  if (!decoded.has(shape.place)) {
    const parts = Math.ceil(shape.depth / shape.tiles);
    const images = Array.from({ length: parts }, async (_, part) => {
      const image = new Image();
      image.src = `data:image/jpeg;base64,${block(`mosaic-${shape.place}-${part}`)}`;
      await image.decode();
      return image;
    });
    decoded.set(shape.place, Promise.all(images));
    if (decoded.size > KEPT) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(shape.place);
}

// The slices of one sample: a picture where they are packed, a slider, and strips of weights.
class Viewer {
  constructor({ shape, depth, evidence, path, strips, total, packed }) {
    this.shape = shape;
    this.depth = depth;
    this.evidence = new Set(evidence);
    this.path = path;
    this.strips = strips;
    this.images = null;
    this.rolled = 0;
    this.slider = el("input", { type: "range", min: 0, max: depth - 1, "aria-label": "Slice" });
    // The slider tells its slice to a screen reader: this is for the eye.
    this.told = el("p", { class: "slice", "aria-hidden": "true" });
    this.canvas = shape && this.picture();
    const absent = `Of ${count(total)} volumes the slices of ${count(packed)} are in this page; ` +
      "those of this sample are not.";
    this.element = el(
      "div",
      { class: "viewer", role: "group", "aria-label": "Slices" },
      this.canvas ?? (total ? el("p", { class: "told" }, absent) : null),
      depth ? el("div", { class: "steer" }, this.slider, this.told) : null,
      strips.map((strip) => strip.element),
    );
    when(this.slider, "input", () => this.show(Number(this.slider.value)));
    for (const strip of strips) strip.chosen = (part) => this.show(Math.floor(part * depth));
  }

  picture() {
    const { height, width } = this.shape;
    const canvas = el("canvas", { width, height, role: "img", "aria-label": this.path });
    when(canvas, "wheel", (event) => this.roll(event));
    return canvas;
  }

  async start(slice) {
    this.show(slice);
    if (!this.shape) return;
    this.images = await mosaicsOf(this.shape);
    this.draw();
  }

  show(slice) {
    if (!this.depth) return;
    this.slice = Math.max(0, Math.min(this.depth - 1, slice));
    const held = this.evidence.has(this.slice) ? ", holds the answer" : "";
    const words = `Slice ${this.slice} (0 to ${this.depth - 1})${held}`;
    this.slider.value = this.slice;
    this.slider.setAttribute("aria-valuetext", words);
    this.told.textContent = words;
    this.told.classList.toggle("held", Boolean(held));
    for (const strip of this.strips) strip.point(this.slice, this.depth);
    this.draw();
  }

  draw() {
    if (!this.images) return;
    const { height, width, tileHeight, tileWidth, columns, tiles } = this.shape;
    const tile = this.slice % tiles;
    const [x, y] = [(tile % columns) * tileWidth, Math.floor(tile / columns) * tileHeight];
    const pen = this.canvas.getContext("2d");
    const image = this.images[Math.floor(this.slice / tiles)];
    pen.drawImage(image, x, y, width, height, 0, 0, width, height);
    this.canvas.dataset.slice = this.slice;
  }

  // A wheel moves through the slices; past the first and the last it scrolls the page.
  roll(event) {
    if (event.ctrlKey || !event.deltaY) return;
    const down = event.deltaY > 0;
    if (this.slice === (down ? this.depth - 1 : 0)) return;
    event.preventDefault();
    if (this.rolled > 0 !== down) this.rolled = 0;
    // A notch of a wheel is one slice, however many pixels; a touchpad sends a few at a time.
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL;
    this.rolled += pixels ? event.deltaY : NOTCH * Math.sign(event.deltaY);
    if (Math.abs(this.rolled) < NOTCH) return;
    this.rolled = 0;
    this.show(this.slice + (down ? 1 : -1));
  }
}

// The weights that one model gave the slices, as bars over the slices that hold the answer.
class Strip {
  constructor(model, weights, evidence, depth, top) {
    this.weights = weights;
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: HIGH });
    this.told = el("span", { class: "weight" });
    this.chosen = () => {};
    const bars = weights.map((weight, place) => {
      const height = top > 0 && weight != null ? (HIGH * weight) / top : 0;
      const box = { ...across(place, weights.length, 0.12), y: HIGH - height, height };
      return svg("rect", { class: "bar", ...box });
    });
    const held = (kind, box) =>
      evidence.map((slice) => svg("rect", { class: kind, ...across(slice, depth), ...box }));
    const frame = { viewBox: `0 0 ${WIDE} ${HIGH + 6}`, preserveAspectRatio: "none" };
    const even = HIGH - HIGH / weights.length / top;
    const drawing = svg(
      "svg",
      { ...frame, class: "strip", role: "img", "aria-label": `Weights of the slices by ${model}` },
      held("held", { y: 0, height: HIGH + 6 }),
      bars,
      top > 0 && svg("line", { class: "even", x1: 0, x2: WIDE, y1: even, y2: even }),
      held("mark", { y: HIGH + 2, height: 4 }),
      this.cursor,
    );
    when(drawing, "click", (event) => {
      const box = drawing.getBoundingClientRect();
      this.chosen((event.clientX - box.left) / box.width);
    });
    this.element = el(
      "figure",
      { class: "weights" },
      el("figcaption", {}, el("span", { class: "who" }, model), this.told),
      drawing,
      el("p", { class: "told" }, summed(weights, evidence, depth)),
    );
  }

  point(slice, depth) {
    const middle = (WIDE * (slice + 0.5)) / depth;
    this.cursor.setAttribute("x1", middle);
    this.cursor.setAttribute("x2", middle);
    const weight = this.weights[Math.floor(((slice + 0.5) / depth) * this.weights.length)];
    this.told.textContent = weight == null ? "n/a" : weight.toPrecision(3);
  }
}

function across(place, parts, gap = 0) {
  const width = WIDE / parts;
  return { x: (place + gap / 2) * width, width: (1 - gap) * width };
}

// Return where the most weight lies, and how much of it on the slices that hold the answer.
function summed(weights, evidence, depth) {
  const most = weights.reduce((best, weight, at) => (weight > weights[best] ? at : best), 0);
  const words = [`Most on ${most} (0 to ${weights.length - 1}).`];
  if (evidence.length && depth === weights.length) {
    const share = evidence.reduce((sum, slice) => sum + (weights[slice] ?? 0), 0);
    const [has, even] = [share, evidence.length / depth].map((part) => (100 * part).toFixed(1));
    words.push(`On the evidence ${has} % (even: ${even} %).`);
  }
  return words.join(" ");
}

// Return numbers as ranges: "3 to 5, 9".
function ranges(numbers) {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const runs = [];
  for (const number of sorted) {
    if (runs.length && number === runs.at(-1)[1] + 1) runs.at(-1)[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([a, b]) => (a === b ? `${a}` : `${a} to ${b}`)).join(", ");
}

// How does packed content leave its block, and how does text enter the page?
// Text of data sets and models only ever becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";
const find = (selector) => document.querySelector(selector);

// Return an element; attributes that are null or false are left out, as are such children.
function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

function el(tag, attributes, ...children) {
  return made(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return made(document.createElementNS(SVG, tag), attributes, children);
}

function when(element, event, action) {
  element.addEventListener(event, action);
  return element;
}

function button(label, action, attributes) {
  return when(el("button", { type: "button", ...attributes }, label), "click", action);
}

// Return a select with its label; `options` are [value, text] pairs.
function choice(label, options, action) {
  const select = el("select", {}, options.map(([value, text]) => el("option", { value }, text)));
  when(select, "change", () => action(select.value));
  return el("label", {}, el("span", {}, label), select);
}

function tick(label, on, action) {
  const box = el("input", { type: "checkbox", checked: on });
  when(box, "change", () => action(box.checked));
  return el("label", { class: "tick" }, box, el("span", {}, label));
}

// Return a table that scrolls within itself where the page is narrow.
function framed(title, table) {
  const frame = { class: "scroll", tabindex: 0, role: "region", "aria-label": title };
  return el("div", frame, table);
}

function block(id) {
  return document.getElementById(id).textContent;
}

async function inflated(id) {
  const bytes = Uint8Array.from(atob(block(id)), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const blocks = new Map();

// Return the JSON value of a block; it is unpacked once.
function unpacked(id) {
  if (!blocks.has(id)) blocks.set(id, inflated(id));
  return blocks.get(id);
}

// ---- numbers and words that several parts of the page print --------------------------------

const UNITS = { percent: " (%)", rank: " (rank)" };

function printed(value, scale) {
  if (value == null) return "n/a";
  if (scale.unit === "percent") return (100 * value).toFixed(1);
  return value.toFixed(scale.unit === "rank" ? 1 : 3);
}

function headed(key, scale) {
  const name = key.slice(0, key.lastIndexOf("."));
  const trivial = scale.trivial ? ` (${scale.trivial})` : "";
  return name + trivial + (UNITS[scale.unit] ?? "") + (scale.lower ? " ↓" : "");
}

function protocolOf(key) {
  return key.slice(key.lastIndexOf(".") + 1);
}

// Return 1 for a full score, 0 for none of it, null for what lies between or is not known.
function verdict(value, scale) {
  if (value == null || !scale) return null;
  if (scale.unit === "rank") return value <= 1 ? 1 : 0;
  const good = scale.lower ? 1 - value : value;
  return good >= 1 ? 1 : good <= 0 ? 0 : null;
}

const count = (number) => number.toLocaleString("en");

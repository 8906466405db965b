// What was asked, what is right, and what did every model say? One opened sample.

// The scope of a question whose answer shows in every slice.
const ANYWHERE = "volume";

class Opened {
  constructor(content, element, go) {
    this.content = content;
    this.element = element;
    this.go = go;
    this.steps = [];
  }

  // Say whether the list has a sample before and one after the opened one.
  between(...there) {
    for (const [place, step] of this.steps.entries()) step.disabled = !there[place];
  }

  // Show a sample and the ways to its neighbours in the list.
  show(place, sample) {
    const { id, models } = this.content.samples;
    this.steps = [button("Previous", () => this.go(-1)), button("Next", () => this.go(1))];
    const viewer = this.viewer(place, sample);
    const answers = models.map((model, at) => [model, at, sample.answers[at]]);
    const given = answers.filter(([, , answer]) => answer);
    const head = el("h3", { id: "opened-head", tabindex: -1 }, id[place]);
    this.element.removeAttribute("aria-label");
    this.element.setAttribute("aria-labelledby", "opened-head");
    const parts = [
      el("header", {}, head, this.steps),
      this.facts(place, sample),
      el(
        "div",
        { class: "pair" },
        viewer.element,
        el(
          "div",
          { class: "said" },
          el("h4", {}, "Question"),
          el("p", { class: "text" }, sample.question),
          choices(sample),
          el("h4", {}, "Reference"),
          el("p", { class: "text" }, sample.reference),
          el("h4", {}, "Answers"),
          given.map(([model, at, answer]) => this.answer(place, model, at, answer)),
        ),
      ),
      this.scores(given),
    ];
    this.element.replaceChildren(...parts.flat());
    return viewer.start(first(sample.answers, viewer));
  }

  facts(place, sample) {
    const { task, kind, volume } = this.content.samples;
    const facts = [
      ["Case", sample.case],
      ["Task", [task[place], kind[place]].filter(Boolean).join(", ")],
      ["Volume", volume[place]],
    ];
    const known = facts.filter(([, value]) => value);
    return el("dl", {}, known.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }

  viewer(place, sample) {
    const { models, volume } = this.content.samples;
    const path = volume[place];
    const shape = Object.hasOwn(this.content.volumes, path) ? this.content.volumes[path] : null;
    const weighed = sample.answers
      .map((answer, at) => [models[at], answer?.weights ?? []])
      .filter(([, weights]) => weights.length);
    const depth = shape?.depth ?? Math.max(0, ...weighed.map(([, weights]) => weights.length));
    const top = Math.max(...weighed.flatMap(([, weights]) => weights));
    const { evidence, scope, series } = sample;
    const local = scope === ANYWHERE ? [] : evidence;
    const strips = weighed.map(([model, weights]) => new Strip(model, weights, local, depth, top));
    const total = new Set(volume.filter(Boolean)).size;
    const packed = Object.keys(this.content.volumes).length;
    const viewer = new Viewer({ shape, depth, evidence: local, path, strips, total, packed });
    const where = local.length && `Evidence: slices ${ranges(local)}.`;
    const told = [
      evidence.length && scope === ANYWHERE ? "Evidence: anywhere in the volume." : where,
      series > 1 && `Asked about ${series} series: the slices are the first's, weights not drawn.`,
    ].filter(Boolean);
    viewer.element.append(...told.map((text) => el("p", { class: "told" }, text)));
    return viewer;
  }

  answer(place, model, at, answer) {
    const { task, primary } = this.content.samples;
    const key = this.content.primary[task[place]];
    const scale = this.content.scales[key];
    const score = primary[at][place];
    const found = ["wrong", "right"][verdict(score, scale)];
    const told = score == null ? null : found ?? `${headed(key, scale)} ${printed(score, scale)}`;
    const sign = { wrong: "✗ ", right: "✓ " }[found] ?? "";
    return el(
      "section",
      { class: "answer", "aria-label": `Answer of ${model}` },
      el("h5", {}, model, told && el("span", { class: found ?? "between" }, `${sign}${told}`)),
      el("p", { class: "text" }, answer.text || el("em", {}, "no answer")),
    );
  }

  // Return the scores of all models, a row a metric.
  scores(given) {
    const keys = Object.keys(this.content.scales);
    const there = keys
      .map((key, at) => [key, at])
      .filter(([, at]) => given.some(([, , answer]) => answer.scores[at] != null));
    if (!there.length) return [];
    const heads = given.map(([model]) => el("th", { scope: "col" }, model));
    const rows = there.map(([key, at]) => {
      const scale = this.content.scales[key];
      const name = `${headed(key, scale)}, ${protocolOf(key)}`;
      const cells = given.map(([, , a]) => el("td", {}, printed(a.scores[at] ?? null, scale)));
      return el("tr", {}, el("th", { scope: "row" }, name), cells);
    });
    const metric = el("th", { scope: "col" }, "metric");
    const title = "All scores of this sample";
    const head = el("thead", {}, el("tr", {}, metric, heads));
    const table = el("table", {}, head, el("tbody", {}, rows));
    return el("details", {}, el("summary", {}, title), framed(title, table));
  }
}

// Return the choices of a closed question with the one that the reference names marked.
function choices(sample) {
  if (!sample.choices.length) return null;
  const letter = /^([A-Z])\./.exec(sample.reference)?.[1];
  const items = sample.choices.map((text, at) => {
    const right = String.fromCharCode(65 + at) === letter;
    const mark = right && el("span", { class: "right" }, " ✓ reference");
    return el("li", {}, el("span", { class: "text" }, text), mark);
  });
  return el("ol", { class: "choices", "aria-label": "Choices" }, items);
}

// Return the slice to begin with: within local evidence, else where most weight lies, else midway.
function first(answers, { depth, evidence }) {
  const local = [...evidence];
  if (local.length) return local[Math.floor(local.length / 2)];
  const weights = answers.find((answer) => answer?.weights.length)?.weights;
  if (weights?.length === depth) return weights.indexOf(Math.max(...weights));
  return Math.floor(depth / 2);
}

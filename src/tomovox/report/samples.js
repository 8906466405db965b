// Which samples does a reader look at? A list with filters, a page at a time.

const PAGE = 50;

// How the address of a sample begins; its place follows, for an id may be no text for an address.
const PREFIX = "#sample/";

class Samples {
  constructor(content, section) {
    this.scales = content.scales;
    this.primary = content.primary;
    this.volumes = content.volumes;
    this.index = content.samples;
    this.words = [];
    this.wanted = { task: "", kind: "", answers: "", order: "", text: "", packed: false };
    this.listed = this.index.id.map((_, place) => place);
    this.page = 0;
    this.turn = 0;
    this.open = null;
    this.changed = () => {};
    this.status = section.querySelector(".count");
    this.list = section.querySelector("ol");
    const order = `A mark each for ${this.index.models.join(", ")}.`;
    section.querySelector(".order").textContent = order;
    this.pager = section.querySelector(".pager");
    section.querySelector(".filters").append(...this.filters());
    section.hidden = this.index.id.length === 0;
  }

  filters() {
    const { tasks, kinds, models } = this.index;
    const set = (name) => (value) => {
      this.wanted[name] = value;
      this.refilter().catch(fail);
    };
    const named = (names) => names.map((name) => [name, name]);
    const of = (who, text) => models.map((name, place) => [`${who} ${place}`, `${text}: ${name}`]);
    const answers = [
      ["", "any"],
      ["differ", "models disagree (scores differ)"],
      ["every 1", "all right"],
      ["every 0", "all wrong"],
      ...of("0", "wrong"),
      ...of("1", "right"),
    ];
    const orders = [
      ["", "as in the data"],
      ["spread", "widest spread of scores first"],
      ["worst", "lowest mean score first"],
    ];
    const text = el("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    let timer = 0;
    when(text, "input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => set("text")(text.value.trim().toLowerCase()), 150);
    });
    return [
      choice("Task", [["", "all tasks"], ...named(tasks)], set("task")),
      kinds.length && choice("Question type", [["", "all types"], ...named(kinds)], set("kind")),
      choice("Answers", answers, set("answers")),
      choice("Order", orders, set("order")),
      el("label", {}, el("span", {}, "Text, case or id"), text),
      Object.keys(this.volumes).length && tick("With slices", false, set("packed")),
    ].filter(Boolean);
  }

  scale(place) {
    return this.scales[this.primary[this.index.task[place]]];
  }

  // Return the primary score of every model that answered a sample.
  known(place) {
    return this.index.primary.map((scores) => scores[place]).filter((score) => score != null);
  }

  verdict(place, model) {
    return verdict(this.index.primary[model][place], this.scale(place));
  }

  async refilter() {
    const turn = ++this.turn;
    const { wanted } = this;
    const found = wanted.text ? await this.search(wanted.text) : null;
    if (turn !== this.turn) return;
    const { task, kind, volume } = this.index;
    const places = this.index.id.map((_, place) => place).filter(
      (place) =>
        (!wanted.task || task[place] === wanted.task) &&
        (!wanted.kind || kind[place] === wanted.kind) &&
        (!wanted.packed || Object.hasOwn(this.volumes, volume[place])) &&
        this.answered(place, wanted.answers) &&
        (!found || found[place]),
    );
    this.listed = this.sorted(places);
    this.page = 0;
    await this.render();
  }

  answered(place, answers) {
    if (!answers) return true;
    const known = this.known(place);
    if (answers === "differ") return Math.max(...known) > Math.min(...known);
    const [who, what] = answers.split(" ");
    if (who !== "every") return this.verdict(place, Number(what)) === Number(who);
    return known.length > 0 && known.every((s) => verdict(s, this.scale(place)) === Number(what));
  }

  sorted(places) {
    const spread = (known) => Math.min(...known) - Math.max(...known);
    const mean = (known, place) => {
      const sum = known.reduce((total, score) => total + score, 0) / known.length;
      return this.scale(place)?.lower ? -sum : sum;
    };
    const rule = { spread, worst: mean }[this.wanted.order];
    if (!rule) return places;
    const weight = (place) => {
      const known = this.known(place);
      return known.length ? rule(known, place) : Infinity;
    };
    const weighed = places.map((place) => [weight(place), place]);
    return weighed.sort(([a, i], [b, j]) => (a === b ? i - j : a - b)).map(([, place]) => place);
  }

  // Return for every sample if any of its texts holds the words; all blocks are unpacked once.
  async search(text) {
    if (!this.words.length) {
      this.status.textContent = "Searching…";
      const { chunk, id } = this.index;
      const chunks = Math.ceil(id.length / chunk);
      const parts = await Promise.all(
        Array.from({ length: chunks }, (_, place) => unpacked(`samples-${place}`)),
      );
      this.words = parts.flat().map((sample, place) => {
        const answers = sample.answers.map((answer) => answer?.text ?? "");
        const { question, choices, reference } = sample;
        const texts = [id[place], sample.case, question, ...choices, reference, ...answers];
        return texts.join("\n").toLowerCase();
      });
    }
    return this.words.map((words) => words.includes(text));
  }

  async sample(place) {
    const { chunk } = this.index;
    return (await unpacked(`samples-${Math.floor(place / chunk)}`))[place % chunk];
  }

  async render() {
    const turn = ++this.turn;
    const start = this.page * PAGE;
    const places = this.listed.slice(start, start + PAGE);
    const samples = await Promise.all(places.map((place) => this.sample(place)));
    if (turn !== this.turn) return;
    this.list.replaceChildren(...places.map((place, at) => this.row(place, samples[at])));
    this.list.scrollTop = 0;
    const total = this.listed.length;
    const all = this.index.id.length;
    const shown = total ? `${count(start + 1)} to ${count(start + places.length)} of ` : "";
    const others = total < all ? `, ${count(all)} in all` : "";
    const noun = total === 1 ? "sample" : "samples";
    this.status.textContent = `${shown}${count(total)} ${noun}${others}`;
    const move = (by) => () => {
      this.page += by;
      this.list.focus({ preventScroll: true });
      this.render().catch(fail);
    };
    this.pager.replaceChildren(
      button("Previous page", move(-1), { disabled: this.page === 0 }),
      button("Next page", move(1), { disabled: start + PAGE >= total }),
    );
    this.changed();
  }

  row(place, sample) {
    const { id, task, kind, models } = this.index;
    const about = [task[place], kind[place], sample.case].filter(Boolean).join(" · ");
    const marks = models.map((_, model) => this.mark(place, model));
    const link = {
      href: `${PREFIX}${place}`,
      "aria-current": place === this.open ? "true" : null,
      "data-place": place,
    };
    return el(
      "li",
      {},
      el(
        "a",
        link,
        el("span", { class: "asked" }, sample.question || id[place]),
        el("span", { class: "about" }, about),
        el("span", { class: "marks" }, marks),
      ),
    );
  }

  // Return how a model did, short: a tick, a cross, or its score.
  mark(place, model) {
    const score = this.index.primary[model][place];
    const name = this.index.models[model];
    const found = this.verdict(place, model);
    const kind = ["wrong", "right"][found] ?? "between";
    const none = score == null ? "–" : printed(score, this.scale(place));
    const text = { wrong: "✗", right: "✓" }[kind] ?? none;
    const words = `${name}: ${found == null ? text : kind}`;
    return el(
      "span",
      { class: kind, title: words },
      el("span", { "aria-hidden": "true" }, text),
      el("span", { class: "unseen" }, `${words}. `),
    );
  }

  // Return the place of the sample before or after the opened one in the list, null without one.
  next(by) {
    const at = this.listed.indexOf(this.open);
    return at < 0 ? null : this.listed[at + by] ?? null;
  }

  // Mark a sample as the opened one, and show the page of the list that holds it.
  async choose(place) {
    this.open = place;
    const at = this.listed.indexOf(place);
    const page = Math.floor(at / PAGE);
    if (at >= 0 && page !== this.page) {
      this.page = page;
      await this.render();
    }
    for (const link of this.list.querySelectorAll("a")) {
      if (Number(link.dataset.place) === place) {
        link.setAttribute("aria-current", "true");
        reveal(this.list, link);
      } else link.removeAttribute("aria-current");
    }
  }
}

// Scroll a list, and nothing around it, until one of its elements is seen.
function reveal(list, element) {
  const [outer, inner] = [list.getBoundingClientRect(), element.getBoundingClientRect()];
  if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
  else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
}

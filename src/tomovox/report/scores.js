// Which model is better at what? Tables of the compared rows, filtered and sorted.

const ALL = "all";
const EACH = "each type";

class Scores {
  constructor(content, section) {
    this.content = content;
    this.rows = rowsOf(content.table);
    this.wanted = { task: "", kind: ALL, protocol: "", every: false, told: false, controls: true };
    this.order = new Map();
    this.tables = section.querySelector(".tables");
    section.querySelector(".filters").append(...this.filters());
    section.hidden = this.rows.length === 0;
    this.render();
  }

  filters() {
    const { tasks, kinds } = this.content;
    const protocols = [...new Set(this.rows.map((row) => row.protocol))];
    const set = (name) => (value) => {
      this.wanted[name] = value;
      this.render();
    };
    const named = (names) => names.map((name) => [name, name]);
    const types = kinds.filter((kind) => kind !== ALL);
    const each = types.length ? [[EACH, "each type, primary metric"]] : [];
    return [
      choice("Task", [["", "all tasks"], ...named(tasks)], set("task")),
      choice("Question type", [[ALL, "all records"], ...each, ...named(types)], set("kind")),
      choice("Protocol", [["", "all protocols"], ...named(protocols)], set("protocol")),
      tick("Controls", true, set("controls")),
      tick("All metrics", false, set("every")),
      tick("Differences", false, set("told")),
    ];
  }

  render() {
    const { wanted } = this;
    const parts = [];
    const chosen = (name) => (each) => !wanted[name] || each === wanted[name];
    for (const task of this.content.tasks.filter(chosen("task"))) {
      const part = this.rows.filter((row) => row.task === task);
      const protocols = [...new Set(part.map((row) => row.protocol))].sort();
      for (const protocol of protocols.filter(chosen("protocol"))) {
        const columns = this.columns(task, part.filter((row) => row.protocol === protocol));
        if (columns.length) parts.push(this.table(task, protocol, part, columns));
      }
    }
    if (!parts.length) parts.push(el("p", { class: "told" }, "No row of the tables is of this."));
    this.tables.replaceChildren(...parts);
  }

  // Return the columns of a table; of each, the rows by the name of their run.
  columns(task, rows) {
    const { scales, primary, kinds } = this.content;
    const { kind, every } = this.wanted;
    const column = (key, type, head) => {
      const mine = rows.filter((row) => row.key === key && row.question_type === type);
      const cells = new Map(mine.map((row) => [row.run, row]));
      return { head, key, scale: scales[key], cells, primary: primary[task] === key };
    };
    const keys = Object.keys(scales).filter((key) => every || scales[key].headline);
    const columns =
      kind === EACH
        ? kinds.map((type) => column(primary[task], type, type))
        : keys.map((key) => column(key, kind, headed(key, scales[key])));
    return columns.filter(({ cells }) => cells.size);
  }

  table(task, protocol, part, columns) {
    const { kind } = this.wanted;
    const of = kind === EACH ? `, ${headed(columns[0].key, columns[0].scale)} by question type`
      : kind === ALL ? "" : `, ${kind}`;
    const title = `${task}, protocol ${protocol}${of}`;
    const order = this.order.get(title) ?? {};
    const heads = columns.map((column) => this.head(title, column, order));
    const by = columns.find(({ head }) => head === order.key);
    const lines = ordered(runsOf(part), by, order.down);
    const shown = lines.filter((line) => this.wanted.controls || !line.below);
    const body = shown.map((line) => this.line(line, columns));
    const first = el("th", { scope: "col" }, "model");
    const top = el("thead", {}, el("tr", {}, first, heads));
    const table = el("table", {}, top, el("tbody", {}, body));
    const parts = [el("h3", {}, title), framed(title, table), remarks(columns)];
    return el("div", { class: "grid" }, parts);
  }

  head(title, column, order) {
    const chosen = order.key === column.head;
    const sorted = chosen ? (order.down ? "descending" : "ascending") : null;
    const turn = () => {
      const best = !column.scale.lower;
      const down = chosen ? !order.down : best;
      this.order.set(title, chosen && order.down !== best ? {} : { key: column.head, down });
      this.render();
      const heads = [...this.tables.querySelectorAll("thead button")];
      heads.find((each) => each.dataset.sorts === `${title} ${column.head}`)?.focus();
    };
    const sorts = `${title} ${column.head}`;
    const label = button(column.head, turn, { class: "sort", "data-sorts": sorts });
    const n = el("span", { class: "n" }, span([...column.cells.values()].map((row) => row.n)));
    return el("th", { scope: "col", "aria-sort": sorted }, label, n);
  }

  line(line, columns) {
    const name = el("th", { scope: "row" }, line.label);
    const cells = columns.map((column) => this.cell(column.cells.get(line.run), column));
    return el("tr", { class: line.below && "below" }, name, cells);
  }

  cell(row, column) {
    if (!row || row.note) return el("td", { class: "none" }, row ? "unavail." : "n/a");
    const { scale } = column;
    const print = (value) => printed(value, scale);
    const value = row.best ? el("strong", {}, print(row.value)) : print(row.value);
    const interval = row.lo != null && `[${print(row.lo)}, ${print(row.hi)}]`;
    const around = `[${print(row.difference_lo)}, ${print(row.difference_hi)}]`;
    const told = row.difference != null && [
      `${row.difference > 0 ? "+" : ""}${print(row.difference)} ${around}`,
      row.p_adjusted == null ? `p ${chance(row.p)}` : `corrected p ${chance(row.p_adjusted)}`,
    ];
    return el(
      "td",
      { title: [...(told || []), row.signature].filter(Boolean).join("; ") },
      value,
      mark(row, scale, this.content.significant),
      interval && el("small", {}, interval),
      column.primary && row.lo != null && bar(row, column),
      this.wanted.told && told && told.map((text) => el("small", { class: "difference" }, text)),
    );
  }
}

function rowsOf(table) {
  const names = Object.keys(table);
  return table.task.map((_, place) => {
    const row = Object.fromEntries(names.map((name) => [name, table[name][place]]));
    row.key = `${row.metric}.${row.protocol}`;
    row.run = JSON.stringify([row.model, row.seed, row.control]);
    return row;
  });
}

// Return the lines of a table: models by name, the controls of each below it.
function runsOf(rows) {
  const byRun = new Map(rows.map((row) => [row.run, row]));
  const isControl = (row) => row.control != null && row.control !== "none";
  const compared = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const runs = [...byRun.values()].sort(
    (a, b) =>
      compared(a.model, b.model) || compared(a.seed, b.seed) ||
      isControl(a) - isControl(b) || compared(a.control, b.control),
  );
  const models = runs.filter((row) => !isControl(row));
  return runs.map((row) => {
    const isOf = (each) => each.model === row.model && each.seed === row.seed;
    const seeds = models.filter((each) => each.model === row.model).length;
    const label = seeds > 1 && row.seed != null ? `${row.model} (seed ${row.seed})` : row.model;
    const below = isControl(row) && models.some(isOf);
    const text = below ? row.control : isControl(row) ? `${label}, ${row.control}` : label;
    return { run: row.run, label: text, below };
  });
}

// Return lines sorted by a column; a control stays below its model, and what has no value is last.
function ordered(lines, column, down) {
  if (!column) return lines;
  const groups = [];
  for (const line of lines) {
    if (line.below) groups.at(-1).push(line);
    else groups.push([line]);
  }
  const of = ([line]) => column.cells.get(line.run)?.value ?? null;
  groups.sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (x == null || y == null) return (x == null) - (y == null);
    return down ? y - x : x - y;
  });
  return groups.flat();
}

function remarks(columns) {
  const rows = columns.flatMap(({ cells }) => [...cells.values()]);
  const cases = rows.map((row) => row.cases).filter((number) => number != null);
  const counts = `${span(rows.map((row) => row.n))} records`;
  const notes = rows.filter((row) => row.note).map((r) => `${r.metric} ${r.protocol}: ${r.note}`);
  const signatures = rows.filter((row) => !row.note && row.signature).map((row) => row.signature);
  const told = [
    cases.length ? `${counts} of ${span(cases).replace("n=", "")} cases.` : `${counts}.`,
    ...new Set(notes),
  ];
  const lines = [...new Set(signatures)].map((text) => el("div", {}, text));
  return [
    ...told.map((text) => el("p", { class: "told" }, text)),
    lines.length ? el("details", {}, el("summary", {}, "Signatures"), lines) : null,
  ].filter(Boolean);
}

function span(numbers) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return low === high ? `n=${low}` : `n=${low}-${high}`;
}

function chance(p) {
  return p == null ? "unknown" : p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`;
}

function mark(row, scale, significant) {
  const found = row.difference != null && row.p_adjusted != null && row.p_adjusted < significant;
  if (!found) return null;
  const better = row.difference > 0 !== scale.lower;
  const words = `significantly ${better ? "better" : "worse"}`;
  const sign = el("span", { "aria-hidden": "true" }, better ? "*" : "†");
  const read = el("span", { class: "unseen" }, ` ${words}`);
  return el("sup", { class: better ? "better" : "worse", title: words }, sign, read);
}

// Return a drawing of an interval and its value between the bounds of its column.
function bar(row, column) {
  const rows = [...column.cells.values()].filter((each) => each.lo != null);
  const low = Math.min(...rows.map((each) => Math.min(each.lo, each.value)));
  const high = Math.max(...rows.map((each) => Math.max(each.hi, each.value)));
  const at = (value) => (high > low ? 4 + (88 * (value - low)) / (high - low) : 4).toFixed(1);
  return svg(
    "svg",
    { viewBox: "0 0 96 8", class: "bar", "aria-hidden": "true" },
    svg("path", { d: `M${at(row.lo)} 4H${at(row.hi)}` }),
    svg("circle", { cx: at(row.value), cy: 4, r: 3 }),
  );
}

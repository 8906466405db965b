"""How do scores stand on a page? One file for any browser, with nothing from outside it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tomovox.judge.layout import LEGEND, Cell, Grid, Head, grids_of
from tomovox.sheets import BELOW, Sheet, printable, sections_of, told_once

if TYPE_CHECKING:
    import pandas

BAR_LEGEND = "A bar below a value is its interval, from the lowest to the highest of the column."

_MARKS = {
    True: '<sup class="better" title="significantly better">*</sup>',
    False: '<sup class="worse" title="significantly worse">†</sup>',
    None: "",
}

_STYLE = """\
:root { color-scheme: light dark; --page: #ffffff; --text: #1c2126; --soft: #5b6570;
  --rule: #d5dae0; --row: #f4f6f8; --better: #176639; --worse: #a3281e; --bar: #2f6db5; }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --text: #e4e8ec; --soft: #9aa5b0;
  --rule: #38414a; --row: #1d2329; --better: #6fcf97; --worse: #f28b82; --bar: #7fb2f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 16px; background: var(--page);
  color: var(--text); font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6em; margin: 0 0 8px; }
h2 { font-size: 1.25em; margin: 40px 0 8px; }
h3 { font-size: 1em; margin: 24px 0 6px; }
a { color: var(--bar); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 12px 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0; }
dt, small, .n, .none, .told, .legend, details { color: var(--soft); }
dd { margin: 0; }
.legend { max-width: 75ch; }
.scroll { position: relative; overflow-x: auto; width: fit-content; max-width: 100%;
  border: 1px solid var(--rule); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { padding: 6px 12px; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 1px solid var(--text); vertical-align: bottom; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.n, small { display: block; font-size: 0.78em; font-weight: normal; }
tr > :first-child { position: sticky; left: 0; z-index: 1; max-width: 40vw;
  background: var(--page); border-right: 1px solid var(--rule); text-align: left;
  white-space: normal; overflow-wrap: break-word; }
tr > .left { text-align: left; }
tbody th { font-weight: 600; }
tr.below > th { padding-left: 28px; font-weight: normal; }
tr.below > * { background: var(--row); }
.better { color: var(--better); } .worse { color: var(--worse); }
sup { position: absolute; line-height: 1.2; margin-left: 1px; }
svg { display: block; width: 96px; height: 8px; margin: 2px 0 0 auto; color: var(--bar); }
.told, details { font-size: 0.85em; margin: 6px 0 0; }
summary { cursor: pointer; }
"""


def html_of(
    frame: pandas.DataFrame,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    sheets: Sequence[Sheet] = (),
) -> str:
    """Return the tables of a compared long table as one page that needs nothing beside itself.

    The `facts`, such as the commit, stand on top in their order; `notes` are what a reader must
    know of the rows and come last. The `sheets` of a task stand first in its section, those of the
    whole comparison in the last. The p-values and the signature of a value are its tooltip.
    """
    grids = {task: list(its) for task, its in groupby(grids_of(frame), lambda grid: grid.task)}
    sections, told = sections_of(frame["task"], sheets), set[str]()
    body = ["<h1>Scores</h1>"]
    if facts:
        body += ["<dl>", *(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items())]
        body += ["</dl>"]
    links = (f'<a href="#{_anchor(section)}">{_text(section)}</a>' for section in sections)
    body += ["<nav>", *links, "</nav>"]
    body += [f'<p class="legend">{_text(LEGEND)} {_text(BAR_LEGEND)}</p>']
    for section, its_sheets in sections.items():
        body += [f'<h2 id="{_anchor(section)}">{_text(section)}</h2>']
        for sheet in told_once(its_sheets, told):
            body += _sheet(sheet)
        for grid in grids.get(section, ()):
            body += _grid(grid)
    if notes:
        body += ["<h2>Notes</h2>", "<ul>", *(f"<li>{_text(note)}</li>" for note in notes), "</ul>"]
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>Scores</title>",
        f"<style>\n{_STYLE}</style>",
    ]
    page = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body]
    return "\n".join([*page, "</body>", "</html>"]) + "\n"


def _text(text: str) -> str:
    """Return text as a browser shows it, between tags or within the quotes of an attribute."""
    return html.escape(printable(text))


def _anchor(section: str) -> str:
    return _text(section.replace(" ", "-"))


def _grid(grid: Grid) -> Iterator[str]:
    heads = ['<th scope="col">model</th>']
    for column in grid.columns:
        n = f'<span class="n">{_text(column.n)}</span>'
        heads.append(f'<th scope="col">{_text(column.head)}{n}</th>')
    bounds = [_bounds(grid, place) for place in range(len(grid.columns))]
    rows = (
        _row(line.label, line.below, map(_cell, line.cells, grid.columns, bounds))
        for line in grid.lines
    )
    yield from _table(grid.title, heads, rows, [f"{grid.counts}.", *grid.remarks])
    if grid.signatures:
        signatures = "".join(f"<div>{_text(signature)}</div>" for signature in grid.signatures)
        yield f"<details><summary>Signatures</summary>{signatures}</details>"


def _sheet(sheet: Sheet) -> Iterator[str]:
    kinds = [' class="left"' if left else "" for left in sheet.lefts]
    heads = (
        f'<th scope="col"{kind}>{_text(head)}</th>'
        for head, kind in zip(sheet.heads, kinds, strict=True)
    )
    rows = (
        _row(
            first.strip(),
            first.startswith(BELOW),
            (f"<td{kind}>{_text(cell)}</td>" for cell, kind in zip(cells, kinds[1:], strict=True)),
        )
        for first, *cells in sheet.rows
    )
    yield from _table(sheet.title, heads, rows, sheet.told)


def _table(
    title: str, heads: Iterable[str], rows: Iterable[str], told: Iterable[str]
) -> Iterator[str]:
    """Yield a table with lines below it; heads and rows are elements, all else is plain."""
    yield f"<h3>{_text(title)}</h3>"
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(title)}">'
    yield "<table>"
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    yield from rows
    yield "</tbody>"
    yield "</table>"
    yield "</div>"
    yield from (f'<p class="told">{_text(line)}</p>' for line in told)


def _row(label: str, below: bool, cells: Iterable[str]) -> str:
    kind = ' class="below"' if below else ""
    return f'<tr{kind}><th scope="row">{_text(label)}</th>{"".join(cells)}</tr>'


def _bounds(grid: Grid, place: int) -> tuple[float, float]:
    """Return the lowest and the highest number of a column with its intervals; zeros for none."""
    ends = [ends for line in grid.lines if (ends := line.cells[place].ends) is not None]
    # A value of resampled cases may lie outside its own interval.
    return (min(map(min, ends)), max(map(max, ends))) if ends else (0.0, 0.0)


def _cell(cell: Cell, column: Head, bounds: tuple[float, float]) -> str:
    title = f' title="{_text(cell.told)}"' if cell.told else ' class="none"'
    value = _text(cell.text)
    if cell.best:
        value = f"<strong>{value}</strong>"
    interval = f"<small>[{_text(cell.interval)}]</small>" if cell.interval else ""
    bar = _bar(cell.ends, bounds) if column.is_primary and cell.ends is not None else ""
    return f"<td{title}>{value}{_MARKS[cell.better]}{interval}{bar}</td>"


def _bar(ends: tuple[float, float, float], bounds: tuple[float, float]) -> str:
    """Return a drawing of an interval and its value between the bounds of its column."""
    low, high = bounds
    scale = 88 / (high - low) if high > low else 0.0
    left, middle, right = (4 + scale * (end - low) for end in ends)
    return (
        '<svg viewBox="0 0 96 8" aria-hidden="true">'
        f'<path d="M{left:.1f} 4H{right:.1f}" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{middle:.1f}" cy="4" r="3" fill="currentColor"/></svg>'
    )

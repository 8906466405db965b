"""How do scores stand on a page? One file for any browser, with nothing from outside it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tomovox.judge.cells import one_line
from tomovox.judge.layout import LEGEND, Cell, Column, Grid, grids_of

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
    frame: pandas.DataFrame, notes: Sequence[str] = (), facts: Mapping[str, str] | None = None
) -> str:
    """Return the tables of a compared long table as one page that needs nothing beside itself.

    The `facts`, such as the commit, stand on top in their order; `notes` are what a reader must
    know of the rows and come last. The p-values and the signature of a value are its tooltip.
    """
    sections = [(task, list(grids)) for task, grids in groupby(grids_of(frame), lambda g: g.task)]
    body = ["<h1>Scores</h1>"]
    if facts:
        body += ["<dl>", *(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items())]
        body += ["</dl>"]
    links = (f'<a href="#{_text(task)}">{_text(task)}</a>' for task, _ in sections)
    body += ["<nav>", *links, "</nav>"]
    body += [f'<p class="legend">{_text(LEGEND)} {_text(BAR_LEGEND)}</p>']
    for task, grids in sections:
        body += [f'<h2 id="{_text(task)}">{_text(task)}</h2>']
        for grid in grids:
            body += _table(grid)
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
    return html.escape(one_line(text))


def _table(grid: Grid) -> Iterator[str]:
    yield f"<h3>{_text(grid.title)}</h3>"
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(grid.title)}">'
    yield "<table>"
    heads = (
        f'<th scope="col">{_text(column.head)}<span class="n">{_text(column.n)}</span></th>'
        for column in grid.columns
    )
    yield f'<thead><tr><th scope="col">model</th>{"".join(heads)}</tr></thead>'
    yield "<tbody>"
    bounds = [_bounds(grid, place) for place in range(len(grid.columns))]
    for line in grid.lines:
        cells = map(_cell, line.cells, grid.columns, bounds)
        kind = ' class="below"' if line.below else ""
        yield f'<tr{kind}><th scope="row">{_text(line.label)}</th>{"".join(cells)}</tr>'
    yield "</tbody>"
    yield "</table>"
    yield "</div>"
    for told in (f"{grid.counts}.", *grid.remarks):
        yield f'<p class="told">{_text(told)}</p>'
    if grid.signatures:
        signatures = "".join(f"<div>{_text(signature)}</div>" for signature in grid.signatures)
        yield f"<details><summary>Signatures</summary>{signatures}</details>"


def _bounds(grid: Grid, place: int) -> tuple[float, float]:
    """Return the lowest and the highest number of a column with its intervals; zeros for none."""
    ends = [ends for line in grid.lines if (ends := line.cells[place].ends) is not None]
    # A value of resampled cases may lie outside its own interval.
    return (min(map(min, ends)), max(map(max, ends))) if ends else (0.0, 0.0)


def _cell(cell: Cell, column: Column, bounds: tuple[float, float]) -> str:
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

"""How does a whole comparison become one file that any browser opens and that runs nothing else?

Text of data sets and models is never markup: it is escaped here or set as text by the scripts, and
the policy of the page forbids what neither of them wrote.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

from tomovox.files import write_atomically
from tomovox.report.content import Content, Figure
from tomovox.report.mosaics import packed_volumes
from tomovox.report.packing import blocks_of, sample_blocks, volume_count
from tomovox.sheets import BELOW, Sheet

MOST_BYTES = 24_000_000
"""Bytes of slices, samples, figures and sheets: a page with all else stays below 25 MB."""

SCRIPTS = ("blocks.js", "scores.js", "samples.js", "viewer.js", "sample.js", "start.js")
"""The parts of the page's one script, in their order."""


def write_report(path: Path, content: Content) -> None:
    """Write a comparison as one HTML file that needs nothing beside itself.

    Raises TomovoxError for volumes that do not belong to the samples.
    """
    write_atomically(path, page_of(content).encode("utf-8", "replace"))


def page_of(content: Content) -> str:
    """Return the page of a comparison; TomovoxError as of write_report."""
    named = {sample.volume for sample in content.samples if sample.volume}
    sections = "\n".join(_sections(content))
    samples = "\n".join(sample_blocks(content))
    room = MOST_BYTES - len(sections) - len(samples)
    volumes, whole = packed_volumes(content.volumes, named, room)
    style = _part("report.css")
    script = '"use strict";\n(() => {\n' + "\n".join(map(_part, SCRIPTS)) + "})();\n"
    return Template(_part("page.html")).substitute(
        policy=_policy(script, style),
        title=_text(content.title),
        style=style,
        script=script,
        legend=_text(content.legend),
        packed=_text(_counted(content, len(volumes), whole)),
        sections=sections,
        links="\n".join(f'<a href="#{name}">{head}</a>' for name, head in _present(content)),
        blocks="\n".join([*blocks_of(content, volumes), samples]),
    )


def _part(name: str) -> str:
    return (files("tomovox") / "report" / name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    """Return what a browser may do here: this script, this style, images of this file, no more."""
    return (
        f"default-src 'none'; script-src '{_hashed(script)}'; style-src '{_hashed(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hashed(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(text: str) -> str:
    return html.escape(text)


def _counted(content: Content, packed: int, whole: bool) -> str:
    if not (total := volume_count(content.samples)):
        return ""
    full = "" if whole else " More would make it too large."
    return f"Slices of {packed} of {total} volumes are packed in this page.{full}"


def _present(content: Content) -> list[tuple[str, str]]:
    """Return the sections that have something to show, by id and head."""
    there = {
        ("scores", "Scores"): len(content.table),
        ("samples", "Samples"): len(content.samples),
        ("attention", "Attention"): len(content.figures),
        ("sheets", "Verdicts and cost"): len(content.sheets),
        ("provenance", "Provenance"): len(content.provenance),
        ("notes", "Notes"): len(content.notes),
    }
    return [section for section, count in there.items() if count]


def _sections(content: Content) -> Iterator[str]:
    """Yield the sections that need no script."""
    heads = dict(_present(content))
    bodies = {
        "attention": (_figure(*each) for each in enumerate(content.figures, 1)),
        "sheets": map(_sheet, content.sheets),
        "provenance": _facts(content),
        "notes": _notes(content),
    }
    for name, body in bodies.items():
        if name in heads:
            yield f'<section id="{name}" aria-labelledby="{name}-head">'
            yield f'<h2 id="{name}-head">{heads[name]}</h2>'
            yield from body
            yield "</section>"


def _figure(number: int, figure: Figure) -> str:
    # As an image an SVG can neither run a script nor ask for another file.
    data = base64.b64encode(figure.svg.encode("utf-8", "replace")).decode()
    name = f"Figure {number}"
    image = f'<img loading="lazy" alt="{name}" src="data:image/svg+xml;base64,{data}">'
    caption = f"<figcaption>{name}. {_text(figure.caption)}</figcaption>"
    return f"<figure>{image}{caption}</figure>"


def _sheet(sheet: Sheet) -> str:
    title = _text(sheet.title)
    kinds = [' class="left"' if left else "" for left in sheet.lefts]
    heads = (
        f'<th scope="col"{kind}>{_text(head)}</th>'
        for head, kind in zip(sheet.heads, kinds, strict=True)
    )
    rows = "\n".join(_row(row, kinds) for row in sheet.rows)
    head = f"<thead><tr>{''.join(heads)}</tr></thead>"
    frame = f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
    told = "".join(f'<p class="told">{_text(line)}</p>' for line in sheet.told)
    return (
        f"<h3>{title}</h3>\n{frame}<table>{head}\n<tbody>\n{rows}\n</tbody></table></div>\n{told}"
    )


def _row(row: tuple[str, ...], kinds: list[str]) -> str:
    first, *cells = row
    below = ' class="below"' if first.startswith(BELOW) else ""
    rest = (f"<td{kind}>{_text(c)}</td>" for c, kind in zip(cells, kinds[1:], strict=True))
    return f'<tr{below}><th scope="row"{kinds[0]}>{_text(first.strip())}</th>{"".join(rest)}</tr>'


def _facts(content: Content) -> Iterator[str]:
    facts = content.provenance.items()
    yield from ("<dl>", *(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts), "</dl>")


def _notes(content: Content) -> Iterator[str]:
    yield from ("<ul>", *(f"<li>{_text(note)}</li>" for note in content.notes), "</ul>")

"""A graph as SVG: readable without the code, in light and in dark, by eye and by screen reader.

No script, no font and no address of elsewhere; the same graph gives the same bytes.
"""

from __future__ import annotations

from typing import Iterator, Mapping
from xml.sax.saxutils import escape

from tracer.digest import blake2b
from tracer.drawing.graph import Box, Graph
from tracer.drawing.layout import Area, Layout, Line, Point, Sizes, layout
from tracer.drawing.texts import pixels, wrapped
from tracer.drawing.words import KINDS, described, kinds_in
from tracer.terminal import inert

_LABEL, _LINE, _TITLE = 14, 12, 17
_LABEL_HIGH, _LINE_HIGH = 19, 17
_TEXT_WIDTH = 216
_PADDING = 12
#: The column of a box's glyph.
_GLYPH = 28
_PILL = 22
_MARGIN = 24
_ARROW = 5
_HEADING = 44

_SIZES = Sizes(
    box=lambda box: _box_size(box),  # noqa: PLW0108 - it is defined below
    label=lambda label: (pixels(_pill(label), _LINE) + 20, _PILL),
    between=28,
    between_rows=lambda _, lines: 30 + min(3 * lines, 30),
    margin=_MARGIN,
    line=12,
    port=22,
)

_LIGHT = {
    "model": "#7048c6",
    "code": "#5b6b7d",
    "decision": "#b0660a",
    "person": "#1768b8",
    "action": "#b3304a",
    "start": "#2f7d4f",
    "end": "#2f7d4f",
}
_DARK = {
    "model": "#b79bf0",
    "code": "#9fb0c2",
    "decision": "#f0b35a",
    "person": "#7fb8f2",
    "action": "#f08ba0",
    "start": "#7fd0a0",
    "end": "#7fd0a0",
}


def _colours(text: str, ground: str, kinds: Mapping[str, str]) -> str:
    told = ";".join(f"--{kind}:{colour}" for kind, colour in kinds.items())
    return f".drawing{{color:{text};--ground:{ground};{told}}}"


_SHAPES = """
.drawing .ground{fill:var(--ground)}
.drawing text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:currentColor}
.drawing .title{font-size:17px;font-weight:600}
.drawing .label{font-size:14px;font-weight:600}
.drawing .line{font-size:12px;opacity:.78}
.drawing .when{font-size:12px;font-weight:500}
.drawing .edge{fill:none;stroke:currentColor;stroke-width:1.4;opacity:.6}
.drawing .head{fill:currentColor;opacity:.75}
.drawing .pill{fill:var(--decision);fill-opacity:.12;stroke:var(--decision);stroke-opacity:.55}
.drawing .box{stroke-width:1.5;fill-opacity:.1}
.drawing .glyph{fill:none;stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}
"""

#: How a drawing looks. A page that has its own sheet asks for ``styled=False`` and takes this, or writes its own.
STYLE = "\n".join(
    [
        _colours("#1c2430", "#fff", _LIGHT),
        f"@media (prefers-color-scheme:dark){{{_colours('#e6eaf0', '#14181f', _DARK)}}}",
        _SHAPES.strip(),
        *(f".drawing .{kind} .box{{fill:var(--{kind});stroke:var(--{kind})}}" for kind in KINDS),
        *(f".drawing .{kind} .glyph{{stroke:var(--{kind})}}" for kind in KINDS),
    ]
)

#: Each kind's glyph, in a square of 16.
_GLYPHS = {
    "start": "M8 2v9M4.5 7.5 8 11l3.5-3.5M2.5 14h11",
    "model": "M8 1.5 9.8 6.2 14.5 8 9.8 9.8 8 14.5 6.2 9.8 1.5 8 6.2 6.2z",
    "code": "M2.5 2.5h11v11h-11zM5.5 6.5h5M5.5 9.5h5",
    "decision": "M8 1.5 14.5 8 8 14.5 1.5 8z",
    "person": "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14.5c0-3 2.5-4.5 5.5-4.5s5.5 1.5 5.5 4.5",
    "action": "M14.5 1.5 1.5 7l5 2.5 2.5 5zM14.5 1.5l-8 8",
    "end": "M2.5 8.5 6.5 12.5 13.5 4",
}


def svg(graph: Graph, *, styled: bool = True) -> str:
    """The drawing as one SVG element, its legend below it. ``styled=False`` leaves out STYLE and the ground, for a page
    that has them."""
    laid = layout(graph, _SIZES)
    title = wrapped(graph.title, 600, lambda text: _bold(text, _TITLE), most=1)[0]
    width = max(laid.width, _bold(title, _TITLE) + 2 * _MARGIN, 260)
    legend, legend_high = _legend(graph, width, laid.height + _HEADING)
    height = laid.height + _HEADING + legend_high
    shift = (width - laid.width) // 2
    body = [
        f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 10}">{_text(title)}</text>',
        f'<g transform="translate({shift} {_HEADING})">',
        *(part for edge, line in zip(graph.edges, laid.lines, strict=True) for part in _edge(line, edge.label)),
        *(part for box in graph.boxes for part in _box(box, laid)),
        "</g>",
        *legend,
    ]
    inside = "\n".join(body)
    description = described(graph)
    name = "d" + blake2b((graph.title + description + inside).encode("utf-8", "replace"), digest_size=5).hexdigest()
    sheet = [f"<style>{STYLE}</style>", f'<rect class="ground" width="{width}" height="{height}"/>'] if styled else []
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" aria-labelledby="{name}t {name}d">'
    )
    return "\n".join(
        [
            opening,
            f'<title id="{name}t">{_text(graph.title)}</title>',
            f'<desc id="{name}d">{_text(description)}</desc>',
            *sheet,
            inside,
            "</svg>\n",
        ]
    )


def _text(text: str) -> str:
    """Text as XML takes it: escaped, and without the characters that XML has no way to write."""
    return escape(inert(text).replace("\ufffe", "").replace("\uffff", ""))


def _bold(text: str, size: int) -> int:
    return pixels(text, size) * 27 // 25


def _label_lines(box: Box) -> tuple[str, ...]:
    return wrapped(box.label, _TEXT_WIDTH, lambda text: _bold(text, _LABEL), most=2)


def _small_lines(box: Box) -> tuple[str, ...]:
    return tuple(
        part for line in box.lines for part in wrapped(line, _TEXT_WIDTH, lambda text: pixels(text, _LINE), most=3)
    )


def _box_size(box: Box) -> tuple[int, int]:
    labels, smalls = _label_lines(box), _small_lines(box)
    widest = max([*(_bold(text, _LABEL) for text in labels), *(pixels(text, _LINE) for text in smalls)])
    return _GLYPH + widest + 2 * _PADDING, _LABEL_HIGH * len(labels) + _LINE_HIGH * len(smalls) + 2 * _PADDING - 4


def _pill(label: str) -> str:
    return wrapped(label, _TEXT_WIDTH, lambda text: pixels(text, _LINE), most=1)[0]


def _box(box: Box, laid: Layout) -> Iterator[str]:
    area = laid.boxes[box.id]
    corner = area.height // 2 if box.kind in {"start", "end"} else 7
    yield f'<g class="{box.kind}">'
    yield (
        f'<rect class="box" x="{area.x}" y="{area.y}" width="{area.width}" height="{area.height}" '
        f'rx="{min(corner, 22)}"/>'
    )
    yield _glyph(box.kind, area.x + _PADDING, area.y + _PADDING - 1)
    y = area.y + _PADDING + 11
    for text in _label_lines(box):
        yield f'<text class="label" x="{area.x + _PADDING + _GLYPH}" y="{y}">{_text(text)}</text>'
        y += _LABEL_HIGH
    for text in _small_lines(box):
        yield f'<text class="line" x="{area.x + _PADDING + _GLYPH}" y="{y}">{_text(text)}</text>'
        y += _LINE_HIGH
    yield "</g>"


def _glyph(kind: str, x: int, y: int) -> str:
    return f'<path class="glyph" transform="translate({x} {y})" d="{_GLYPHS[kind]}"/>'


def _edge(line: Line, label: str) -> Iterator[str]:
    for part in line.parts:
        yield f'<path class="edge" d="{_path(part)}"/>'
    yield _head(line.parts[-1])
    if line.label is not None:
        area: Area = line.label
        yield (
            f'<rect class="pill" x="{area.x}" y="{area.y}" width="{area.width}" height="{area.height}" '
            f'rx="{area.height // 2}"/>'
        )
        yield (
            f'<text class="when" x="{area.centre}" y="{area.y + 15}" text-anchor="middle">{_text(_pill(label))}</text>'
        )


def _path(points: tuple[Point, ...]) -> str:
    (x, y), *rest = points
    drawn = [f"M{x} {y}"]
    for next_x, next_y in rest:
        if next_x == x:
            drawn.append(f"V{next_y}")
        else:
            middle = (y + next_y) // 2
            drawn.append(f"C{x} {middle} {next_x} {middle} {next_x} {next_y}")
        x, y = next_x, next_y
    return "".join(drawn)


def _head(points: tuple[Point, ...]) -> str:
    (_, before), (x, y) = points[-2:]
    back = -_ARROW - 3 if y >= before else _ARROW + 3
    return f'<path class="head" d="M{x} {y}l{-_ARROW} {back}h{2 * _ARROW}z"/>'


def _legend(graph: Graph, width: int, top: int) -> tuple[list[str], int]:
    """The glyphs and what they mean, in as many rows as the width needs; and their height."""
    drawn: list[str] = []
    x, y = _MARGIN, top
    for kind in kinds_in(graph):
        word = KINDS[kind][1]
        wide = _GLYPH + pixels(word, _LINE) + 16
        if x > _MARGIN and x + wide > width:
            x, y = _MARGIN, y + 22
        drawn += [f'<g class="{kind}">', _glyph(kind, x, y)]
        drawn += [f'<text class="line" x="{x + 24}" y="{y + 12}">{_text(word)}</text>', "</g>"]
        x += wide
    return drawn, (y - top + 16 + _MARGIN // 2) if drawn else 0

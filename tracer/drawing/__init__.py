"""Graphs drawn: as SVG, as Mermaid, in a terminal. Boxes and arrows in, text out; pure."""

from tracer.drawing.graph import Box, Edge, Graph, Kind
from tracer.drawing.mermaid import mermaid
from tracer.drawing.svg import STYLE, svg
from tracer.drawing.terminal import text

__all__ = ["STYLE", "Box", "Edge", "Graph", "Kind", "mermaid", "svg", "text"]

"""Graphs drawn: nothing overlaps, no arrow is missing, and the same graph gives the same bytes."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracer.drawing import Box, Edge, Graph, mermaid, svg, text
from tracer.drawing.layout import Sizes, layout
from tracer.drawing.svg import _SIZES
from tracer.drawing.terminal import _sizes
from tracer.drawing.texts import cells, pixels, wrapped
from tracer.drawing.words import KINDS

SVG = "{http://www.w3.org/2000/svg}"
#: Anything that a name or a label may hold, and what HTML, XML, Mermaid and terminals read as theirs.
WORDS = st.text(max_size=24) | st.sampled_from(
    ["</svg><script>", "a --> b", "end", '"]', "\x1b[31m", "漢字", "e\u0301"]
)


@st.composite
def graphs(draw, *, cyclic=False):
    names = [f"b{number}" for number in range(draw(st.integers(1, 12)))]
    boxes = tuple(
        Box(name, draw(WORDS), draw(st.sampled_from(sorted(KINDS))), tuple(draw(st.lists(WORDS, max_size=2))))
        for name in names
    )
    pairs = list(itertools.combinations(range(len(names)), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=18)) if pairs else []
    ends = [pair[::-1] if cyclic and draw(st.booleans()) else pair for pair in chosen]
    edges = tuple(Edge(names[source], names[target], draw(st.just("") | WORDS)) for source, target in ends)
    return Graph(draw(WORDS), boxes, edges)


def overlap(one, other):
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


def areas(laid):
    return [*laid.boxes.values(), *(line.label for line in laid.lines if line.label is not None)]


class TestALayout:
    SIZES = pytest.mark.parametrize("sizes", [_SIZES, _sizes({})], ids=["pixels", "cells"])

    @SIZES
    @given(graph=graphs(cyclic=True))
    def test_never_lets_boxes_and_labels_overlap(self, sizes: Sizes, graph):
        laid = layout(graph, sizes)
        clashes = [pair for pair in itertools.combinations(areas(laid), 2) if overlap(*pair)]
        assert clashes == []

    @SIZES
    @given(graph=graphs(cyclic=True))
    def test_keeps_everything_inside(self, sizes: Sizes, graph):
        laid = layout(graph, sizes)
        points = [point for line in laid.lines for part in line.parts for point in part]
        assert all(area.x >= 0 and area.y >= 0 for area in areas(laid))
        assert all(area.right <= laid.width and area.bottom <= laid.height for area in areas(laid))
        assert all(0 <= x <= laid.width and 0 <= y <= laid.height for x, y in points)

    @given(graph=graphs(cyclic=True))
    def test_draws_every_edge_from_its_source_to_its_target(self, graph):
        laid = layout(graph, _SIZES)
        assert len(laid.lines) == len(graph.edges)
        for edge, line in zip(graph.edges, laid.lines, strict=True):
            (first, *_), (*_, last) = line.parts[0], line.parts[-1]
            for (x, y), area in ((first, laid.boxes[edge.source]), (last, laid.boxes[edge.target])):
                assert area.x <= x <= area.right
                assert y in {area.y, area.bottom}
            assert (line.label is not None) == bool(edge.label)

    @given(graph=graphs(cyclic=True))
    def test_leads_no_line_through_a_box_or_a_label(self, graph):
        laid = layout(graph, _SIZES)
        for line in laid.lines:
            for part in line.parts:
                for (x, y), (to_x, to_y) in itertools.pairwise(part):
                    if x == to_x:
                        top, bottom = sorted((y, to_y))
                        assert not [a for a in areas(laid) if a.x < x < a.right and a.y < bottom and top < a.bottom]
                    else:  # across: only in the space between two rows
                        assert not [row for row in laid.rows if min(y, to_y) < row[1] and row[0] < max(y, to_y)]

    @given(graph=graphs())
    def test_puts_what_leads_somewhere_above_it(self, graph):
        laid = layout(graph, _SIZES)
        assert all(laid.boxes[edge.source].bottom < laid.boxes[edge.target].y for edge in graph.edges)

    def test_finds_the_order_in_which_nothing_crosses(self):
        edges = [("a", "y"), ("a", "x"), ("b", "x"), ("x", "p"), ("y", "q"), ("b", "r")]
        boxes = tuple(Box(name, name) for name in "abxyprq")
        laid = layout(Graph("g", boxes, tuple(Edge(*ends) for ends in edges)), _SIZES)
        x = {name: area.centre for name, area in laid.boxes.items()}
        apart = [
            (one, other)
            for one, other in itertools.combinations(edges, 2)
            if (x[one[0]] - x[other[0]]) * (x[one[1]] - x[other[1]]) < 0
            and laid.boxes[one[0]].y == laid.boxes[other[0]].y
            and laid.boxes[one[1]].y == laid.boxes[other[1]].y
        ]
        assert apart == []

    def test_is_quick_enough_for_a_trace_of_many_steps(self):
        boxes = tuple(Box(f"s{number}", f"step {number}") for number in range(1_500))
        edges = tuple(Edge(f"s{(number - 1) // 3}", f"s{number}") for number in range(1, 1_500))
        assert len(layout(Graph("wide", boxes, edges), _SIZES).boxes) == 1_500

    def test_a_long_chain_does_not_go_too_deep(self):
        boxes = tuple(Box(f"s{number}", "s") for number in range(3_000))
        edges = tuple(Edge(f"s{number}", f"s{number + 1}") for number in range(2_999))
        assert len(layout(Graph("long", boxes, edges), _SIZES).rows) == 3_000


class TestAGraph:
    def test_refuses_what_can_not_be_drawn(self):
        one = Box("a", "a")
        with pytest.raises(ValueError, match="same id"):
            Graph("g", (one, one))
        with pytest.raises(ValueError, match="a -> b leads to or from no box"):
            Graph("g", (one,), (Edge("a", "b"),))
        with pytest.raises(ValueError, match="leads back at once"):
            Graph("g", (one,), (Edge("a", "a"),))


class TestAnSvg:
    @given(graph=graphs(cyclic=True))
    def test_is_xml_that_draws_each_box_edge_and_label(self, graph):
        root = ET.fromstring(svg(graph))
        assert len(root.findall(f".//{SVG}rect[@class='box']")) == len(graph.boxes)
        assert len(root.findall(f".//{SVG}path[@class='head']")) == len(graph.edges)
        assert len(root.findall(f".//{SVG}rect[@class='pill']")) == sum(1 for edge in graph.edges if edge.label)

    @given(graph=graphs())
    def test_runs_nothing_and_asks_nobody(self, graph):
        root = ET.fromstring(svg(graph))
        drawn = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert drawn <= {"svg", "title", "desc", "style", "rect", "g", "path", "text"}
        assert not [
            name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name
        ]
        assert "url(" not in svg(graph)
        assert "@import" not in svg(graph)

    def test_says_what_it_shows_to_who_can_not_see_it(self):
        graph = Graph("Support", (Box("a", "how sure?", "decision"), Box("b", "send")), (Edge("a", "b", "sure"),))
        root = ET.fromstring(svg(graph))
        titled = {element.get("id"): element.text for element in root if element.tag in {f"{SVG}title", f"{SVG}desc"}}
        assert root.get("role") == "img"
        assert [titled[name] for name in root.get("aria-labelledby").split()] == [
            "Support",
            "how sure? leads to send when sure.",
        ]

    def test_explains_each_kind_of_box_that_it_has_and_no_other(self):
        drawn = svg(Graph("g", (Box("a", "a", "person"), Box("b", "b", "action"))))
        said = [words for _, words in KINDS.values() if words in drawn]
        assert said == ["a person is asked", "something happens in the world"]

    def test_is_the_same_in_another_process(self):
        code = """if True:
            from tracer.drawing import Box, Edge, Graph, mermaid, svg, text

            edges = tuple(Edge(*ends) for ends in ("af", "be", "cd", "ad", "ce"))
            graph = Graph("g", tuple(Box(name, name) for name in "abcdef"), edges)
            print(svg(graph), text(graph), mermaid(graph))
        """
        outputs = set()
        for seed in ("1", "2"):
            environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
            command = [sys.executable, "-c", code]
            outputs.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        assert len(outputs) == 1

    def test_brings_no_colours_into_a_page_that_has_its_own(self):
        graph = Graph("g", (Box("a", "a"),))
        assert "<style>" in svg(graph)
        assert "<style>" not in svg(graph, styled=False)
        assert 'class="ground"' not in svg(graph, styled=False)


class TestMermaid:
    @given(graph=graphs(cyclic=True))
    def test_has_one_line_per_box_and_edge_and_no_character_of_its_own_from_ours(self, graph):
        lines = mermaid(graph).partition("flowchart TD\n")[2].splitlines()
        assert len(lines) == len(graph.boxes) + len(graph.edges)
        for line in lines[: len(graph.boxes)]:
            label = re.fullmatch(r'  n\d+\W{1,2}"(.*)"\W{1,2}', line)
            assert label, line
            assert not set(label[1].replace("<br/>", "")) & set('"<>[]{}()|`')
        for line in lines[len(graph.boxes) :]:
            assert re.fullmatch(r'  n\d+ -->(\|"[^"<>|`]*"\|)? n\d+', line), line

    def test_says_a_choice_on_its_arrow(self):
        graph = Graph("g", (Box("a", "sure?", "decision"), Box("b", 'say "hi"', "action")), (Edge("a", "b", "yes"),))
        assert mermaid(graph).splitlines()[-3:] == ['  n0{"sure?"}', '  n1[["say #34;hi#34;"]]', '  n0 -->|"yes"| n1']


class TestATerminal:
    GRAPH = Graph(
        "Support",
        (Box("a", "classify", "model", ("smollm2",)), Box("b", "ask", "person"), Box("c", "send", "action")),
        (Edge("a", "b", "unsure"), Edge("a", "c", "sure")),
    )

    def test_draws_boxes_where_they_fit(self):
        assert (
            text(self.GRAPH, width=80)
            == """Support

   ┌─────────────┐
   │ ✦ classify  │
   │ smollm2     │
   └─────────────┘
        │   │
    ┌───┘   └───┐
    │           │
 unsure       sure
    │           │
    ▼           ▼
┌───────┐  ┌─────────┐
│ ☺ ask │  │ ➤ send  │
└───────┘  └─────────┘

✦ a model answers   ☺ a person is asked   ➤ something happens in the world
"""
        )

    def test_lists_them_where_they_do_not(self):
        assert text(self.GRAPH, width=20).splitlines()[:7] == [
            "Support",
            "",
            "  1. ✦ classify",
            "       smollm2",
            "       unsure → 2. ask",
            "       sure → 3. send",
            "  2. ☺ ask",
        ]

    @given(graph=graphs(cyclic=True))
    def test_draws_nothing_wider_than_it_is_or_else_a_list(self, graph):
        drawn = text(graph, width=120).splitlines()
        is_list = any(re.match(r"  1\. ", line) for line in drawn)
        assert is_list or all(cells(line) <= 120 for line in drawn[1:])

    @given(graph=graphs(cyclic=True))
    def test_obeys_no_control_character(self, graph):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text(graph))

    @settings(max_examples=60)
    @given(graph=graphs())
    def test_ends_every_line_in_an_arrow(self, graph):
        drawn = text(graph, width=100_000)
        ports = {(line.parts[-1][-1]) for line in layout(graph, _sizes({})).lines}
        assert drawn.count("▼") >= len(ports)


class TestATextInLines:
    @given(words=WORDS, width=st.integers(2, 40), most=st.integers(1, 3))
    def test_keeps_to_its_width_and_its_lines(self, words, width, most):
        lines = wrapped(words, width, cells, most=most)
        assert 1 <= len(lines) <= most
        assert all(cells(line) <= width for line in lines)

    def test_breaks_between_words_and_says_what_it_cuts(self):
        assert wrapped("what does the customer want", 12, len, most=2) == ("what does", "the custome…")

    def test_counts_wide_characters_twice_and_marks_not_at_all(self):
        assert (cells("漢字"), cells("e\u0301"), cells("ab")) == (4, 1, 2)
        assert pixels("漢字", 10) > pixels("ab", 10)

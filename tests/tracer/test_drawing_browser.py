"""The drawing in a real browser: what the layout assumed of a font holds there, in light and in dark."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from tracer.drawing import Box, Edge, Graph, svg

CHROMIUM = os.environ.get("PLAYHEAD_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

if CHROMIUM is None and os.environ.get("PLAYHEAD_STRICT_TESTS") != "1":
    pytest.skip("no Chromium here: set PLAYHEAD_TEST_CHROMIUM to its path", allow_module_level=True)

GRAPH = Graph(
    "Customer support",
    (
        Box("in", "ticket", "start"),
        Box("classify", "classify", "model", ("smollm2", "if that fails: keyword rules")),
        Box("language", "DETECT LANGUAGE", "code"),
        Box("sure", "how sure?", "decision"),
        Box("second", "second opinion", "model", ("wwwww-WWWWW-mmmmm-MMMMM",)),
        Box("still", "still unsure?", "decision"),
        Box("ask", "What does this customer want?", "person", ("one of: 払い戻し, カード紛失, その他",)),
        Box("account", "look up account", "action"),
        Box("draft", "write reply", "model", ("smollm2", "if that fails: reply templates, in the customer's language")),
        Box("check", "check the reply", "code"),
        Box("send", "send", "action"),
        Box("out", "receipt", "end"),
    ),
    (
        Edge("in", "classify"),
        Edge("in", "language"),
        Edge("classify", "sure"),
        Edge("sure", "account", "sure"),
        Edge("sure", "second", "unsure"),
        Edge("sure", "ask", "hopeless"),
        Edge("second", "still"),
        Edge("still", "account", "sure"),
        Edge("still", "ask", "anything else"),
        Edge("language", "draft"),
        Edge("account", "draft"),
        Edge("draft", "check"),
        Edge("check", "send"),
        Edge("send", "out"),
        Edge("ask", "out"),
    ),
)

#: Each text, and the outline that it belongs in: its box, its pill, or the whole drawing.
OVERFLOWING = """() => {
    const inside = (text, outline) => {
        const a = text.getBoundingClientRect(), b = outline.getBoundingClientRect();
        return a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
    };
    const outline = text => text.previousElementSibling?.matches('.pill') ? text.previousElementSibling
        : text.parentElement.querySelector(':scope > rect.box') ?? document.documentElement;
    const outside = [...document.querySelectorAll('text')].filter(each => !inside(each, outline(each)));
    return outside.map(each => each.textContent);
}"""
COLOURS = "() => ['text', '.ground'].map(each => getComputedStyle(document.querySelector(each)).fill)"


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM is not None, "no Chromium here: set PLAYHEAD_TEST_CHROMIUM to its path"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class TestADrawing:
    @pytest.mark.parametrize(
        ("scheme", "text", "ground"),
        [("light", "rgb(28, 36, 48)", "rgb(255, 255, 255)"), ("dark", "rgb(230, 234, 240)", "rgb(20, 24, 31)")],
        ids=["light", "dark"],
    )
    def test_keeps_every_text_in_its_box_and_follows_the_readers_light(self, browser, tmp_path, scheme, text, ground):
        (tmp_path / "drawn.svg").write_text(svg(GRAPH), encoding="utf-8")
        page = browser.new_page(color_scheme=scheme)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "drawn.svg").as_uri())
        assert page.evaluate(OVERFLOWING) == []
        assert page.evaluate(COLOURS) == [text, ground]
        assert len(asked) == 1
        page.close()

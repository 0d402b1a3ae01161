from __future__ import annotations

import re
from pathlib import Path

import pytest

import web
from web.pages.about import KEYS

STATIC = Path(web.__file__).parent / "static"
CSS = "\n".join(path.read_text() for path in sorted(STATIC.glob("*.css")))
TOKENS = {
    name: colours for name, *colours in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS)
}
GROUNDS = ("page", "sunk", "hover", "chosen")
PAIRS = [
    *((text, ground) for ground in GROUNDS for text in ("text", "soft", "link", "bad")),
    *((text, "page") for text in ("string", "number", "said", "warn")),
    *((text, "sunk") for text in ("string", "number", "said")),
    ("bad", "bad-ground"),
    ("text", "bad-ground"),
    ("soft", "bad-ground"),
    ("link", "bad-ground"),
    ("string", "bad-ground"),
    ("warn", "warn-ground"),
    ("text", "warn-ground"),
    ("soft", "warn-ground"),
    ("link", "warn-ground"),
    ("bad", "warn-ground"),
    ("said", "said-ground"),
    ("text", "said-ground"),
    ("soft", "said-ground"),
    ("string", "said-ground"),
    ("number", "said-ground"),
    ("soft", "user-ground"),
    ("text", "user-ground"),
    ("page", "link"),
]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


class TestColours:
    def test_are_named_in_one_block_and_used_by_name_only(self) -> None:
        after = CSS.split("}", 1)[1]
        assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", after)
        assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) <= {*TOKENS, "mono"}
        assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) >= set(TOKENS)

    @pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
    @pytest.mark.parametrize(("text", "ground"), PAIRS, ids=lambda name: name)
    def test_text_stands_out_from_its_ground(self, text: str, ground: str, theme: int) -> None:
        assert contrast(TOKENS[text][theme], TOKENS[ground][theme]) >= 4.5


class TestKeys:
    def test_the_help_lists_exactly_the_keys_that_act(self) -> None:
        source = (STATIC / "keys.js").read_text()
        table = source[source.index("KEYS = {") : source.index("};")]
        acting = {quoted or plain for quoted, plain in re.findall(r'^\s+(?:"([^"]+)"|(\w+)): "', table, re.MULTILINE)}
        arrows = {"ArrowDown": "↓", "ArrowUp": "↑", "ArrowRight": "→", "ArrowLeft": "←"}
        shown = {**arrows, "Escape": "Esc"}
        told = {shown.get(key, key.replace(" ", "+")) for key in acting}
        assert told == {key for keys, *_ in KEYS for key in keys.split(" ")}

    def test_every_key_has_something_to_do(self) -> None:
        actions = set(re.findall(r': "(\w+)"', (STATIC / "keys.js").read_text()))
        bound = (STATIC / "app.js").read_text().split("bind({", 1)[1].split("});", 1)[0]
        assert actions == set(re.findall(r"^  (\w+)[:,]", bound, re.MULTILINE))

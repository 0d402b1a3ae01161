"""Tokens, chunks and citations of documents, on real contracts and on whatever Hypothesis writes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import (
    PromptTooLong,
    RouterError,
    Source,
    Target,
    count,
    counted,
    fits,
    markers,
    quotations,
    refuse_too_long,
    split,
    tokenizer,
)
from router.documents import tokens
from tests.sources import REPOSITORY
from tracer.messages import Message

LINES = gzip.decompress((REPOSITORY / "tests/data/contracts/contracts.jsonl.gz").read_bytes()).decode().splitlines()
CONTRACTS = {contract["title"].split("_")[0]: contract["text"] for contract in map(json.loads, LINES)}
WORDS = ("one", "two", "three", "four", "five", "six", "seven")
TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from("ab. \n#1(")),
    st.lists(
        st.sampled_from(
            [
                "# One\n",
                "1. First. ",
                "1.1 Of it.\n",
                "(a) ",
                "\n\n",
                "ARTICLE IV\n",
                "\u5951\u7d04\u3002",
                "word " * 9,
                "x" * 70,
            ]
        )
    ).map("".join),
)


@pytest.fixture
def _no_tokenizers(monkeypatch):
    monkeypatch.setattr(tokens, "_known", ())


@dataclass(frozen=True)
class Windowed:
    """A target whose window is known."""

    name: str
    context_tokens: int | None


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "number"),
        [("", 0), ("Hello, world", 3), ("2026", 4), (" word" * 10, 10), ("\u5951\u7d04\u306e\u89e3\u9664", 5)],
    )
    def test_are_those_of_the_vocabulary(self, text, number):
        assert count(text) == number

    def test_the_vocabulary_is_whole(self):
        encode = tokens._bundled()
        encoding = encode.__self__
        assert encoding.n_vocab == 130_072
        assert all(encoding.decode_single_token_bytes(rank) == bytes([rank]) for rank in range(256))

    @pytest.mark.parametrize(
        ("model", "exact"),
        [
            ("pixtral-12b-2409", True),
            ("open-mistral-nemo-2407", True),
            ("gpt-4o", False),
            ("smollm2", False),
            (None, False),
        ],
    )
    def test_are_exact_for_the_models_that_use_it_and_an_estimate_for_others(self, model, exact):
        assert (counted("Hello", model).exact, counted("Hello", model).by) == (exact, "tekken")

    def test_of_messages_are_an_estimate_always(self):
        asked = [{"role": "user", "content": "Hello, world"}, Message("assistant", "Hello")]
        assert str(counted(asked, "pixtral-12b-2409")) == "about 15"

    def test_of_what_is_no_text_are_not_counted(self):
        parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "x" * 900}}]
        assert count([{"role": "user", "content": parts}]) == count([{"role": "user", "content": "Hello"}])
        assert count([{"role": "assistant", "content": None}]) == count([{"role": "user", "content": ""}])

    @pytest.mark.usefixtures("_no_tokenizers")
    def test_are_counted_by_a_tokenizer_of_ones_own_where_one_is_known(self):
        tokenizer("gpt-4o*", str.split, name="words")
        tokenizer("gpt-4o-mini", list, name="letters")
        assert str(counted("a bc d", "gpt-4o-2024")) == "3"
        assert counted("a bc d", "gpt-4o-mini").tokens == 6
        assert counted("a bc d", "gpt-3").by == "tekken"
        tokenizer("gpt-4o*", list)
        assert count("a bc d", "gpt-4o-2024") == 6

    @given(st.text())
    def test_are_never_more_than_bytes(self, text):
        assert count(text) <= len(text.encode())

    @pytest.mark.parametrize(("module", "library"), [("tiktoken", "tiktoken"), ("mistral_common", "mistral-common")])
    def test_need_the_extra_and_say_so_where_it_is_missing(self, module, library):
        code = f"import sys; sys.modules['{module}'] = None\nimport router\nrouter.count('x')"
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert (
            f"MissingExtra: counting tokens needs {library}, which is not installed: "
            'pip install "playhead[documents]"' in ended.stderr
        )


class TestAnOverlongPrompt:
    def test_is_refused_with_its_length_and_its_limit(self):
        with pytest.raises(PromptTooLong) as raised:
            refuse_too_long("word " * 1000, Windowed("small", 1000), answer=100)
        assert isinstance(raised.value, RouterError)
        assert (raised.value.tokens.tokens, raised.value.limit, raised.value.target) == (1001, 900, "small")
        assert str(raised.value).startswith("the prompt has about 1001 tokens, and small takes 900 beside its answer: ")

    def test_fits_where_there_is_room_for_it_and_its_answer(self):
        prompt = [{"role": "user", "content": "word " * 1000}]
        assert fits(iter(prompt), Windowed("large", 1108), answer=100)
        assert not fits(iter(prompt), Windowed("large", 1107), answer=100)

    def test_is_not_known_where_the_target_names_no_window(self):
        assert fits("word " * 10_000, Target("any"))

    def test_that_is_short_in_bytes_needs_no_tokenizer(self):
        code = (
            "import sys; sys.modules['tiktoken'] = None\n"
            "import router\nfrom types import SimpleNamespace as S\n"
            "print(router.fits([{'role': 'user', 'content': 'x' * 80}], S(name='t', context_tokens=100)))"
        )
        ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        assert ended.stdout == "True\n"


class TestAChunk:
    @settings(deadline=None)
    @given(TEXTS, st.integers(16, 60), st.data())
    def test_is_what_stands_there_and_short_enough_and_together_they_are_the_text(self, text, most, data):
        overlap = data.draw(st.integers(0, (most - 1) // 2))
        chunks = split(text, max_tokens=most, overlap=overlap)
        assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
        covered = 0
        for chunk in chunks:
            assert chunk.text == text[chunk.start : chunk.end]
            assert chunk.tokens == count(chunk.text) <= most
            assert chunk.start <= covered < chunk.end
            assert overlap or chunk.start == covered
            covered = chunk.end
        assert covered == len(text)

    @pytest.mark.parametrize("title", CONTRACTS)
    @pytest.mark.parametrize("most", [64, 400, 2000])
    def test_of_a_contract_begins_where_something_begins(self, title, most):
        text = CONTRACTS[title]
        chunks = split(text, max_tokens=most)
        assert "".join(chunk.text for chunk in chunks) == text
        assert max(chunk.tokens for chunk in chunks) <= most
        within_words = [chunk for chunk in chunks[1:] if (text[chunk.start - 1] + text[chunk.start]).isalnum()]
        assert within_words == []
        # two neighbours that would fit together are seldom left apart: at least half full on average
        assert sum(chunk.tokens for chunk in chunks) / len(chunks) >= min(most, count(text)) / 2

    def test_knows_the_headings_above_it(self):
        text = (
            "# Guide\n"
            + "intro " * 10
            + "\n## Setup\n"
            + "do " * 12
            + "\n### Linux\n"
            + "apt " * 12
            + "\n## Use\n"
            + "run " * 12
        )
        assert [chunk.path for chunk in split(text, max_tokens=20)] == [
            ("Guide",),
            ("Guide", "Setup"),
            ("Guide", "Setup", "Linux"),
            ("Guide", "Use"),
        ]

    def test_of_a_contract_knows_its_article_and_clause(self):
        text = "ARTICLE I. TERM\n\n1.1 Start. " + "It starts. " * 8 + "\n\n1.2 End. " + "It ends. " * 8
        assert [chunk.path for chunk in split(text, max_tokens=40)] == [
            ("ARTICLE I. TERM",),
            ("ARTICLE I. TERM", "1.2 End"),
        ]

    def test_begins_with_the_end_of_the_one_before_it_where_it_is_to(self):
        text = " ".join(f"Sentence number {word} is here." for word in WORDS)
        chunks = split(text, max_tokens=24, overlap=8)
        assert len(chunks) > 2
        for before, after in pairwise(chunks):
            assert before.start < after.start < before.end
            assert after.text.startswith("Sentence")

    @pytest.mark.parametrize(
        ("most", "overlap", "problem"),
        [
            (15, 0, "max_tokens is 15: a chunk needs at least 16"),
            (20, 10, "overlap is 10: it must be less than half of max_tokens, 20"),
            (20, -1, "overlap is -1"),
        ],
    )
    def test_can_not_be_of_a_senseless_size(self, most, overlap, problem):
        with pytest.raises(ValueError, match=problem):
            split("text", max_tokens=most, overlap=overlap)

    def test_of_one_word_that_never_ends_is_cut_within_it(self):
        chunks = split("x" * 5000, max_tokens=50)
        assert "".join(chunk.text for chunk in chunks) == "x" * 5000


class TestACitation:
    @pytest.mark.parametrize("title", CONTRACTS)
    def test_of_a_contract_is_found_where_it_stands(self, title):
        text = CONTRACTS[title]
        source = Source(text)
        for chunk in split(text, max_tokens=64)[::7]:
            words = chunk.text.split()
            quote = " ".join(words[:12])
            located = source.locate(quote)
            assert located.exact
            assert located.likeness == 1.0
            assert "".join(text[located.start : located.end].split()) in "".join(text.split())

    def test_with_one_wrong_word_is_located_at_the_passage_it_is_nearest_to(self):
        text = CONTRACTS["ELFBEAUTY,INC"]
        at = text.find("WHEREAS, the Marathon Parties have voting power")
        quote = " ".join(text[at : at + 120].split()[:-1]).replace("voting", "no")
        located = Source(text).locate(quote)
        assert (located.exact, located.start) == (False, at)
        assert 0.8 < located.likeness < 1.0

    @given(st.text(), st.text())
    def test_is_always_somewhere_within_the_source(self, source, quote):
        located = Source(source).locate(quote)
        assert 0 <= located.start <= located.end <= len(source)
        assert 0.0 <= located.likeness <= 1.0

    def test_is_read_out_of_a_text(self):
        assert quotations('He said "one two", \u201cthree\u201d and \u00abfour\u00bb, 5\'10" tall.') == (
            "one two",
            "three",
            "four",
        )
        assert markers("As [3] and [1, 3; 12] say, not [a] nor (2).") == (3, 1, 12)

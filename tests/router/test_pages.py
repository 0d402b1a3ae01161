"""The examples of the pages about guardrails and documents run, and print what the pages say."""

from __future__ import annotations

import pytest

from tests.recording import project  # noqa: F401 - a fixture
from tests.test_docs import FENCE, page


def examples(name):
    return [block for language, block in FENCE.findall(page(name)) if language == "python"]


class TestTheExamples:
    @pytest.mark.parametrize(
        ("name", "number", "printed"),
        [
            ("docs/guardrails.md", 0, "high\n"),
            ("docs/guardrails.md", 1, "A short title\n"),
            ("docs/documents.md", 0, "0 1. Term. T ('1. Term',)\n1 2. Fees. T ('2. Fees',)\n"),
        ],
    )
    def test_of_a_page_run(self, project, name, number, printed):  # noqa: F811
        ended = project.python(examples(name)[number])
        assert ended.stderr == ""
        assert ended.stdout.startswith(printed)

    def test_of_a_page_are_all_run_here(self):
        assert (len(examples("docs/guardrails.md")), len(examples("docs/documents.md"))) == (2, 1)

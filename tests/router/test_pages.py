"""The examples on the router's pages run as they stand there, and print what the pages say."""

from __future__ import annotations

import pytest

from tests.loopback import Loopback, Reply
from tests.recording import project  # noqa: F401 - a fixture
from tests.test_docs import FENCE, page
from tracer.catalogue import Catalogue

#: How many examples a page has, and the beginning of what each prints.
PAGES = {
    "calling": [""],
    "deciding": [""],
    "documents": ["0 1. Term. T ('1. Term',)\n1 2. Fees. T ('2. Fees',)\n"],
    "guardrails": ["high\n", "A short title\n"],
}


def examples(name: str, language: str = "python") -> list[str]:
    return [block for written, block in FENCE.findall(page(f"docs/{name}.md")) if written == language]


class TestTheExamples:
    @pytest.mark.parametrize(
        ("name", "number", "printed"),
        [(name, number, printed) for name, said in PAGES.items() for number, printed in enumerate(said)],
    )
    def test_of_a_page_run_as_they_stand_there(self, project, name, number, printed):  # noqa: F811
        ended = project.python(examples(name)[number])
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith(printed)

    @pytest.mark.parametrize("name", PAGES)
    def test_of_a_page_are_all_run_here(self, name):
        assert len(examples(name)) == len(PAGES[name])

    def test_of_a_models_file_is_one(self, tmp_path):
        (example,) = examples("calling", "toml")
        path = tmp_path / "models.toml"
        path.write_text(example, encoding="utf-8")
        assert [target.name for target in Catalogue.load(path)] == ["fast", "careful", "local", "intents"]


class TestTheReadme:
    def test_shows_a_router_that_runs(self, project):  # noqa: F811
        (example,) = [block for _, block in FENCE.findall(page("README.md")) if "drafts = Router(" in block]
        (project.folder / "roles.toml").write_text('[draft]\nproduction = "gpt-4o"\n')
        models = "from tracer import Target, configure\nconfigure(models=[Target('gpt-4o')])\n"
        with Loopback() as server:
            server.next(
                Reply(status=429, headers={"retry-after": "0"}), Reply(("sorry",)), Reply(("{'reply': 'Hello'}",))
            )
            script = f"{models}{example}\nprint(reply('my card'))"
            ended = project.python(script, OPENAI_BASE_URL=server.url, OPENAI_API_KEY="none")
        assert ended.stderr == ""
        assert ended.stdout == '{"reply": "Hello"}\n'
        assert len(server.seen) == 3

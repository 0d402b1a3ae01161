"""models.toml: what it gives, and what it refuses, by name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracer
from tests import recording
from tests.recording import Project
from tracer import recorder
from tracer.catalogue import FREE, Catalogue, Price, Target
from tracer.errors import ConfigError
from tracer.messages import ChatRequest, Message
from tracer.models_file import read_models

project = recording.project

WHOLE = """
[models.fast]
base_url = "https://api.openai.com/v1"
model = "gpt-4o-mini"
api_key_env = "OPENAI_API_KEY"
context_tokens = 128_000
max_output_tokens = 16384
timeout_s = 30.5
price = {input = "0.15/1M", output = "0.60/1M"}

[models."org/claude"]
base_url = "https://api.anthropic.com/v1"
format = "anthropic"
price = "free"

[models.intents]
call = "shop_intents:answer"

[models.sibling]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return path


class TestAModelsFile:
    def test_gives_its_targets_in_order(self, tmp_path: Path) -> None:
        fast, claude, intents, sibling = read_models(written(tmp_path, WHOLE))
        assert fast == Target(
            "fast",
            model="gpt-4o-mini",
            base_url="https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
            price=Price(150, 600),
            timeout_s=30.5,
            context_tokens=128_000,
            max_output_tokens=16_384,
        )
        assert (claude.name, claude.format, claude.price) == ("org/claude", "anthropic", FREE)
        assert (intents.url, sibling) == (None, Target("sibling"))

    def test_fills_the_catalogue_that_is_configured(self, tmp_path: Path) -> None:
        path = written(tmp_path, WHOLE)
        tracer.configure(models=path)
        assert recorder.catalogue().get("fast").asked_as == "gpt-4o-mini"
        assert {target.name for target in Catalogue.load(str(path))} == {"fast", "org/claude", "intents", "sibling"}

    def test_imports_a_function_when_it_is_first_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        catalogue = Catalogue.load(written(tmp_path, WHOLE))
        (tmp_path / "shop_intents.py").write_text("def answer(request): return request.messages[-1].content.upper()")
        call = catalogue.get("intents").call
        assert call is not None
        assert call(ChatRequest("intents", (Message("user", "lost card"),))) == "LOST CARD"

    def test_says_where_a_function_was_named_that_is_not_there(self, tmp_path: Path) -> None:
        (target,) = read_models(written(tmp_path, '[models.a]\ncall = "no_such_module_of_ours:answer"'))
        assert target.call is not None
        with pytest.raises(
            ConfigError, match=r"models\.toml: models\.a\.call is 'no_such_module_of_ours:answer', which"
        ):
            target.call(ChatRequest("a", ()))


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("table", "told"),
        [
            ('base_url = "gpt-4o"', "base_url must be the address of an endpoint"),
            ('base_url = "https://:80/v1"', "base_url must be the address of an endpoint"),
            ('base_url = "http://[::1"', "base_url must be the address of an endpoint"),
            ('base_url = "https://host/v1?x=1"', "base_url must be an address alone"),
            (
                'format = "gemini"\nbase_url = "https://host/v1"',
                "format is 'gemini'; there are openai, anthropic, same",
            ),
            ("context_tokens = 0", "context_tokens must be a whole number of tokens"),
            ("max_output_tokens = true", "max_output_tokens must be a whole number of tokens"),
            ("timeout_s = nan", "timeout_s must be a number of seconds"),
            ("timeout_s = 0", "timeout_s must be a number of seconds"),
            ('model = ""', "model must be a text"),
            ('call = "answer"', 'call must be "module:function"'),
            ('call = "m:f"\nbase_url = "https://host/v1"', "base_url says nothing beside call"),
            ('api_key_env = "KEY"', "api_key_env needs a base_url"),
            ('price = "0.15/1M"', "price must be {input ="),
            ('price = {input = "0.15/1M"}', "price must be {input ="),
            (
                'price = {input = 0.15, output = "1/1M"}',
                'price.input must be dollars for so many tokens, like "0.15/1M"',
            ),
            ('price = {input = "0.0375/1M", output = "1/1M"}', "0.0375/1M is 37.5 billionths"),
            ("requests_per_minute = 5", "requests_per_minute is no field of a model: there are base_url, model"),
        ],
        ids=lambda each: each.split(" must")[0].split("=")[0].strip(),
    )
    def test_a_wrong_field_is_named_with_its_file_and_table(self, tmp_path: Path, table: str, told: str) -> None:
        with pytest.raises(ConfigError) as raised:
            read_models(written(tmp_path, f"[models.a]\n{table}"))
        assert "models.toml: models.a" in str(raised.value)
        assert told in str(raised.value)

    @pytest.mark.parametrize(
        "line",
        [
            'api_key = "abc"',
            'token = "abc"',
            'api_key_env = "sk-proj-Abcdefghijklmnopqrst1234"',
            'model = "hf_abcdefghijklmnopqrstuvwxyz0123456789"',
            'base_url = "https://user:hunter2hunter2@host/v1"',
            'api_key_env = "not a name but a key 83hf9"',
        ],
        ids=["api_key", "token", "openai", "hf", "url", "unknown-form"],
    )
    def test_a_key_is_refused_and_not_repeated(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(ConfigError) as raised:
            read_models(written(tmp_path, f"[models.a]\n{line}"))
        assert "environment" in str(raised.value) or "no user, no password" in str(raised.value)
        assert line.split('"')[1] not in str(raised.value)

    @pytest.mark.parametrize("text", ["", "x = 1", "[models]", "models = 3", "[models]\na = 3", "[models.a]\n[other]"])
    def test_a_file_of_another_shape(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError, match=r"models\.toml"):
            read_models(written(tmp_path, text))

    def test_a_file_that_is_not_there_is_named_in_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match=str(tmp_path / "none.toml")):
            tracer.configure(models="none.toml")

    def test_what_is_no_toml(self, project: Project) -> None:
        with pytest.raises(ConfigError, match="no TOML"):
            read_models(written(project.folder, "[models.a"))


_SCALARS = st.one_of(st.text(max_size=8), st.integers(-5, 5), st.booleans(), st.floats(), st.none().map(lambda _: []))


class TestAnyFile:
    @given(st.integers(0, 10**6), st.sampled_from(["K", "M"]), st.integers(0, 6))
    def test_a_price_is_exact_or_refused(self, tmp_path_factory, digits, per, places):
        rate = f"{digits / 10**places:.{places}f}"
        path = tmp_path_factory.getbasetemp() / "price.toml"
        path.write_text(f'[models.a]\nprice = {{input = "{rate}/1{per}", output = "0/1M"}}')
        told = digits * 10 ** (9 - places - (3 if per == "K" else 6)) if places <= (6 if per == "K" else 3) else None
        try:
            (target,) = read_models(path)
        except ConfigError:
            scale = 10 ** (places - (6 if per == "K" else 3))
            assert told is None
            assert digits % scale
        else:
            assert target.price is not None
            if told is not None:
                assert target.price.input_nusd == told

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(alphabet="[]models.a=\"'{}\n 0123456789/1KMfreecall:_", max_size=80))
    def test_text_is_read_or_refused_with_an_error_of_ours(self, tmp_path, text):
        path = tmp_path / "any.toml"
        path.write_bytes(text.encode())
        try:
            targets = read_models(path)
        except ConfigError:
            return
        assert [target.name for target in targets] == list(tomllib.loads(text)["models"])

"""The description of the API holds: schemathesis asks what it allows and more, and every answer is one it describes."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any, Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.sources import REPOSITORY
from tests.web.everything import NOT_PAGES, Everything, forget, record_everything
from tests.web.test_browser import serving
from tracer import recorder
from web import create_app
from web.api.document import described_of
from web.app import ROUTES, described

DOCUMENT = described()
TOLD = {f"{method.upper()} {path}": told for path, ways in DOCUMENT["paths"].items() for method, told in ways.items()}
#: They say something for minutes: tests of their own listen to them.
STREAMS = {operation for operation in TOLD if operation.endswith("/live")}
ASKED = sorted(TOLD.keys() - STREAMS)
#: What may be asked wrongly: any text is a name in a path, and any bytes may be spans.
REFUSABLE = [
    operation
    for operation in ASKED
    if "/v1/" not in operation
    and ("POST" in operation or any(one["in"] == "query" for one in TOLD[operation]["parameters"]))
]
#: These begin processes of their own.
DEAR = {"/t/{trace_id}/replay", "/t/{trace_id}/replay.json", "/escalations/{trace_id}/{step_id}", "/backtests"}
#: What else is asked of an address, with the traces of Served in it.
ASKING = {
    "/traces.json": ("", "?q=card", "?status=failed&q=cost>much", "?replays=only"),
    "/compare.json": ("?t={0}&t={1}&t={2}",),
    "/delete.json": ("?t={0}&t={4}",),
    "/live.json": ("", "?after=0-0&open={0},{4}"),
    "/overview.json": ("", "?compare=version:1,2", "?before=2026-01-01", "?q=nothing"),
    "/models.json": ("", "?q=card"),
    "/thresholds.json": ("", "?value=0.5", "?value=1&goal=budget", "?scorer=os:system", "?scorer=none"),
    "/escalations.json": ("", "?all"),
    "/canaries.json": ("", "?since=soon"),
}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

schemathesis.openapi.media_type("application/x-protobuf", st.binary(max_size=200))


@dataclasses.dataclass(frozen=True)
class Served:
    """A viewer at work: its address, its gate's tokens, and names that are there, by the parameter they stand for."""

    address: str
    site: Any
    names: dict[str, list[str]]

    def token(self, path: str, names: dict[str, str]) -> str:
        """The token of the form of that address."""
        first = path.split("/")[1]
        purpose = {
            "/t/{trace_id}/replay": names.get("trace_id", ""),
            "/t/{trace_id}/faults": f"faults {names.get('trace_id')}",
            "/t/{trace_id}/s/{step_id}/notes": "notes",
            "/runs/{run_id}/cancel": f"run {names.get('run_id')}",
            "/backtests/{backtest_id}": names.get("backtest_id", ""),
        }.get(path, first)
        return str(self.site.gate.form_token(purpose))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    found = record_everything(tmp_path_factory.mktemp("everything"))
    known = dict(recorder.catalogue()._targets)
    found.configure()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK_WORLD", str(found.home / "world.txt"))
        yield found
    forget(known)


@pytest.fixture(scope="module")
def served(everything: Everything) -> Iterator[Served]:
    app = create_app(everything.url)
    ids, site = everything.ids, app.state.site
    run = site.runs.start("replay", ids["desk"], ["replay", ids["desk"]], recorder.current_config(), filled={}, of=4)
    traces = [ids[name] for name in ("desk", "garbled", "replay", "option", "running")]
    names = {
        **dict.fromkeys(("trace_id", "a", "b"), traces),
        "step_id": [ids["question"]],
        "digest": [ids["digest"]],
        "number": ["0", "7"],
        "backtest_id": [ids["backtest"]],
        "run_id": [run.run_id],
        "role": ["draft"],
        "form": ["python", "test", "curl"],
    }
    with serving(app) as address:
        yield Served(address, site, names)


def ask(served: Served, operation: str, mode: GenerationMode, examples: int) -> None:
    """Send what the operation allows (or, in the other mode, does not), and hold each answer to its description."""
    method, path = operation.split(" ")
    strategy = schemathesis.openapi.from_dict(DOCUMENT)[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=strategy, data=st.data())
    def answers_as_described(case: schemathesis.Case, data: st.DataObject) -> None:
        for name in case.path_parameters or {}:
            if data.draw(st.booleans()):
                known = served.names[name][:1] if path in DEAR else served.names[name]
                case.path_parameters[name] = data.draw(st.sampled_from(known))
        if isinstance(case.body, dict) and "csrf" in case.body and data.draw(st.integers(0, 4)):
            case.body["csrf"] = served.token(path, case.path_parameters or {})
        answer = case.call(base_url=served.address, allow_redirects=False, timeout=60)
        case.validate_response(answer, checks=CHECKS)

    answers_as_described()


class TestTheDescription:
    def test_is_served(self, served: Served) -> None:
        assert requests.get(f"{served.address}/openapi.json", timeout=30).json() == DOCUMENT

    @pytest.mark.parametrize("operation", ASKED)
    def test_holds_for_what_it_allows(self, served: Served, operation: str) -> None:
        ask(served, operation, GenerationMode.POSITIVE, 2 if operation.split(" ")[1] in DEAR else 12)

    @pytest.mark.parametrize("operation", REFUSABLE)
    def test_holds_for_what_it_does_not_allow(self, served: Served, operation: str) -> None:
        ask(served, operation, GenerationMode.NEGATIVE, 1 if operation.split(" ")[1] in DEAR else 6)

    @pytest.mark.parametrize("path", [path for path in sorted(DOCUMENT["paths"]) if path.endswith(".json")])
    def test_holds_for_all_that_is_there(self, served: Served, path: str) -> None:
        schema = TOLD[f"GET {path}"]["responses"]["200"]["content"]["application/json"]["schema"]
        valid = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
        names = re.findall(r"{(\w+)}", path)
        known = [served.names[name][:1] if path in DEAR else served.names[name] for name in names]
        for values in itertools.product(*known):
            for query in ASKING.get(path, ("",)):
                place = path.format(**dict(zip(names, values, strict=True))) + query.format(*served.names["trace_id"])
                answer = requests.get(f"{served.address}{place}", timeout=60)
                assert answer.status_code == 200, (place, answer.text[:500])
                wrong = [f"{error.json_path}: {error.message[:300]}" for error in valid.iter_errors(answer.json())]
                assert not wrong, (place, wrong[:5])

    def test_has_every_address_that_answers_with_json_and_every_form(self) -> None:
        undescribed = {
            route.path
            for route in ROUTES
            if described_of(route) is None and (route.path.endswith(".json") or "POST" in route.methods)
        }
        assert undescribed == set()

    def test_has_every_page(self) -> None:
        pages = {route.path for route in ROUTES if described_of(route) is None} - NOT_PAGES - {"/"}
        assert {page for page in pages if f"{page}.json" not in DOCUMENT["paths"]} == set()


class TestWhatIsAskedWrongly:
    """What a bounded search does not come upon by itself. Each once was an error of the server's."""

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/t/{trace_id}/replay.json?add=--edit+classify%3Dno", 422),
            ("/t/{trace_id}/replay.json?add=--edit+'classify", 422),
            ("/p/{digest}/images/99999999999999999999999", 404),
            ("/p/{digest}/images/-1", 404),
            ("/p/{digest}/images/first", 422),
            ("/p/%00/raw", 404),
            ("/t/%00.json", 404),
            ("/traces.json?before=9999999999999999999-x", 200),
            ("/live.json?after=9223372036854775808-x", 200),
            ("/overview.json?before=0001-01-01", 200),
            ("/overview.json?before=9999-12-31", 200),
            ("/routes.json?since=999999999999d", 200),
            ("/export?form=cassette", 422),
            ("/backtests/%2e%2e.json", 404),
        ],
    )
    def test_is_answered_all_the_same(self, served: Served, path: str, status: int) -> None:
        names = {name: values[0] for name, values in served.names.items()}
        assert requests.get(served.address + path.format(**names), timeout=60).status_code == status

    @pytest.mark.parametrize(
        ("path", "fields", "status"),
        [
            ("/filters", {"name": "x", "query": "q=x", "csrf": "no"}, 403),
            ("/filters", {"name": "", "query": "q=x"}, 422),
            ("/t/{trace_id}/s/{step_id}/notes", {"kind": "score", "name": "x", "text": "1"}, 404),
            ("/t/{trace_id}/s/{step_id}/notes", {"undo": "x"}, 422),
            ("/escalations/{trace_id}/{step_id}", {"answer": "refund"}, 404),
            ("/escalations/{asked}/{step_id}", {"answer": "\0"}, 422),
            ("/canaries/{role}", {"then": "share", "seen": "[1]"}, 422),
            ("/canaries/{role}", {"then": "promote", "seen": '{"production": "another"}'}, 409),
            ("/thresholds", {"role": "threshold", "accept": "0.5", "share": "1e400"}, 422),
            ("/t/{trace_id}/replay", {"then": "run", "extra": "--edit 'x"}, 422),
            ("/t/{trace_id}/faults", {"then": "run", "step": "\0"}, 422),
            ("/backtests", {"then": "check", "step": "x", "model": "y", "scorer": "exact", "t": "\0"}, 404),
            ("/runs/{run_id}/cancel", {"csrf": "no"}, 403),
        ],
        ids=lambda value: str(value) if isinstance(value, (str, int)) else "-".join(value),
    )
    def test_of_a_form_is_said_by_the_status(
        self, served: Served, path: str, fields: dict[str, str], status: int
    ) -> None:
        names = {name: values[0] for name, values in served.names.items()} | {"asked": served.names["trace_id"][3]}
        sent = {"csrf": served.token(path, names), **fields}
        answer = requests.post(served.address + path.format(**names), data=sent, timeout=60, allow_redirects=False)
        assert answer.status_code == status, answer.text[:2000]

    def test_is_told_as_json_to_who_asks_for_json(self, served: Served) -> None:
        answer = requests.get(f"{served.address}/t/nothing", headers={"accept": "application/json"}, timeout=60)
        assert answer.status_code == 404
        assert answer.json()["error"] == "'nothing' is no trace: give an id, the beginning of one, or latest"


class TestTheExamplesOfItsPage:
    @pytest.mark.parametrize("number", [0, 1], ids=["reading", "a form"])
    def test_work(self, served: Served, number: int, capsys: pytest.CaptureFixture[str]) -> None:
        page = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
        example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]
        exec(
            example.replace("http://127.0.0.1:7420", served.address).replace("latest", served.names["trace_id"][0]), {}
        )
        said = capsys.readouterr().out
        assert re.search(r"/runs/\w+|/diff/" if number else r"'support/classify'", said), said

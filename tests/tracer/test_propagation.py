"""A trace goes on in another service, by the headers of W3C trace context."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Iterator
from wsgiref.util import setup_testing_defaults

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import tracer
from tests import recording
from tests.loopback import Loopback
from tests.recording import Project
from tests.tracer.http_support import Playing, under
from tracer import continued, current, headers, step, workflow
from tracer.config import from_environment
from tracer.errors import ConfigError
from tracer.http.outgoing import goes_to
from tracer.propagation import CALLER, ASGIMiddleware, WSGIMiddleware, caller_in, store_of
from tracer.recorder import current_config
from tracer.render import tree

project = recording.project

TRACE, STEP = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{STEP}-01"


@workflow
def answer(question: str = "?") -> str:
    return draft(question)


@step
def draft(question: str) -> str:
    return question.upper()


class TestTraceparent:
    def test_says_trace_and_step(self) -> None:
        caller = caller_in({"traceparent": PARENT})
        assert caller is not None
        assert (caller.trace_id.hex(), caller.step_id.hex(), caller.is_recorded) == (TRACE, STEP, True)

    @pytest.mark.parametrize("flags", ["00", "02", "fe"])
    def test_without_its_flag_is_not_recorded(self, flags: str) -> None:
        caller = caller_in({"traceparent": f"00-{TRACE}-{STEP}-{flags}"})
        assert caller is not None
        assert not caller.is_recorded

    @pytest.mark.parametrize("told", [f"cc-{TRACE}-{STEP}-01", f"01-{TRACE}-{STEP}-09-what-comes-later"])
    def test_of_a_later_version_is_read_as_far_as_this_one_goes(self, told: str) -> None:
        caller = caller_in({"traceparent": told})
        assert caller is not None
        assert caller.trace_id.hex() == TRACE

    @pytest.mark.parametrize(
        "told",
        [
            "",
            "00",
            f"ff-{TRACE}-{STEP}-01",
            f"00-{'0' * 32}-{STEP}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE.upper()}-{STEP}-01",
            f"00-{TRACE[:-1]}-{STEP}-01",
            f"00-{TRACE}-{STEP}0-01",
            f"00-{TRACE}-{STEP}-1",
            f"00-{TRACE}-{STEP}-01-more",
            f"00-{TRACE}-{STEP}-01.",
            f"01-{TRACE}-{STEP}-01more",
            f"00_{TRACE}_{STEP}_01",
            f"00-{TRACE}-{STEP}-01\n",
            f"00-{'٣' * 32}-{STEP}-01",
        ],
    )
    def test_that_is_none_is_passed_over(self, told: str) -> None:
        assert caller_in({"traceparent": told}) is None

    def test_that_comes_twice_and_differs_is_passed_over(self) -> None:
        other = f"00-{TRACE}-{'1' * 16}-01"
        assert caller_in([("traceparent", PARENT), ("Traceparent", other)]) is None
        assert caller_in([("traceparent", PARENT), ("Traceparent", PARENT)]) is not None

    @given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?", fullmatch=True)))
    def test_is_read_or_passed_over_but_never_raises(self, told: str) -> None:
        caller = caller_in({"traceparent": told, "tracestate": told})
        if caller is not None:
            assert told.strip(" \t").split("-")[1:3] == [caller.trace_id.hex(), caller.step_id.hex()]
            assert any(caller.trace_id)
            assert any(caller.step_id)

    @given(st.text())
    def test_passes_on_only_what_a_header_may_hold(self, state: str) -> None:
        caller = caller_in([("traceparent", PARENT), ("tracestate", state)])
        assert caller is not None
        assert caller.state.isascii()
        assert caller.state.isprintable()


class TestHeaders:
    @pytest.mark.parametrize(
        "given",
        [
            pytest.param({"TraceParent": PARENT}, id="mapping"),
            pytest.param([("traceparent", PARENT)], id="pairs"),
            pytest.param(((b"host", b"x"), (b"traceparent", PARENT.encode())), id="ASGI"),
            pytest.param({"REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO(), "HTTP_TRACEPARENT": PARENT}, id="WSGI"),
            pytest.param(Headers({"traceparent": PARENT}), id="starlette"),
            pytest.param(httpx.Headers({"traceparent": PARENT}), id="httpx"),
            pytest.param(SimpleNamespace(items=lambda: [("Traceparent", f" {PARENT} ")]), id="items"),
        ],
    )
    def test_are_taken_in_any_form(self, given: Any) -> None:
        caller = caller_in(given)
        assert caller is not None
        assert caller.step_id.hex() == STEP

    @pytest.mark.parametrize("given", [None, {}, [], {"host": "x"}])
    def test_without_a_caller_change_nothing(self, project: Project, given: Any) -> None:
        with continued(given):
            assert CALLER.get() is None
            answer()
        assert project.trace().summary.tags == {}

    def test_that_are_none_are_our_problem(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PLAYHEAD_STRICT")
        project.degraded = {"read a caller's trace from its headers"}
        with pytest.warns(match="read a caller's trace"), continued(42):
            assert answer("a") == "A"

    def test_are_empty_outside_a_workflow(self) -> None:
        assert headers() == {}

    def test_name_the_running_step(self, project: Project) -> None:
        @workflow
        def job() -> tuple[dict[str, str], str]:
            return headers(), current().step_id

        told, step_id = job()
        trace = project.trace()
        assert told["traceparent"] == f"00-{trace.trace_id}-{step_id}-01"
        assert trace.root.step_id == step_id
        assert set(told) == {"traceparent", "tracestate"}

    def test_of_a_trace_that_is_not_recorded_say_so(self, project: Project) -> None:
        tracer.configure(sample=0)
        told = workflow(headers)()
        caller = caller_in(told)
        assert caller is not None
        assert not caller.is_recorded


class TestAContinuedTrace:
    def test_is_rooted_here_where_the_caller_has_another_store(self, project: Project) -> None:
        with continued({"traceparent": PARENT, "tracestate": "vendor=1"}):
            assert answer("why") == "WHY"
        trace = project.trace(TRACE[:8])
        assert trace.trace_id == TRACE
        assert recording.path_of(trace) == ["answer", "answer/draft"]
        assert trace.root.parent_id is None
        row = trace.summary
        assert (row.workflow, row.status, row.preview, row.tags) == (
            "answer",
            "completed",
            "why",
            {"remote_parent": STEP},
        )
        assert trace.entry.qualname == "answer"
        assert [listed.trace_id for listed in project.traces()] == [TRACE]

    def test_fails_with_its_root(self, project: Project) -> None:
        @workflow
        def broken() -> None:
            raise KeyError("no")

        with pytest.raises(KeyError), continued({"traceparent": PARENT}):
            broken()
        row = project.trace().summary
        assert (row.status, row.failed_step, row.error_type) == ("failed", "broken", "KeyError")

    def test_is_a_part_of_the_callers_where_both_have_one_store(self, project: Project) -> None:
        @step
        def call() -> str:
            told = headers()
            # the other service: nothing of this one's context is known there
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(served, told).result()

        def served(told: dict[str, str]) -> str:
            from tracer.context import CURRENT

            token = CURRENT.set(None)
            try:
                with continued(told):
                    return answer("x") + answer("y")
            finally:
                CURRENT.reset(token)

        @workflow
        def job() -> str:
            return call()

        assert job() == "XY"
        (trace,) = project.traces()
        assert [(one.name, one.occurrence) for one in trace.steps] == [
            ("job", 0),
            ("call", 0),
            ("answer", 0),
            ("draft", 0),
            ("answer", 1),
            ("draft", 0),
        ]
        call_id = recording.step_named(trace, "call").step_id
        assert [one.parent_id for one in trace.steps if one.name == "answer"] == [call_id] * 2
        assert (trace.summary.workflow, trace.summary.tags, trace.summary.status) == ("job", {}, "completed")
        assert project.value(trace.steps[2]) == "X"

    def test_that_comes_again_stands_below_its_root(self, project: Project) -> None:
        other = f"00-{TRACE[::-1]}-{STEP}-01"
        for _ in range(2):
            with continued({"traceparent": other}):
                answer("first")
        with continued({"traceparent": other.replace(STEP, "1" * 16)}):
            answer("later")
        (trace,) = project.traces()
        assert [one.parent_id for one in trace.steps if one.name == "answer"] == [None, STEP, "1" * 16]
        assert (trace.summary.preview, len(trace.steps)) == ("first", 6)
        shown = Console(width=200, file=io.StringIO(), record=True)
        shown.print(tree(trace))
        assert shown.export_text().count("draft") == 3, "all of it is shown"

    def test_sends_on_what_others_told(self, project: Project) -> None:
        with continued([("traceparent", PARENT), ("tracestate", "a=1,playhead=old"), ("tracestate", "b@c=2")]):
            told = workflow(headers)()
        assert told["tracestate"] == f"playhead={store_of(current_config())},a=1,b@c=2"
        assert told["traceparent"].startswith(f"00-{TRACE}-")
        assert told["traceparent"] != PARENT

    def test_that_is_not_recorded_there_is_not_recorded_here(self, project: Project) -> None:
        told = {"traceparent": f"00-{TRACE}-{STEP}-00"}
        with continued(told):
            assert answer("x") == "X"
        assert project.traces() == []
        with continued(told, follow_sampling=False):
            answer("x")
        assert [trace.trace_id for trace in project.traces()] == [TRACE]

    def test_that_is_recorded_there_is_recorded_here_whatever_the_share(self, project: Project) -> None:
        tracer.configure(sample=0)
        with continued({"traceparent": PARENT}):
            answer("x")
        answer("y")
        assert [trace.trace_id for trace in project.traces()] == [TRACE]

    def test_ends_with_the_block(self, project: Project) -> None:
        with continued({"traceparent": PARENT}) as caller, caller:
            assert CALLER.get() is caller
        assert CALLER.get() is None
        answer()
        assert project.trace().trace_id != TRACE

    def test_is_carried_into_processes_and_threads(self, project: Project) -> None:
        source = """
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from tracer import continued, headers, step, workflow

@step
def told():
    return headers()

@workflow
def job():
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as processes, ThreadPoolExecutor(1) as threads:
        return [pool.submit(told).result()["tracestate"].split(",")[1:] for pool in (processes, threads)]

if __name__ == "__main__":
    with continued({"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1"}):
        print(job())
"""
        done = project.python(source)
        assert (done.returncode, done.stdout) == (0, "[['a=1'], ['a=1']]\n"), done.stderr
        assert recording.path_of(project.trace(TRACE)) == ["job", "job/told", "job/told[1]"]

    def test_gives_way_to_a_replay(self, project: Project) -> None:
        with continued({"traceparent": PARENT}), under(Playing()):
            answer("x")
        assert project.trace().trace_id != TRACE

    def test_stores_are_told_apart_without_their_credentials(self) -> None:
        def store(url: str) -> str:
            return store_of(from_environment({}, database_url=url))

        assert store("postgresql://ann:a@db:5432/traces") == store("postgresql+psycopg://bob:b@db:5432/traces?x=1")
        assert store("postgresql://db/traces") != store("postgresql://db/others")
        assert store("a.db") != store("b.db")


class TestTheMiddlewares:
    def test_asgi(self, project: Project) -> None:
        async def show(request: Any) -> JSONResponse:
            return JSONResponse(answer("a"))

        def show_in_thread(request: Any) -> JSONResponse:
            return JSONResponse(answer("b"))

        async def stream(request: Any) -> StreamingResponse:
            async def words() -> Any:
                yield answer("c")

            return StreamingResponse(words())

        routes = [Route("/a", show), Route("/b", show_in_thread), Route("/c", stream)]
        with TestClient(ASGIMiddleware(Starlette(routes=routes))) as client:
            for number, path in enumerate("abc"):
                told = f"00-{number + 1:032x}-{STEP}-01"
                assert client.get(f"/{path}", headers={"Traceparent": told}).text.strip('"') == path.upper()
            client.get("/a")
        ids = [int(trace.trace_id, 16) for trace in project.traces()]
        assert ids[:3] == [1, 2, 3]
        assert len(ids) == 4

    def test_wsgi(self, project: Project) -> None:
        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
            yield answer("a").encode()
            yield answer("b").encode()

        def plain(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
            return [answer("c").encode()]

        environ: dict[str, Any] = {"HTTP_TRACEPARENT": PARENT.replace(TRACE, "7" * 32)}
        setup_testing_defaults(environ)
        body = WSGIMiddleware(app)(environ, None)
        given = []
        for piece in body:
            given.append(piece)
            assert CALLER.get() is None, "what is done in between is not the request's"
        body.close()
        assert given == [b"A", b"B"]
        assert WSGIMiddleware(plain)(environ, None) == [b"C"]
        (trace,) = project.traces()
        assert trace.trace_id == "7" * 32
        assert [one.name for one in trace.steps] == ["answer", "draft"] * 3


class Other(ThreadingHTTPServer):
    """Another service, in this process: its workflow is below no step of ours but by the headers."""

    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with continued(self.headers):
            body = json.dumps({"said": answer("hello"), "told": self.headers.get_all("traceparent")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def other() -> Iterator[str]:
    with Other(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("module", [httpx, httpx2], ids=lambda module: module.__name__)
class TestARequest:
    def test_takes_the_trace_along(self, project: Project, other: str, module: Any) -> None:
        @workflow
        def job() -> Any:
            return module.get(other).json()["said"]

        assert job() == "HELLO"
        (trace,) = project.traces()
        request = recording.step_named(trace, "GET 127.0.0.1")
        inner = recording.step_named(trace, "answer")
        assert inner.parent_id == request.step_id, "one store: one tree"
        assert trace.summary.status == "completed"

    def test_takes_it_along_in_async_code(self, project: Project, other: str, module: Any) -> None:
        @workflow
        async def job() -> Any:
            async with module.AsyncClient() as client:
                return (await client.get(other)).json()["told"]

        (told,) = asyncio.run(job())
        request = recording.step_named(project.trace(), "GET 127.0.0.1")
        assert told == f"00-{request.trace_id}-{request.step_id}-01"

    def test_with_headers_of_its_own_keeps_them(self, project: Project, other: str, module: Any) -> None:
        @workflow
        def job() -> Any:
            return module.get(other, headers={"TraceParent": PARENT}).json()["told"]

        assert job() == [PARENT]

    def test_itself_is_not_changed(self, project: Project, other: str, module: Any) -> None:
        @workflow
        def job() -> Any:
            with module.Client() as client:
                request = client.build_request("GET", other)
                responses = [client.send(request) for _ in range(2)]
                assert all(response.request is request for response in responses)
                assert "traceparent" not in request.headers
                return [response.json()["told"] for response in responses]

        first, second = job()
        assert first != second, "each names its own step"
        steps = [one for one in project.trace().steps if one.kind == "http"]
        assert len({one.input.digest for one in steps}) == 1, "and is stored once"

    def test_that_streams_its_body_is_sent_whole(self, project: Project, module: Any) -> None:
        def body() -> Iterator[bytes]:
            yield b'{"model": "m", '
            yield b'"messages": []}'

        @workflow
        def job(url: str) -> int:
            kind = {"content-type": "application/json"}
            return module.post(f"{url}/things", content=body(), headers={**kind, "content-length": "30"}).status_code

        with Loopback() as server:
            job(server.url)
            (seen,) = server.seen
        assert seen.body == {"model": "m", "messages": []}
        assert "traceparent" in seen.headers

    def test_to_a_model_goes_as_it_would_without_us_unless_its_host_is_named(
        self, project: Project, module: Any
    ) -> None:
        @workflow
        def job(url: str) -> None:
            module.post(f"{url}/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "?"}]})

        with Loopback() as server:
            job(server.url)
            tracer.configure(propagate_to=["127.0.0.1"])
            job(server.url)
        assert ["traceparent" in seen.headers for seen in server.seen] == [False, True]

    def test_outside_a_workflow_tells_nothing(self, project: Project, other: str, module: Any) -> None:
        workflow(len)("")
        assert module.get(other).json()["told"] is None

    def test_of_a_trace_that_is_not_recorded_says_so(self, project: Project, other: str, module: Any) -> None:
        tracer.configure(sample=0)

        @workflow
        def job() -> Any:
            return module.get(other).json()["told"]

        (told,) = job()
        assert told.endswith("-00")
        assert project.traces() == [], "nor was it recorded by the other service"

    def test_is_matched_by_what_it_asks_and_not_by_its_header(self, project: Project, other: str, module: Any) -> None:
        @workflow
        def job() -> Any:
            return module.get(other).status_code

        for _ in range(2):
            job()
        tracer.configure(propagate_to=[])
        job()
        requests = [one for trace in project.traces() for one in trace.steps if one.kind == "http"]
        assert len(requests) == 3
        assert len({one.identity for one in requests}) == 1

    def test_goes_without_it_where_nobody_is_to_be_told(self, project: Project, other: str, module: Any) -> None:
        tracer.configure(propagate_to=[])

        @workflow
        def job() -> Any:
            return module.get(other).json()["told"]

        assert job() is None


class TestTwoServices:
    """Each a process with a store of its own."""

    SERVICE = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from tracer import step, workflow
from tracer.propagation import WSGIMiddleware

@workflow
def answer(question):
    return question.upper()

def app(environ, start_response):
    start_response("200 OK", [])
    return [answer(environ["PATH_INFO"]).encode()]

class Quiet(WSGIRequestHandler):
    def log_message(self, *_): ...

with make_server("127.0.0.1", 0, WSGIMiddleware(app), handler_class=Quiet) as server:
    print(server.server_port, flush=True)
    server.handle_request()
"""

    def test_have_each_their_part_of_one_trace(self, project: Project, tmp_path: Path) -> None:
        theirs = Project(tmp_path / "theirs")
        theirs.folder.mkdir()
        command = [sys.executable, str(theirs.script(self.SERVICE))]
        with subprocess.Popen(
            command, env=theirs.environment(), cwd=theirs.folder, stdout=subprocess.PIPE, text=True
        ) as service:
            port = int(service.stdout.readline())

            @workflow
            def job() -> str:
                return httpx.get(f"http://127.0.0.1:{port}/why", timeout=30).text

            assert job() == "/WHY"
        assert service.returncode == 0
        ours = project.trace()
        request = recording.step_named(ours, "GET 127.0.0.1")
        assert recording.path_of(ours) == ["job", "job/GET 127.0.0.1"]
        tracer.configure(home=theirs.home)
        (part,) = theirs.traces()
        assert part.trace_id == ours.trace_id
        assert recording.path_of(part) == ["answer"]
        assert (part.summary.workflow, part.summary.status) == ("answer", "completed")
        assert part.summary.tags == {"remote_parent": request.step_id}


class TestWhoIsTold:
    @pytest.mark.parametrize(
        "host",
        ["localhost", "127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "fd00::1", "search", "search.internal", "a.b.svc"],
    )
    def test_by_default_who_is_at_home(self, host: str) -> None:
        assert goes_to(host, ("private",))
        assert not goes_to(host, ("example.com",))

    @pytest.mark.parametrize(
        "host", ["api.openai.com", "example.com", "8.8.8.8", "169.254.169.254", "x.openai.azure.com", "2606:4700::1"]
    )
    def test_and_nobody_else(self, host: str) -> None:
        assert not goes_to(host, ("private",))

    def test_by_name_or_pattern_but_a_provider_only_by_its_name(self) -> None:
        assert goes_to("api.example.com", ("api.example.com",))
        assert goes_to("API.example.com.", ("*.example.com",))
        assert not goes_to("example.com", ("*.example.com",))
        assert not goes_to("badexample.com", ("*.example.com",))
        assert goes_to("anything.at.all", ("*",))
        assert not goes_to("api.openai.com", ("*", "*.openai.com", "private"))
        assert goes_to("api.openai.com", ("api.openai.com",))

    def test_is_set_by_code_or_environment(self) -> None:
        def hosts(given: Any = None, **environ: str) -> tuple[str, ...]:
            return from_environment(environ, propagate_to=given).propagate_to

        assert hosts() == ("private",)
        assert hosts(PLAYHEAD_PROPAGATE_TO="private, *.Example.com") == ("private", "*.example.com")
        assert hosts(PLAYHEAD_PROPAGATE_TO="none") == ()
        assert hosts([], PLAYHEAD_PROPAGATE_TO="private") == ()
        assert hosts("api.example.com") == ("api.example.com",)

    @pytest.mark.parametrize("wrong", ["https://example.com", "example.com/path", "", "a b", 3])
    def test_is_refused_where_it_is_no_host(self, wrong: Any) -> None:
        with pytest.raises(ConfigError, match="propagate_to takes host names"):
            from_environment({}, propagate_to=[wrong])

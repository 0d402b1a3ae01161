from __future__ import annotations

import json
import re
from collections import Counter
from urllib.parse import urljoin, urlsplit

import pytest

from tests.builders import Story
from tests.web.conftest import Seeded, viewer
from tests.web.html import Node, read
from tracer.store import Filter, open_store
from web import create_app
from web.pages.traces import PAGE_SIZE

LANDMARKS = ("header", "main", "nav", "h1")


def rows(page: Node) -> list[Node]:
    """The traces that have a row of their own."""
    return [row for row in page.all("tr") if row.all("input", name="t")]


def id_of(row: Node) -> str:
    return row.all("input", name="t")[0].attrs["value"]


def nested(page: Node) -> list[str]:
    """The traces that stand below the one that they replay or go on with."""
    links = (link for row in page.classed("kin") for link in row.all("a"))
    return [link.attrs["title"] for link in links if "title" in link.attrs]


class TestEveryPage:
    def test_every_link_on_every_page_resolves(self, seeded: Seeded) -> None:
        waiting, seen = ["/", "/no/such/page"], set()
        kinds: Counter[tuple[str, str]] = Counter()
        while waiting:
            path = waiting.pop()
            place, _, query = path.partition("?")
            page = re.sub(r"[0-9a-f]{16,}|b2:[0-9a-f]+", "ID", place)
            # A few of each page, and of each parameter of it, are enough; there are thousands of steps. Each form
            # of a replay starts a process.
            enough = 1 if "/replay" in page else 4
            parts = [(page, part.partition("=")[0]) for part in query.split("&")]
            if path in seen or all(kinds[part] >= enough for part in parts):
                continue
            seen.add(path)
            kinds.update(parts)
            response = seeded.client.get(path)
            assert response.status_code == (404 if path == "/no/such/page" else 200), path
            if response.headers["content-type"].startswith("text/html"):
                tree = read(response.text)
                links = [a.attrs["href"] for a in tree.all("a") + tree.all("link")]
                links += [script.attrs["src"] for script in tree.all("script")]
                waiting += [urljoin(path, link).split("#")[0] for link in links if not link.startswith("data:")]
        assert len(kinds) > 12

    def test_a_page_has_landmarks_one_heading_and_a_name_for_every_control(self, seeded: Seeded) -> None:
        for path in pages_of(seeded):
            tree = read(seeded.page(path))
            for tag in LANDMARKS:
                assert tree.all(tag), (path, tag)
            assert len(tree.all("h1")) == 1, path
            assert tree.all("html")[0].attrs["lang"] == "en"
            for control in [*tree.all("input"), *tree.all("select"), *tree.all("textarea")]:
                hidden = control.attrs.get("type") == "hidden"
                labelled = "aria-label" in control.attrs or (
                    control.parent is not None and control.parent.tag == "label"
                )
                assert hidden or labelled, (path, control.attrs)
            for button in tree.all("button"):
                assert button.text or button.attrs.get("aria-label"), path
            for link in tree.all("a"):
                assert link.text, (path, link.attrs)
            ids = [node.attrs["id"] for node in tree.walk() if "id" in node.attrs]
            assert len(ids) == len(set(ids)), path

    def test_no_page_holds_inline_script_or_style_or_another_host(self, seeded: Seeded) -> None:
        for path in pages_of(seeded):
            tree = read(seeded.page(path))
            for node in tree.walk():
                assert "style" not in node.attrs, (path, node.tag)
                assert not [name for name in node.attrs if name.startswith("on")], (path, node.tag)
                assert node.tag != "style"
                for name in ("href", "src", "action", "xlink:href"):
                    address = node.attrs.get(name, "")
                    assert not urlsplit(address).netloc, (path, address)
                    assert urlsplit(address).scheme in ("", "data"), (path, address)
            assert all("src" in script.attrs for script in tree.all("script"))

    def test_a_page_and_what_it_loads_stay_small(self, seeded: Seeded) -> None:
        for path in ("/", f"/t/{seeded.ids['research']}", f"/t/{seeded.ids['garbled']}"):
            tree = read(seeded.page(path))
            loaded = {link.attrs["href"] for link in tree.all("link", rel="stylesheet")}
            loaded |= {script.attrs["src"] for script in tree.all("script")} | {"/static/keys.js"}
            loaded |= {use.attrs["href"].split("#")[0] for use in tree.all("use")}
            sizes = [len(seeded.client.get(address).content) for address in loaded]
            assert len(loaded) + 1 <= 6, loaded
            assert len(seeded.page(path).encode()) + sum(sizes) <= 100_000, path
            scripts = [address for address in loaded if address.split("?")[0].endswith(".js")]
            assert sum(len(seeded.client.get(address).content) for address in scripts) <= 20_000

    def test_has_its_json(self, seeded: Seeded) -> None:
        for path in pages_of(seeded):
            href = next((a.attrs["href"] for a in read(seeded.page(path)).all("link", rel="alternate")), None)
            assert href is not None, path
            assert json.loads(seeded.client.get(href).text) is not None

    def test_what_is_not_there_gets_a_sentence_and_a_way_out(self, seeded: Seeded) -> None:
        for path in ("/t/ffff", "/t/zebra", "/p/b2:00", "/nowhere", f"/t/{seeded.ids['garbled']}?step=nope"):
            response = seeded.client.get(path)
            tree = read(response.text)
            assert response.status_code == 404, path
            assert tree.all("h1")[0].text
            assert tree.all("a", href="/?status=failed")
        assert seeded.client.get("/t/ffff.json").json()["error"]

    def test_the_theme_is_kept_and_leads_back_but_never_off_the_site(self, seeded: Seeded) -> None:
        with viewer(seeded.client.app) as client:
            kept = client.get("/theme?to=dark&back=/about", follow_redirects=False)
            assert kept.headers["location"] == "/about"
            assert read(client.get("/about").text).all("html")[0].attrs["data-theme"] == "dark"
            for away in ("//evil.example", "https://evil.example", "/\\evil.example"):
                answer = client.get("/theme", params={"to": "light", "back": away}, follow_redirects=False)
                assert answer.headers["location"] == "/"


def pages_of(seeded: Seeded) -> list[str]:
    ids = seeded.ids
    root = seeded.store.trace(ids["garbled"]).root
    assert root is not None
    assert root.input is not None
    return [
        "/",
        "/?status=failed&q=card",
        "/?q=zebra+unicorn",
        *(f"/t/{trace_id}" for trace_id in ids.values()),
        f"/t/{ids['garbled']}/replay",
        f"/diff/{ids['garbled']}/{ids['replay']}",
        f"/diff/{ids['garbled']}/{ids['limited']}",
        f"/p/{root.input.digest}",
        "/overview",
        "/models",
        "/steps",
        "/about",
        "/routes",
        "/canaries",
        "/thresholds",
        "/health",
    ]


class TestTracesList:
    def test_rows_are_newest_first_with_the_reason_on_failed_ones(self, seeded: Seeded) -> None:
        tree = read(seeded.page("/"))
        found = rows(tree)
        assert len(found) + len(nested(read(seeded.page("/")))) == PAGE_SIZE
        failed = [row for row in found if "failed" in row.attrs.get("class", "")]
        assert failed
        assert any("chat · RateLimitError 429: Rate limit reached" in row.text for row in failed)
        assert any("classify · JSONDecodeError: Expecting" in row.text for row in failed)

    def test_the_input_is_shown_as_its_text_not_as_json(self, seeded: Seeded) -> None:
        assert any("Someone stole my wallet this morning." in row.text for row in rows(read(seeded.page("/"))))

    def test_the_filter_is_repeated_in_a_sentence(self, seeded: Seeded) -> None:
        tree = read(seeded.page("/?status=failed&workflow=support"))
        assert "failed traces of support" in tree.classed("sentence")[0].text
        assert all("failed" in row.attrs["class"] for row in rows(tree))

    def test_a_filter_that_can_not_be_is_named_and_nothing_is_lost(self, seeded: Seeded) -> None:
        assert "'sleepy'" in read(seeded.page("/?status=sleepy")).classed("sentence")[0].text

    def test_next_pages_hold_every_trace_once(self, seeded: Seeded) -> None:
        seen: list[str] = []
        below: set[str] = set()
        path: str | None = "/"
        while path is not None:
            tree = read(seeded.page(path))
            seen += [id_of(row) for row in rows(tree)]
            below.update(nested(tree))
            path = next((link.attrs["href"] for link in tree.all("a", rel="next")), None)
        assert len(seen) == len(set(seen))
        assert {*seen, *below} == {one.trace_id for one in seeded.store.traces(limit=1_000)}
        assert seeded.ids["replay"] in below - set(seen)

    def test_status_chips_lead_to_as_many_traces_as_they_say(self, seeded: Seeded) -> None:
        chips = read(seeded.page("/")).classed("chips")[0].all("a")
        for chip in chips[1:]:
            name, number = chip.text.split()
            href = chip.attrs["href"]
            assert len(seeded.store.traces(Filter.parse(urlsplit(href).query), limit=1_000)) == int(number), name

    def test_the_form_carries_on_what_it_has_no_field_for(self, seeded: Seeded) -> None:
        form = read(seeded.page("/?status=failed&since=7d&q=card")).all("form", method="get")
        fields = {node.attrs["name"]: node.attrs.get("value", "") for f in form for node in f.all("input")}
        assert fields["status"] == "failed"
        assert fields["since"] == "7d"
        assert fields["q"] == "card"

    def test_a_replay_whose_origin_is_not_on_the_page_says_of_what(self, seeded: Seeded) -> None:
        row = next(row for row in rows(read(seeded.page("/?replays=only"))))
        assert id_of(row) == seeded.ids["replay"]
        assert f"replay of {seeded.ids['garbled'][:16]}" in row.text

    def test_what_came_of_a_trace_folds_away_below_it(self, tmp_path) -> None:
        first = Story("order", at_ns=1_000).finish(error=TimeoutError("no answer"))
        told = [
            Story("order", at_ns=2_000_000, replay_of=first.trace_id).finish("sent"),
            Story("order", at_ns=3_000_000, replay_of=first.trace_id).finish(outcome="stopped"),
            Story("order", at_ns=4_000_000, resume_of=first.trace_id).finish("sent"),
        ]
        told.append(Story("order", at_ns=5_000_000, replay_of=told[0].trace_id).finish("sent"))
        with open_store(tmp_path / "kin.db") as store, viewer(create_app(store)) as client:
            for story in (first, *told):
                store.apply(story.events, owner="me")
            tree = read(client.get("/").text)
            assert [id_of(row) for row in rows(tree)] == [first.trace_id]
            (line,) = (node.text for row in tree.classed("kin") for node in row.all("summary"))
            assert line == "3 replays: 2 completed, 1 stopped · 1 resumed run: 1 completed"
            assert set(nested(tree)) == {story.trace_id for story in told}
            hrefs = {link.attrs["href"] for row in tree.classed("kin") for link in row.all("a")}
            assert f"/diff/{first.trace_id}/{told[0].trace_id}" in hrefs
            followers = client.get("/traces.json").json()["followers"]
            assert followers == {first.trace_id: [story.trace_id for story in reversed(told)]}

    def test_a_resumed_run_and_the_one_it_goes_on_with_lead_to_each_other(self, tmp_path) -> None:
        first = Story("order").finish(error=TimeoutError("no answer"))
        again = Story("order", resume_of=first.trace_id).finish("sent")
        with open_store(tmp_path / "resumed.db") as store, viewer(create_app(store)) as client:
            for story in (first, again):
                store.apply(story.events, owner="me")
            for shown, words, other in ((again, "resumes", first), (first, "resumed as", again)):
                page = read(client.get(f"/t/{shown.trace_id}").text)
                (link,) = (link for link in page.all("a") if link.text.startswith(words))
                assert link.attrs["href"] == f"/t/{other.trace_id}"
            assert again.trace_id in nested(read(client.get("/").text))

    def test_an_empty_store_says_how_to_fill_it(self, tmp_path) -> None:
        with open_store(tmp_path / "empty.db") as store, viewer(create_app(store)) as client:
            text = read(client.get("/").text).text
        assert "Nothing recorded yet" in text
        assert "playhead demo" in text


class TestTracePage:
    def test_a_failed_trace_opens_on_what_failed_with_the_error_first(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['garbled']}"))
        panel = tree.all("section", id="panel")[0]
        assert panel.all("h2")[0].text.startswith("classify")
        assert panel.classed("error")[0].all("h3")[0].text.startswith("JSONDecodeError")
        assert "found = json.loads(answer)" in panel.classed("at")[0].text
        order = [node.attrs.get("class") for node in panel.classed("step")[0].children if isinstance(node, Node)]
        assert order.index("error") < order.index("facts") < order.index("payload") < order.index("particulars")
        assert "{intent: card_lost" in panel.text

    def test_the_way_to_the_failure_is_marked_and_the_rest_is_not(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['limited']}"))
        red = [row.classed("name")[0].all("a")[0].text for row in tree.classed("red")]
        assert red == ["support", "draft", "chat"]

    def test_a_step_that_only_passed_an_error_on_points_to_its_source(self, seeded: Seeded) -> None:
        root = seeded.store.trace(seeded.ids["limited"]).root
        assert root is not None
        tree = read(seeded.page(f"/t/{seeded.ids['limited']}?step={root.step_id}"))
        assert not tree.classed("error")
        assert "raised in chat" in tree.classed("passed")[0].text

    def test_what_was_not_reached_is_shown_hollow(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['garbled']}"))
        assert [row.classed("name")[0].all("span")[0].text for row in tree.classed("gone")] == [
            "route",
            "draft",
            "check",
            "send",
        ]

    def test_every_step_has_its_own_address_by_id_and_by_path(self, seeded: Seeded) -> None:
        trace = seeded.store.trace(seeded.ids["limited"])
        for step in trace.steps:
            for address in (f"/t/{trace.trace_id}?step={step.step_id}", f"/t/{trace.trace_id}/s/{step.step_id}"):
                tree = read(seeded.page(address))
                assert tree.classed("path")[0].text.split(" ")[0] in ("", "support")
                assert tree.all("h2")[0].text.startswith(step.name)
            assert seeded.client.get(f"/t/{trace.trace_id}", params={"step": step.path}).status_code == 200

    def test_a_model_call_reads_as_a_conversation(self, seeded: Seeded) -> None:
        trace = seeded.store.trace(seeded.ids["garbled"])
        call = next(step for step in trace.steps if step.kind == "llm")
        tree = read(seeded.page(f"/t/{trace.trace_id}?step={call.step_id}"))
        assert [turn.attrs["class"].split()[1] for turn in tree.classed("turn")] == ["system", "user", "assistant"]
        assert tree.classed("system")[0].all("details")
        assert "369 in / 48 out" in tree.classed("facts")[1].text

    def test_tool_calls_are_named_with_their_arguments(self, seeded: Seeded) -> None:
        trace = seeded.store.trace(seeded.ids["research"])
        call = next(step for step in trace.steps if step.kind == "llm")
        tool = read(seeded.page(f"/t/{trace.trace_id}?step={call.step_id}")).classed("tool")[0]
        assert tool.text == "calls search_tickets query fee since 2026-01-01"

    def test_types_are_named(self, seeded: Seeded) -> None:
        text = read(seeded.page(f"/t/{seeded.ids['handled']}")).all("section", id="panel")[0].text
        assert "ticket Ticket" in text
        assert "credit Decimal 12.50" in text

    def test_an_interrupted_trace_says_so_and_opens_where_it_was(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['interrupted']}"))
        assert tree.classed("banner")[0].text.startswith("Interrupted: its process ended")
        assert tree.all("h2")[0].text.startswith("chat")
        assert "Still running" in read(seeded.page(f"/t/{seeded.ids['running']}")).classed("banner")[0].text

    def test_a_replay_names_what_became_of_each_step(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['replay']}"))
        words = [origin.text for origin in tree.all("tbody")[0].classed("origin")]
        assert words == ["RECORDED", "RE-RUN", "SUBSTITUTED", "RE-RUN", "RE-RUN", "RE-RUN", "STOOD-IN"]

    def test_newer_and_older_walk_the_list_it_was_opened_from(self, seeded: Seeded) -> None:
        wanted = [one.trace_id for one in seeded.store.traces(Filter(statuses=("failed",)), limit=100)]
        path = next(row for row in rows(read(seeded.page("/?status=failed")))).all("a")[0].attrs["href"]
        walked = []
        while path:
            walked.append(urlsplit(path).path.removeprefix("/t/"))
            tree = read(seeded.page(path))
            assert tree.classed("crumbs")[0].all("a")[0].attrs["href"] == "/?status=failed"
            newer = [link.attrs["href"] for link in tree.all("link", rel="prev")]
            assert [urlsplit(one).path.removeprefix("/t/") for one in newer] == walked[-2:-1]
            path = next((link.attrs["href"] for link in tree.all("link", rel="next")), "")
        assert walked == wanted

    def test_a_prefix_and_latest_lead_to_the_one_address(self, seeded: Seeded) -> None:
        answer = seeded.client.get("/t/latest?step=support", follow_redirects=False)
        assert answer.status_code == 307
        assert answer.headers["location"] == f"/t/{seeded.ids['running']}?step=support"

    def test_a_fragment_is_the_panel_alone(self, seeded: Seeded) -> None:
        text = seeded.client.get(f"/t/{seeded.ids['garbled']}", headers={"x-fragment": "panel"}).text
        assert text.lstrip().startswith('<div class="step"')
        assert "<html" not in text


class TestHugeTraces:
    def test_a_long_trace_shows_the_rows_around_the_chosen_step(self, tmp_path) -> None:
        told = Story("long")
        for number in range(1_200):
            told.step(f"part{number}", number)
        told.finish()
        with open_store(tmp_path / "long.db") as store:
            store.apply(told.events, owner="me")
            chosen = store.trace(told.trace_id).steps[900]
            with viewer(create_app(store)) as client:
                page = client.get(f"/t/{told.trace_id}?step={chosen.step_id}").text
                assert len(client.get(f"/t/{told.trace_id}?rows=all").text) > len(page)
        assert len(page) <= 200_000
        tree = read(page)
        assert chosen.name in [
            row.classed("name")[0].all("a")[0].text for row in tree.all("tr", **{"aria-current": "true"})
        ]
        assert [gap.text for gap in tree.classed("gap")] == ["750 earlier rows", "151 later rows"]


HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" \'><svg onload=alert(1)>',
    "template": "{{ 7 * 7 }} {% raw %} ${7*7}",
    "link": "javascript:alert(1)",
    "ansi": "\x1b[31mred\x1b[0m\x07\x00",
    "bidi": "user\u202e\u2066gnp.exe\u2069",
    "surrogate": "half \ud83d of a face",
    "long line": "x" * 2_000_000,
    "many lines": "line\n" * 200_000,
}


class TestHostileText:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_stays_inert_and_bounded_wherever_it_is_shown(self, name: str, tmp_path) -> None:
        text = HOSTILE[name]
        told = Story("support", input={"text": text, "list": [text[:500]] * 3})
        inner = told.begin(text[:80], input={text[:60]: text})
        told.end(inner, {"deep": text}, error=ValueError(text))
        told.finish(error=ValueError(text))
        with open_store(tmp_path / "hostile.db") as store:
            store.apply(told.events, owner="me")
            step = store.trace(told.trace_id).steps[1]
            assert step.input is not None
            with viewer(create_app(store)) as client:
                for path in (
                    "/",
                    f"/t/{told.trace_id}",
                    f"/t/{told.trace_id}?step={step.step_id}",
                    f"/t/{told.trace_id}/replay",
                    f"/p/{step.input.digest}",
                    f"/diff/{told.trace_id}/{told.trace_id}",
                ):
                    page = client.get(path)
                    assert page.status_code == 200, path
                    assert len(page.content) <= (1_000_000 if path.startswith("/p/") else 150_000), (
                        path,
                        len(page.content),
                    )
                    tree = read(page.text)
                    assert {script.attrs.get("src", "")[:8] for script in tree.all("script")} == {"/static/"}
                    assert not tree.all("img")
                    assert not [n for node in tree.walk() for n in node.attrs if n.startswith("on")]
                    assert not [a for a in tree.all("a") if a.attrs["href"].startswith("javascript")]
                    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page.text), path
                for path in (f"/t/{told.trace_id}.json", f"/p/{step.input.digest}.json", "/traces.json"):
                    assert client.get(path).status_code == 200

    def test_deep_values_are_cut_and_say_so(self, tmp_path) -> None:
        deep: list[object] = []
        for _ in range(300):
            deep = [deep]
        told = Story("deep", input={"deep": deep, "wide": list(range(50_000))})
        told.finish()
        with open_store(tmp_path / "deep.db") as store:
            store.apply(told.events, owner="me")
            with viewer(create_app(store)) as client:
                page = client.get(f"/t/{told.trace_id}").text
        assert len(page) <= 100_000
        assert "open the whole value" in read(page).text


class TestWithoutScript:
    def test_every_action_is_a_link_or_a_form(self, seeded: Seeded) -> None:
        tree = read(seeded.page(f"/t/{seeded.ids['replay']}"))
        links = {a.attrs["href"] for a in tree.all("a")}
        replay, garbled = seeded.ids["replay"], seeded.ids["garbled"]
        assert {f"/t/{replay}/replay", f"/diff/{garbled}/{replay}", f"/t/{garbled}", "/about#keys", "/"} <= links
        assert any(href.startswith(f"/t/{replay}/replay?edit=") for href in links)
        assert any(href.startswith(f"/t/{replay}/replay?step=") for href in links)
        form = read(seeded.page(f"/t/{replay}/replay")).all("form", method="post")[0]
        assert {button.attrs["value"] for button in form.all("button") if "value" in button.attrs} == {"check", "run"}

    def test_buttons_that_need_script_are_hidden_until_it_runs(self, seeded: Seeded) -> None:
        for path in pages_of(seeded):
            for button in read(seeded.page(path)).all("button", type="button"):
                assert "js" in button.attrs["class"].split(), path


class TestItsStore:
    def test_is_closed_with_the_viewer_that_opened_it(self, recorded) -> None:
        app = create_app(recorded["url"])
        pool = app.state.site.store._engine.pool
        with viewer(app) as client:
            assert client.get("/").status_code == 200
            assert pool.checkedin() > 0
        assert pool.checkedin() == 0

    def test_stays_open_where_it_was_given(self, recorded) -> None:
        with open_store(recorded["url"]) as store:
            with viewer(create_app(store)) as client:
                assert client.get("/").status_code == 200
            assert store._engine.pool.checkedin() > 0

"""The viewer in a real Chromium: what keys do, what works without script, what a shared address opens."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Iterator

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.builders import Story
from tracer.store import Filter, open_store
from web import create_app

CHROMIUM = os.environ.get("PLAYHEAD_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

if CHROMIUM is None and os.environ.get("PLAYHEAD_STRICT_TESTS") != "1":
    pytest.skip("no Chromium here: set PLAYHEAD_TEST_CHROMIUM to its path", allow_module_level=True)


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A viewer on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", ws="none", lifespan="on", timeout_graceful_shutdown=3)
    )
    app.state.site.ending = lambda: server.should_exit
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def site(seeded_path: tuple[Path, dict[str, str]]) -> Iterator[str]:
    """The viewer of the seeded store."""
    with (
        open_store(seeded_path[0], alive=lambda owner: owner == "desk") as store,
        serving(create_app(store)) as address,
    ):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "no Chromium here: set PLAYHEAD_TEST_CHROMIUM to its path"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A fresh page; a complaint of the browser (a blocked script or style, a failed load) fails the test."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=site)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = context.new_page()
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


class TestKeys:
    def test_one_key_leads_from_the_start_page_to_the_failing_step(self, page: Page) -> None:
        page.goto("/")
        page.keyboard.press("e")
        page.wait_for_url("**/t/**")
        assert page.locator("#panel .error h3").inner_text().startswith("RateLimitError")
        for fact in ("gpt-4o", "not billed", "HTTP 429", "Input", "Output", "Rate limit reached"):
            assert fact in page.locator("#panel").inner_text()

    def test_rows_are_one_tab_stop_walked_with_arrows(self, page: Page) -> None:
        page.goto("/")
        assert page.locator('[data-rows] a.row[tabindex="0"]').count() == 1
        for key in ("j", "ArrowDown", "ArrowDown", "k"):
            page.keyboard.press(key)
        third = page.locator("[data-rows] tr").nth(1)
        assert "here" in (third.get_attribute("class") or "")
        href = third.locator("a.row").get_attribute("href")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{href}")

    def test_arrows_walk_the_steps_and_the_address_follows(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['limited']}?step=support")
        names = []
        for number in range(1, 5):
            page.keyboard.press("ArrowDown")
            page.wait_for_selector(f"[data-steps] tr:nth-child({number + 1})[aria-current]")
            names.append(page.locator("#panel h2").inner_text().split()[0])
        assert names == ["classify", "chat", "draft", "chat"]
        address = page.url
        page.reload()
        assert page.url == address
        assert page.locator("#panel h2").inner_text().startswith("chat")

    def test_errors_are_found_forwards_and_backwards(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['research']}")
        page.keyboard.press("e")
        page.wait_for_selector("#panel .error")
        assert page.locator("#panel h2").inner_text().startswith("lookup_ticket_history")
        page.keyboard.press("Shift+E")
        assert page.locator("tr[aria-current]").inner_text().startswith("lookup_ticket_history")

    def test_folding_takes_away_one_level_and_gives_it_back(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['research']}")
        rows = page.locator("[data-depth]:visible")
        everything = rows.count()
        page.keyboard.press("[")
        assert rows.count() == 11
        page.keyboard.press("[")
        assert rows.count() == 1
        page.keyboard.press("]")
        page.keyboard.press("]")
        assert rows.count() == everything

    def test_keys_are_letters_again_while_one_writes(self, page: Page) -> None:
        page.goto("/")
        page.keyboard.press("/")
        page.keyboard.type("je?")
        assert page.locator("#q").input_value() == "je?"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.id") != "q"

    def test_help_opens_takes_the_focus_and_closes(self, page: Page) -> None:
        page.goto("/")
        page.keyboard.press("?")
        page.wait_for_selector("#help[open] kbd")
        assert page.evaluate("document.activeElement.closest('dialog') !== null")
        page.keyboard.press("Escape")
        assert page.locator("#help[open]").count() == 0

    def test_y_copies_the_command_for_what_is_shown(self, page: Page, seeded_path) -> None:
        page.goto("/?status=failed&workflow=support")
        page.keyboard.press("y")
        expect(page.locator("#said")).to_have_text("command copied")
        assert page.evaluate("navigator.clipboard.readText()") == "playhead ls --failed --workflow support"

    def test_two_marks_compare_two_traces(self, page: Page) -> None:
        page.goto("/?status=failed")
        for key in ("j", "c", "j", "c"):
            page.keyboard.press(key)
        page.wait_for_url("**/diff/**")
        assert page.locator(".lead").inner_text().startswith("First difference")

    def test_j_and_k_walk_the_filtered_list_with_the_trace_open(self, page: Page, seeded_path) -> None:
        with open_store(seeded_path[0]) as store:
            failed = [one.trace_id for one in store.traces(Filter(statuses=("failed",)), limit=2)]
        page.goto("/?status=failed")
        page.locator("[data-rows] a.row").first.click()
        page.wait_for_url(f"**/t/{failed[0]}*")
        page.keyboard.press("j")
        page.wait_for_url(f"**/t/{failed[1]}*")
        page.keyboard.press("k")
        page.wait_for_url(f"**/t/{failed[0]}*")


class TestTheList:
    def test_x_selects_and_shift_x_all_up_to_it(self, page: Page) -> None:
        page.goto("/?status=completed")
        expect(page.locator(".picked")).to_be_hidden()
        for key in ("j", "j", "x"):
            page.keyboard.press(key)
        expect(page.locator("#count")).to_have_text("1 selected")
        for key in ("j", "j", "Shift+X"):
            page.keyboard.press(key)
        expect(page.locator("#count")).to_have_text("3 selected")
        assert page.locator("[data-rows] tr", has=page.locator(":checked")).count() == 3
        page.locator(".picked button", has_text="Compare").click()
        page.wait_for_url("**/compare?**")
        assert page.locator(".beside thead th").count() == 4
        page.go_back()
        expect(page.locator("#count")).to_have_text("3 selected")

    def test_the_full_stop_leads_to_the_newest_under_the_same_filter(self, page: Page) -> None:
        page.goto("/?status=completed")
        page.locator("a[rel=next]").click()
        page.wait_for_url("**before**")
        page.keyboard.press(".")
        page.wait_for_url("**/?status=completed")

    def test_a_menu_opens_alone_and_escape_closes_it(self, page: Page) -> None:
        page.goto("/")
        page.locator(".facets summary", has_text="workflow").click()
        page.locator(".facets summary", has_text="model").click()
        assert page.locator(".facets details[open]").count() == 1
        page.keyboard.press("Escape")
        assert page.locator(".facets details[open]").count() == 0
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"

    def test_a_running_trace_grows_where_it_stands_and_newer_ones_are_only_counted(self, page: Page, tmp_path) -> None:
        ended = Story("desk", input="old").finish()
        running = Story("desk", input="first", at_ns=ended.now_ns + 10**9)
        with open_store(tmp_path / "live.db", alive=lambda owner: owner == "alive") as store:
            store.apply(ended.events, owner="alive")
            store.apply(running.events, owner="alive")
            with serving(create_app(store)) as address:
                page.goto(address)
                page.keyboard.press("j")
                page.keyboard.press("x")
                row = page.locator("[data-rows] tr.open")
                expect(row).to_have_count(1)
                at = row.bounding_box()
                running.step("draft", "x")
                running.finish(error=ValueError("no"))
                store.apply(running.events, owner="alive")
                newer = Story("desk", input="newer", at_ns=running.now_ns + 10**9).finish()
                store.apply(newer.events, owner="alive")
                failed = page.locator("[data-rows] tr.failed")
                expect(failed).to_contain_text("desk · ValueError: no")
                expect(page.locator("#newer")).to_have_text("show 1 newer")
                assert failed.bounding_box() == at
                assert failed.locator(":checked").count() == 1
                assert page.locator("[data-rows] tr").count() == 2
                page.keyboard.press(".")
                expect(page.locator("[data-rows] tr")).to_have_count(3)
                page.goto("about:blank")


class TestPanel:
    def test_a_click_swaps_the_panel_without_loading_the_page(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['garbled']}")
        page.evaluate("window.stayed = true")
        page.locator("[data-steps] a", has_text="chat").click()
        page.wait_for_selector("#panel .turn.user")
        assert page.evaluate("window.stayed")

    def test_copy_takes_the_whole_value(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['garbled']}")
        page.locator(".payload button", has_text="copy").first.click()
        expect(page.locator("#said")).to_have_text("copied")
        assert '"credit": "12.50"' in page.evaluate("navigator.clipboard.readText()")


class TestTheWalk:
    def test_right_and_left_follow_the_run_with_the_playhead_and_the_address(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['limited']}?step=support")
        heads = []
        for number in range(2, 5):
            page.keyboard.press("ArrowRight")
            expect(page.locator(".walk .where")).to_contain_text(f"step {number} of 6")
            heads.append(page.locator(".playhead line").get_attribute("x1"))
            row = page.locator("tr[aria-current] rect").first.get_attribute("x")
            assert heads[-1] == row
        assert len(set(heads)) > 1
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".walk .where")).to_contain_text("step 3 of 6")
        address, chosen = page.url, page.locator("#panel h2").inner_text()
        page.reload()
        assert (page.url, page.locator("#panel h2").inner_text()) == (address, chosen)

    def test_it_opens_a_fold_only_as_far_as_one_looks(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['routed']}?step=triage/index")
        rows = page.locator("[data-steps] tr")
        before = rows.count()
        page.keyboard.press("e")
        page.wait_for_selector("#panel .error")
        assert page.locator("tr[aria-current]").inner_text().startswith("embed")
        assert rows.count() == before + 2, "the fold parts into what comes before and after"

    def test_a_fold_opens_and_closes_without_loading_the_page_and_keeps_what_is_chosen(self, page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['routed']}?step=triage/ask")
        page.evaluate("window.stayed = true")
        rows = page.locator("[data-steps] tr")
        before = rows.count()
        page.locator("a.run").click()
        expect(page.locator("a.run")).to_have_attribute("aria-expanded", "true")
        assert rows.count() == before + 200
        assert page.locator("#panel h2").inner_text().startswith("ask")
        page.locator("a.run").click()
        expect(rows).to_have_count(before)
        assert page.evaluate("window.stayed")

    def test_the_map_leads_to_the_moment_one_points_at(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['routed']}")
        box = page.locator(".map svg").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + 10)
        expect(page.locator("#panel h2")).to_contain_text("chat")

    def test_the_panel_keeps_its_place_from_step_to_step(self, page: Page, seeded_path) -> None:
        page.set_viewport_size({"width": 1440, "height": 500})
        page.goto(f"/t/{seeded_path[1]['limited']}?step=support/draft/chat")
        page.locator("summary", has_text="Details").click()
        page.evaluate("document.querySelector('#panel').scrollTop = 120")
        before = page.locator(".walk .where").inner_text()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".walk .where")).not_to_have_text(before)
        expect(page.locator("details.particulars")).to_have_attribute("open", "")
        assert page.evaluate("document.querySelector('#panel').scrollTop") == 120

    def test_a_note_is_written_and_shown_where_one_was(self, page: Page, recorded) -> None:
        with serving(create_app(recorded["url"])) as address:
            page.goto(f"{address}/t/{recorded['fine']}?step=desk/classify")
            page.locator("summary", has_text="Add a score").click()
            page.select_option("select[name=kind]", "score")
            page.fill("input[name=name]", "correct")
            page.fill("input[name=text]", "no")
            page.locator("form.note button").click()
            expect(page.locator(".notes li")).to_contain_text("correct no")
            assert page.locator("#panel h2").inner_text().startswith("classify")
            page.locator(".notes li button").click()
            expect(page.locator(".notes li")).to_have_count(0)


class TestTheReplayForm:
    def test_its_command_follows_what_is_chosen_and_a_run_lands_on_the_comparison(self, page: Page, recorded) -> None:
        with serving(create_app(recorded["url"])) as address:
            page.goto(f"{address}/t/{recorded['fine']}/replay")
            page.select_option('select[name="do:desk/classify"]', "live")
            expect(page.locator("#command")).to_have_text(f"playhead replay {recorded['fine']} --live classify")
            # Listens after the page's own listener, and keeps what the button said when the form left.
            page.evaluate(
                "document.querySelector('form.plan').addEventListener('submit', (event) => "
                "sessionStorage.setItem('said', event.submitter.textContent))"
            )
            page.locator("button[value=run]").click()
            page.wait_for_url("**/diff/**")
            assert page.evaluate("sessionStorage.getItem('said')") == "Starting…"
            assert page.locator(".lead").inner_text() == "The replay gave the same as the record."
            page.go_back()
            assert page.locator("button[value=run]").inner_text() == "Run the replay"


class TestLooks:
    @pytest.mark.parametrize("width", [400, 768, 1000, 1260])
    def test_a_narrow_list_shows_how_when_what_and_why(self, page: Page, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/?status=failed&q=card")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        row = page.locator("[data-rows] tr.failed").first
        for part in (".st", ".c-when", "a.row", ".say mark", ".why", ".time", "td.c-cost"):
            box = row.locator(part).first.bounding_box()
            assert box is not None, part
            assert box["x"] + box["width"] <= width, part
        assert row.locator(".say").bounding_box()["width"] >= 120

    @pytest.mark.parametrize("width", [1280, 1440])
    def test_nothing_sticks_out_sideways_and_figures_are_never_cut(self, page: Page, seeded_path, width: int) -> None:
        ids = seeded_path[1]
        page.set_viewport_size({"width": width, "height": 900})
        views = [f"/t/{ids['routed']}?view={view}" for view in ("tree", "conversation", "graph", "events", "json")]
        routed = f"/t/{ids['routed']}?step=triage/ask"
        for path in (
            *views,
            routed,
            "/",
            f"/t/{ids['research']}",
            f"/t/{ids['garbled']}",
            f"/diff/{ids['garbled']}/{ids['replay']}",
        ):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            cut = page.eval_on_selector_all(
                "td.n, .st", "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).length"
            )
            assert cut == 0, path

    def test_a_trace_fits_a_narrow_screen(self, page: Page, seeded_path) -> None:
        ids = seeded_path[1]
        page.set_viewport_size({"width": 400, "height": 800})
        for view in ("timeline", "tree", "conversation", "graph", "events", "json"):
            for path in (f"/t/{ids['routed']}?step=triage/ask", f"/t/{ids['limited']}?step=support/draft/chat"):
                page.goto(f"{path}&view={view}")
                assert page.evaluate("document.documentElement.scrollWidth") <= 400, (path, view)

    def test_bars_lie_in_their_rows(self, page: Page, seeded_path) -> None:
        page.goto(f"/t/{seeded_path[1]['limited']}")
        script = """rows => rows.map(row => {
            const bar = row.querySelector('rect').getBoundingClientRect(), box = row.getBoundingClientRect();
            return Math.round(bar.top - box.top) + ' ' + Math.round(bar.height);
        })"""
        assert set(page.eval_on_selector_all("[data-depth]", script)) == {"8 8"}

    def test_twenty_six_rows_are_seen_at_once(self, page: Page) -> None:
        page.goto("/")
        script = "all => all.filter(row => row.getBoundingClientRect().bottom <= innerHeight).length"
        assert page.eval_on_selector_all("[data-rows] tr", script) >= 26
        assert page.locator("[data-rows] tr").nth(5).bounding_box()["height"] == 28

    def test_dark_follows_the_system_until_one_chooses(self, browser: Browser, site: str) -> None:
        context = browser.new_context(color_scheme="dark", base_url=site)
        opened = context.new_page()
        ground = "getComputedStyle(document.body).backgroundColor"
        opened.goto("/")
        assert opened.evaluate(ground) == "rgb(20, 23, 27)"
        opened.goto("/theme?to=light&back=/")
        assert opened.evaluate(ground) == "rgb(255, 255, 255)"
        context.close()

    def test_focus_is_seen_wherever_it_is(self, page: Page) -> None:
        page.goto("/")
        for _ in range(12):
            page.keyboard.press("Tab")
            outline = "p => getComputedStyle(document.activeElement, p).outlineStyle === 'solid'"
            outlined = page.evaluate(f"['', '::after'].some({outline})")
            assert outlined, page.evaluate("document.activeElement.outerHTML")


class TestWithoutScript:
    def test_the_whole_journey_works(self, browser: Browser, site: str, seeded_path) -> None:
        context = browser.new_context(java_script_enabled=False, base_url=site)
        opened = context.new_page()
        opened.goto("/")
        opened.locator(".chips a", has_text="failed").click()
        opened.locator("#q").fill("verloren")
        opened.locator("form[role=search] button").click()
        assert "status=failed" in opened.url
        opened.locator("[data-rows] a.row").first.click()
        assert opened.locator("#panel .error h3").inner_text().startswith("JSONDecodeError")
        opened.locator("[data-steps] a", has_text="chat").click()
        opened.locator(".turn.system summary").click()
        assert "Never invent a label." in opened.locator(".turn.system").inner_text()
        opened.locator(".strip summary").click()
        opened.locator(".menu li a").click()
        opened.locator(".strip a", has_text="Compare").click()
        assert "First difference: classify" in opened.locator(".lead").inner_text()
        opened.go_back()
        opened.locator(".strip a.button", has_text="Replay").click()
        opened.locator("summary", has_text="edit output").first.click()
        opened.locator("textarea").first.fill('"another"')
        opened.locator("button", has_text="Preview").click()
        assert "--edit clean='\"another\"'" in opened.locator("#command").inner_text().replace("'clean=", "clean='")
        context.close()

    def test_traces_are_selected_compared_and_deleted(self, browser: Browser, tmp_path) -> None:
        stories = [Story("desk", input=f"ticket {number}").finish() for number in range(4)]
        with open_store(tmp_path / "some.db") as store:
            for story in stories:
                store.apply(story.events, owner="me")
            with serving(create_app(store)) as address:
                context = browser.new_context(java_script_enabled=False, base_url=address)
                opened = context.new_page()
                opened.goto("/")
                for number in range(3):
                    opened.locator(".pick input").nth(number).check()
                opened.locator(".picked button", has_text="Compare").click()
                assert opened.locator(".beside thead th").count() == 4
                opened.goto("/?workflow=desk")
                opened.locator(".saved summary").click()
                opened.locator(".saved input[name=name]").fill("the desk")
                opened.locator(".saved button", has_text="Save").click()
                assert opened.locator(".saved a[aria-current]").inner_text() == "the desk"
                opened.locator(".pick input").first.check()
                opened.locator(".picked button", has_text="Delete").click()
                opened.locator("button.danger").click()
                assert opened.locator("h1").inner_text() == "1 trace deleted"
                context.close()
            assert len(store.traces()) == 3

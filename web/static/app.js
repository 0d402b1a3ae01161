// Everything works without this file. It adds keys (one table in keys.js), swaps the step panel without a page load,
// copies text, and remembers where one was in the list.
import { bind } from "./keys.js";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
document.documentElement.classList.add("scripted");

const say = (text) => {
  $("#said").textContent = text;
};
const go = (href) => {
  if (href) location.assign(href);
};

async function copy(text, what = "copied") {
  await navigator.clipboard.writeText(text);
  say(what);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-url]");
  if (!button) return;
  const source = button.dataset.copy;
  const text = source ? $(source).textContent : await (await fetch(button.dataset.copyUrl)).text();
  await copy(text);
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => (button.textContent = before), 1200);
});

// Rows: one tab stop; arrows move it.
const rows = () => $$("[data-rows] > tr:not(.kin), [data-steps] > tr").filter((row) => !row.hidden && $("a", row));
const linkOf = (row) => row && ($("a.row", row) || $("a[data-step]", row) || $("a", row));
const idOf = (row) => (row && $(".pick input", row)?.value) || "";
const current = () => rows().find((row) => row.classList.contains("here")) || $("tr[aria-current]");

function settle() {
  const all = rows();
  const chosen = current() || all[0];
  for (const row of all) {
    const link = linkOf(row);
    if (link) link.tabIndex = row === chosen ? 0 : -1;
    for (const other of $$(".pick input, .tag", row)) other.tabIndex = -1;
  }
}

function moveTo(row, { focus = true } = {}) {
  if (!row) return;
  for (const other of $$("tr.here")) other.classList.remove("here");
  row.classList.add("here");
  settle();
  if (focus) linkOf(row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  if ($("[data-steps]") && linkOf(row).matches("[data-step]")) choose(linkOf(row));
}

function move(by) {
  const all = rows();
  const at = all.indexOf(current());
  moveTo(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]);
}

// The step panel: fetch only its block, and the steps' too where the step is not among the rows. Both keep their place:
// how far one had scrolled, and what one had opened.
const stepOf = (href) => new URL(href, location.href).searchParams.get("step");
const rowOf = (step) => rows().find((row) => row.querySelector("a[data-step]") && stepOf(linkOf(row).href) === step);
let asked = 0;

async function swap(url, name) {
  const turn = ++asked;
  const response = await fetch(url, { headers: { "X-Fragment": name } });
  if (!response.ok) return go(url);
  const html = await response.text();
  if (turn !== asked) return;
  const open = $$("#panel details[open][data-keep]").map((one) => one.dataset.keep);
  const tops = [$(".tree").scrollTop, $("#panel").scrollTop];
  $(`#${name}`).innerHTML = html;
  for (const one of $$("#panel details[data-keep]")) one.open ||= open.includes(one.dataset.keep);
  [$(".tree").scrollTop, $("#panel").scrollTop] = tops;
  history.replaceState(null, "", url);
  return true;
}

async function choose(link) {
  const url = new URL(link.href, location.href);
  const step = url.searchParams.get("step");
  if (!(await swap(url, rowOf(step) ? "panel" : "panes"))) return;
  for (const row of rows()) {
    row.classList.remove("here");
    row === rowOf(step) ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current");
  }
  for (const tab of $$(".views a")) {
    const other = new URL(tab.href);
    other.searchParams.set("step", step);
    tab.href = other;
  }
  const x = $("rect", rowOf(step))?.getAttribute("x");
  if (x) for (const end of ["x1", "x2"]) $(".playhead line")?.setAttribute(end, x);
  if (x) $(".map .at")?.setAttribute("d", `M${parseFloat(x) * 10} 0v44`);
  rowOf(step)?.scrollIntoView({ block: "nearest" });
  settle();
  say(`${$("#panel h2")?.textContent.trim().replace(/\s+/g, " ") || "step"} shown`);
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-step], a[data-fold]");
  if (!link || !$("#panel") || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const href = link.href.baseVal ?? link.href;
  if (link.matches("[data-step]")) return choose({ href });
  const url = new URL(href);
  url.searchParams.set("step", stepOf(location.href) || url.searchParams.get("step"));
  if (!(await swap(url, "panes"))) return;
  settle();
  say(`showing ${rows().length} rows`);
});

// To the step that began before or after this one; to the failure before or after.
function walk(way) {
  const link = $(`[data-walk=${way}]`);
  link ? choose(link) : say(way.startsWith("error") ? "nothing else failed here" : "there is no step further on");
}

// Folding: a row is hidden when it lies deeper than the level shown.
let level = Infinity;
function fold(by) {
  const depths = $$("[data-depth]").map((row) => +row.dataset.depth);
  if (!depths.length) return;
  const deepest = Math.max(...depths);
  level = Math.min(deepest, Math.max(0, Math.min(level, deepest) + by));
  for (const row of $$("[data-depth]")) row.hidden = +row.dataset.depth > level;
  settle();
  say(`showing ${level + 1} levels`);
}

const commandOf = () => $(".step")?.dataset.command || $("#command")?.textContent || document.body.dataset.command;

function compare() {
  if (document.body.dataset.compare) return go(document.body.dataset.compare);
  const id = idOf(current());
  if (!id) return say("choose a trace first");
  const marked = sessionStorage.getItem("compare");
  if (marked && marked !== id) {
    sessionStorage.removeItem("compare");
    return go(`/diff/${marked}/${id}`);
  }
  sessionStorage.setItem("compare", id);
  mark();
  say("marked; press c on the other one");
}

function mark() {
  const id = sessionStorage.getItem("compare");
  for (const row of rows()) row.classList.toggle("marked", Boolean(id) && idOf(row) === id);
}

// Selecting rows: x, shift-x or shift-click for all up to here; the bar at the bottom says what one can do with them.
const picks = () => $$(".pick input");
let lastPick = null;
function picked() {
  const some = picks().filter((box) => box.checked).length;
  $("#picked")?.classList.toggle("some", some > 0);
  if (some) $("#count").textContent = `${some} selected`;
  if (some) say($("#count").textContent);
}
function pickUpTo(box) {
  const all = picks();
  const [from, to] = [all.indexOf(lastPick), all.indexOf(box)].sort((a, b) => a - b);
  for (const each of all.slice(Math.max(0, from), to + 1)) each.checked = box.checked;
}
function pick(upTo = false) {
  const row = current() || rows()[0];
  const box = row && $(".pick input", row);
  if (!box) return;
  if (!row.classList.contains("here")) moveTo(row);
  box.checked = upTo || !box.checked;
  if (upTo && lastPick) pickUpTo(box);
  lastPick = box;
  picked();
}
document.addEventListener("click", (event) => {
  const box = event.target.closest(".pick input");
  if (!box) return;
  if (event.shiftKey && lastPick) pickUpTo(box);
  lastPick = box;
  picked();
});
$("#picked")?.addEventListener("reset", () => setTimeout(picked));

// What came since: rows that ran change where they stand, newer ones are only counted. Nothing moves.
const list = $("tbody[data-query]");
let heard = null;
function listen() {
  heard?.close();
  heard = null;
  if (!list || document.hidden) return;
  const open = $$("tr.open", list).map(idOf);
  if (!list.dataset.newest && !open.length) return;
  const asked = new URLSearchParams({ in: list.dataset.query, after: list.dataset.newest, open });
  heard = new EventSource(`/live?${asked}`);
  heard.onmessage = (event) => hear(JSON.parse(event.data));
}
let news = "";
async function hear(told) {
  const words = told.new ? `${told.new > 100 ? "more than 100" : told.new} newer` : "";
  if (words !== news) {
    news = words;
    $("#newer").textContent = words ? `show ${words}` : "look for newer";
    $("#newer").classList.toggle("fresh", Boolean(words));
    say(words);
  }
  if (!told.changed.length) return;
  const asked = new URLSearchParams({ in: list.dataset.query, slowest: list.dataset.slowest });
  for (const id of told.changed) asked.append("t", id);
  const response = await fetch(`/rows?${asked}`);
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const now of $$("tr:not(.kin)", fresh)) {
    const row = rows().find((each) => idOf(each) === idOf(now));
    if (!row) continue;
    const focused = row.contains(document.activeElement);
    for (const name of ["failed", "open"]) row.classList.toggle(name, now.classList.contains(name));
    now.cells[0].replaceWith(row.cells[0]);
    row.replaceChildren(...now.cells);
    settle();
    if (focused) linkOf(row).focus({ preventScroll: true });
  }
}
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => heard?.close());
addEventListener("pageshow", () => (listen(), picked()));
// A menu closes when one goes on elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of $$(".facets details[open]")) if (!menu.contains(event.target)) menu.open = false;
});

async function help() {
  const dialog = $("#help");
  if (dialog.open) return dialog.close();
  if (!dialog.childElementCount) {
    dialog.innerHTML = await (await fetch("/about", { headers: { "X-Fragment": "keys" } })).text();
  }
  dialog.showModal();
}

function search() {
  const box = $("#q");
  box ? (box.focus(), box.select()) : go("/#q");
}

function leave() {
  if ($("#help").open) return $("#help").close();
  const menu = $(".facets details[open], .saved details[open]");
  if (menu) return (menu.open = false), $("summary", menu).focus();
  if (document.activeElement?.matches("input, textarea, select")) return document.activeElement.blur();
  const link = linkOf(current());
  if (link) link.focus();
}

function open() {
  if ($("[data-steps]")) return $("#panel").focus();
  const row = current() || rows()[0];
  if (row) go(linkOf(row).href);
}

// The texts of the step, opened at the first that can be copied; once more closes them.
function copies() {
  const all = $("#copies");
  if (!all) return say("choose a step first");
  all.open = !all.open;
  (all.open && $("button", all) ? $("button", all) : $("summary", all)).focus();
}

const inTrace = () => Boolean($("[data-steps]"));
const sibling = (rel) => go($(`link[rel=${rel}]`)?.href);
const failed = () => $$("[data-rows] > tr.failed");

bind({
  down: () => move(1),
  up: () => move(-1),
  next: () => (inTrace() ? sibling("next") : move(1)),
  previous: () => (inTrace() ? sibling("prev") : move(-1)),
  later: () => inTrace() && walk("later"),
  earlier: () => inTrace() && walk("earlier"),
  open,
  error: () => (inTrace() ? walk("error") : failed().length ? go(linkOf(failed()[0]).href) : say("nothing failed here")),
  errorBack: () => (inTrace() ? walk("errorBack") : failed().length ? go(linkOf(failed().at(-1)).href) : say("nothing failed here")),
  fold: () => fold(-1),
  unfold: () => fold(1),
  search,
  compare,
  pick: () => pick(),
  pickTo: () => pick(true),
  newest: () => go($("#newer")?.href || "/"),
  replay: () => go($(".step")?.dataset.replay || document.body.dataset.replay || (idOf(current()) && `/t/${idOf(current())}/replay`)),
  copies,
  copyCommand: () => copy(commandOf(), "command copied"),
  help,
  leave,
  traces: () => go("/"),
  overview: () => go("/overview"),
  models: () => go("/models"),
  steps: () => go("/steps"),
  about: () => go("/about"),
});

$("[data-help]")?.addEventListener("click", (event) => {
  event.preventDefault();
  help();
});

settle();
mark();
$("tr[aria-current]")?.scrollIntoView({ block: "nearest" });
if (location.hash === "#q") search();

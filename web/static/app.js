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
const rows = () => $$("[data-rows] > tr, [data-steps] > tr").filter((row) => !row.hidden && $("a", row));
const linkOf = (row) => row && ($("a.row", row) || $("a[data-step]", row) || $("a", row));
const current = () => rows().find((row) => row.classList.contains("here")) || $("tr[aria-current]");

function settle() {
  const all = rows();
  const chosen = current() || all[0];
  for (const row of all) {
    const link = linkOf(row);
    if (link) link.tabIndex = row === chosen ? 0 : -1;
  }
}

function moveTo(row, { focus = true } = {}) {
  if (!row) return;
  for (const other of $$("tr.here")) other.classList.remove("here");
  row.classList.add("here");
  settle();
  if (focus) linkOf(row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
  if ($("[data-steps]")) choose(linkOf(row), { focusPanel: false });
}

function move(by) {
  const all = rows();
  const at = all.indexOf(current());
  moveTo(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]);
}

function moveToFailed(by) {
  const all = rows();
  const failed = all.filter((row) => row.classList.contains("failed"));
  if (!failed.length) return say("nothing failed here");
  const at = all.indexOf(current());
  const next = by > 0 ? failed.find((row) => all.indexOf(row) > at) : failed.findLast((row) => all.indexOf(row) < at);
  moveTo(next || (by > 0 ? failed[0] : failed.at(-1)));
}

// The step panel: fetch only its block, keep history and focus right.
let asked = 0;
async function choose(link, { push = true, focusPanel = false } = {}) {
  const url = new URL(link.href, location.href);
  const turn = ++asked;
  const response = await fetch(url, { headers: { "X-Fragment": "panel" } });
  if (!response.ok) return go(url);
  const html = await response.text();
  if (turn !== asked) return;
  const panel = $("#panel");
  panel.innerHTML = html;
  panel.scrollTop = 0;
  const step = url.searchParams.get("step");
  for (const row of rows()) {
    const mine = new URL(linkOf(row).href, location.href).searchParams.get("step") === step;
    row.classList.remove("here");
    mine ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current");
  }
  settle();
  if (push) history.replaceState(null, "", url);
  if (focusPanel) panel.focus();
  say(`${$("h2", panel)?.textContent.trim().replace(/\s+/g, " ") || "step"} shown`);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-step]");
  if (!link || !$("#panel") || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  choose(link);
});

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

// The replay form: the command below it follows what is chosen, and a replay that runs says so.
const plan = $("form.plan");
let told = 0;
plan?.addEventListener("change", async () => {
  const turn = ++told;
  const fields = new URLSearchParams(new FormData(plan));
  fields.set("then", "command");
  const response = await fetch(plan.action, { method: "POST", body: fields });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (turn === told && response.ok) $("#command").textContent = $("#command", page).textContent;
});
plan?.addEventListener("submit", (event) => {
  if (event.submitter?.value !== "run") return;
  if (plan.ariaBusy === "true") return event.preventDefault();
  plan.ariaBusy = "true";
  event.submitter.textContent = "Running…";
  say("the replay runs");
});
// Back from the comparison, the browser shows the form as it was left.
addEventListener("pageshow", () => {
  if (plan?.ariaBusy !== "true") return;
  plan.ariaBusy = "false";
  $("button[value=run]", plan).textContent = "Run the replay";
});

const commandOf = () => $(".step")?.dataset.command || $("#command")?.textContent || document.body.dataset.command;

function compare() {
  if (document.body.dataset.compare) return go(document.body.dataset.compare);
  const id = current()?.dataset.id;
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
  for (const row of $$("tr[data-id]")) row.classList.toggle("marked", row.dataset.id === id);
}

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
  if (document.activeElement?.matches("input, textarea, select")) return document.activeElement.blur();
  const link = linkOf(current());
  if (link) link.focus();
}

function open() {
  if ($("[data-steps]")) return $("#panel").focus();
  const row = current() || rows()[0];
  if (row) go(linkOf(row).href);
}

const inTrace = () => Boolean($("[data-steps]"));
const sibling = (rel) => go($(`link[rel=${rel}]`)?.href);
const failed = () => $$("[data-rows] > tr.failed");

bind({
  down: () => move(1),
  up: () => move(-1),
  next: () => (inTrace() ? sibling("next") : move(1)),
  previous: () => (inTrace() ? sibling("prev") : move(-1)),
  open,
  error: () => (inTrace() ? moveToFailed(1) : failed().length ? go(linkOf(failed()[0]).href) : say("nothing failed here")),
  errorBack: () => (inTrace() ? moveToFailed(-1) : failed().length ? go(linkOf(failed().at(-1)).href) : say("nothing failed here")),
  fold: () => fold(-1),
  unfold: () => fold(1),
  search,
  compare,
  replay: () => go($(".step")?.dataset.replay || document.body.dataset.replay || (current()?.dataset.id && `/t/${current().dataset.id}/replay`)),
  copyCommand: () => copy(commandOf(), "command copied"),
  help,
  leave,
  traces: () => go("/"),
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

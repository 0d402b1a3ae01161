// The replay form: what the plan would do follows what is entered, without losing one's place; a run that begins says so.
const plan = document.querySelector("form.plan");
const $ = (selector, root = document) => root.querySelector(selector);
let asked = 0;

async function ask(then) {
  const fields = new URLSearchParams(new FormData(plan));
  fields.set("then", then);
  const response = await fetch(plan.action, { method: "POST", body: fields });
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

async function preview() {
  const turn = ++asked;
  $("#preview").ariaBusy = "true";
  const soon = await ask("command");
  if (turn !== asked) return;
  if ($("#command", soon)) $("#command").textContent = $("#command", soon).textContent;
  const page = await ask("check");
  if (turn !== asked || !$("#preview", page)) return;
  for (const id of ["#preview", "#trouble", "#command"]) $(id).replaceChildren(...$(id, page).childNodes);
  for (const row of plan.querySelectorAll("tbody tr")) {
    const now = page.getElementById(row.id);
    if (!now) continue;
    for (const part of ["[data-fate]", "[data-said]"]) $(part, row).replaceChildren(...$(part, now).childNodes);
    $("summary", row).textContent = $("summary", now).textContent;
    row.className = now.className;
  }
  $("#preview").ariaBusy = "false";
}

plan?.addEventListener("change", preview);
plan?.addEventListener("submit", (event) => {
  if (event.submitter?.value === "check") return event.preventDefault(), preview();
  if (plan.ariaBusy === "true") return event.preventDefault();
  plan.ariaBusy = "true";
  event.submitter.textContent = "Starting…";
  $("#said").textContent = "the replay starts";
});
// Back from the comparison, the browser shows the form as it was left.
addEventListener("pageshow", () => {
  if (plan?.ariaBusy !== "true") return;
  plan.ariaBusy = "false";
  $("button[value=run]", plan).textContent = "Run the replay";
});

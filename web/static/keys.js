// One table of keys. A test holds it together with the help that /about shows.
export const KEYS = {
  j: "next",
  k: "previous",
  ArrowDown: "down",
  ArrowUp: "up",
  ArrowRight: "later",
  ArrowLeft: "earlier",
  Enter: "open",
  o: "open",
  e: "error",
  E: "errorBack",
  "[": "fold",
  "]": "unfold",
  "/": "search",
  c: "compare",
  x: "pick",
  X: "pickTo",
  ".": "newest",
  r: "replay",
  y: "copyCommand",
  Y: "copies",
  "?": "help",
  Escape: "leave",
  "g t": "traces",
  "g o": "overview",
  "g m": "models",
  "g s": "steps",
  "g a": "about",
};

const WAIT_MS = 900;

/** Call the action of a key, unless the reader is typing or a modifier is held. `g` waits for a second key. */
export function bind(actions) {
  let prefix = "";
  let timer = 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    if (document.querySelector("dialog[open]") && !["?", "Escape"].includes(event.key)) return;
    // Arrows in what scrolls move it.
    if (event.key.startsWith("Arrow") && event.target.matches('[tabindex="0"]:is([role=group], [role=region], .message)')) return;
    // Enter on a link or a button stays what it is.
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const name = KEYS[prefix + event.key];
    clearTimeout(timer);
    if (!name && event.key === "g") {
      prefix = "g ";
      timer = setTimeout(() => (prefix = ""), WAIT_MS);
      return;
    }
    prefix = "";
    if (!name) return;
    event.preventDefault();
    actions[name]();
  });
}

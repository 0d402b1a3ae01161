// The slider moves the marker while it is dragged, and shows what its threshold comes to when it is let go.
const slider = document.querySelector("#slide input[type=range]");
const cursor = document.querySelector("#cursor");

if (slider) {
  const { left, right } = cursor.dataset;
  let asked = 0;
  slider.form.querySelector("button").hidden = true;
  slider.addEventListener("input", () => {
    const x = Number(left) + ((right - left) * slider.value) / (slider.max || 1);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  });
  slider.addEventListener("change", async () => {
    const mine = ++asked;
    const href = `/thresholds?${new URLSearchParams(new FormData(slider.form))}`;
    const answer = await fetch(href, { headers: { "x-fragment": "at" } });
    const text = await answer.text();
    if (!answer.ok || mine !== asked) return;
    document.querySelector("#at").outerHTML = text.trim();
    history.replaceState(null, "", href);
  });
}

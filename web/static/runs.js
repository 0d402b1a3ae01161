// A run under way: each word of it brings the part of the page that shows it; once it is over, the page is loaded anew,
// which leads to what came of it.
const part = document.querySelector("#progress[data-live]");
const heard = part && new EventSource(part.dataset.live);
if (heard) {
  heard.onmessage = async (event) => {
    const { state } = JSON.parse(event.data);
    if (state === "done" || state === "cancelled") {
      heard.close();
      return location.replace(location.href.split("#")[0]);
    }
    const response = await fetch(location.href, { headers: { "X-Fragment": "progress" } });
    if (response.ok && !response.redirected) part.innerHTML = await response.text();
  };
  addEventListener("pagehide", () => heard.close());
}

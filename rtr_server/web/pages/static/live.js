// The overview while it is looked at: replaces the parts of the page that the server sends anew.
"use strict";

(() => {
  const places = [...document.querySelectorAll("[data-live]")];
  const sign = document.getElementById("live");
  const text = document.getElementById("live-text");

  function tell(state, words) {
    sign.hidden = false;
    sign.dataset.state = state;
    if (text.textContent !== words) text.textContent = words;
  }

  // What a person has opened, scrolled or focused stays as it is.
  function put(place, html) {
    if (place.id === "said") {
      if (place.textContent !== html) place.textContent = html;
      return;
    }
    const open = [...place.querySelectorAll("details[open]")].map((each) => each.id);
    const scrolled = [...place.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    const focused = place.contains(document.activeElement)
      ? [...place.querySelectorAll("a, summary, .scroll")].indexOf(document.activeElement)
      : -1;
    place.innerHTML = html;
    for (const id of open) {
      const found = document.getElementById(id);
      if (found) found.open = true;
    }
    place.querySelectorAll(".scroll").forEach((each, number) => {
      each.scrollLeft = scrolled[number] || 0;
    });
    if (focused >= 0) {
      const found = place.querySelectorAll("a, summary, .scroll")[focused];
      if (found) found.focus({ preventScroll: true });
    }
  }

  function follow() {
    const source = new EventSource("/events");
    for (const place of places) {
      source.addEventListener(place.dataset.live, (event) => put(place, event.data));
    }
    source.addEventListener("open", () => tell("on", "live"));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) {
        tell("off", "not live: too many look on, the page tries again in a minute");
        setTimeout(follow, 60000);
      } else {
        tell("off", "connection lost, trying again");
      }
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }

  if (places.length && "EventSource" in window) {
    tell("off", "connecting");
    follow();
  }
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
})();

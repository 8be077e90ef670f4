"use strict";
// Renews what stands on the page, which is whole without this: fetches it again, and puts in what changed.
(() => {
  const EVERY_MS = 3500, PATIENCE_MS = 4000;
  const gone = document.getElementById("gone");
  let timer, last = new Date();
  document.getElementById("still").hidden = true;

  const key = (element) => element.id || element.getAttribute("href");

  function put(now, next) {
    if (now.isEqualNode(next)) return;
    const focused = now.contains(document.activeElement) && key(document.activeElement);
    const fresh = document.importNode(next, true);
    for (const open of now.querySelectorAll("details[id]")) {
      const same = fresh.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = open.open;
    }
    now.replaceWith(fresh);
    if (!focused) return;
    const again = [...fresh.querySelectorAll("a, summary, [tabindex]")].find((each) => key(each) === focused);
    if (again) again.focus({ preventScroll: true });
  }

  async function read() {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error("HTTP status " + answer.status);
    // This page's own policy holds for what is parsed too, and would complain of a style with another nonce.
    const text = (await answer.text()).replace(/<(style|script)[^]*?<\/\1>/g, "");
    return new DOMParser().parseFromString(text, "text/html");
  }

  async function renew() {
    clearTimeout(timer);
    try {
      const next = await read();
      for (const now of document.querySelectorAll("[data-live]")) {
        const same = next.getElementById(now.id);
        if (same) put(now, same);
      }
      document.title = next.title;
      last = new Date();
      gone.hidden = true;
      document.body.classList.remove("gone");
    } catch (error) {
      const why = error.message.startsWith("HTTP") ? " (" + error.message + ")" : "";
      const text = "The exporter has not answered since " + last.toLocaleTimeString() + why +
        ". What stands here is as of then.";
      if (gone.textContent !== text) gone.textContent = text;
      gone.hidden = false;
      document.body.classList.add("gone");
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(renew, EVERY_MS);
  }

  document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : renew());
  plan();
})();

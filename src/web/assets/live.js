// Refreshes the parts of a page that are marked with data-live: it fetches the page again and
// replaces those that differ. Everything else works without it.
"use strict";

const PAUSE = 2000; // ms, between two refreshes
const REST = 20; // a slow refresh is followed by a pause this many times as long
const LIMIT = 8000; // ms, for one refresh
const lost = document.getElementById("lost");

// A part with checked boxes or typed text is not replaced until the form is sent.
function inUse(part) {
  const typing = part.querySelector("input:focus:not([type=checkbox]), select:focus, textarea:focus");
  return typing !== null || part.querySelector("input:checked") !== null;
}

// Finds the element in the new part that had the focus in the old one.
function mark(part) {
  const focused = document.activeElement;
  if (!focused || !part.contains(focused)) return null;
  const all = [...part.querySelectorAll("a, button, input, summary, [tabindex]")];
  return { id: focused.id, href: focused.getAttribute("href"), place: all.indexOf(focused) };
}

function refocus(part, marked) {
  if (!marked) return;
  const all = [...part.querySelectorAll("a, button, input, summary, [tabindex]")];
  const same =
    all.find((one) => marked.id && one.id === marked.id) ||
    all.find((one) => marked.href && one.getAttribute("href") === marked.href) ||
    all[marked.place];
  if (same) same.focus({ preventScroll: true });
}

function exchange(part, fresh) {
  if (part.innerHTML === fresh.innerHTML || inUse(part)) return;
  const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
  const scrolled = [...part.querySelectorAll(".wide")].map((one) => one.scrollLeft);
  for (const one of fresh.querySelectorAll("details")) one.open = open.includes(one.id);
  const marked = mark(part);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".wide").forEach((one, at) => (one.scrollLeft = scrolled[at] || 0));
  refocus(part, marked);
}

async function look() {
  const answer = await fetch(location.href, {
    headers: { "x-live": "1", accept: "text/html" },
    signal: AbortSignal.timeout(LIMIT),
  });
  if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) exchange(part, fresh);
  }
}

async function follow() {
  let took = 0;
  for (;;) {
    await new Promise((done) => setTimeout(done, Math.max(PAUSE, REST * took)));
    if (document.hidden) {
      await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    }
    const began = performance.now();
    try {
      await look();
      took = performance.now() - began;
      lost.hidden = true;
    } catch {
      took = 0;
      lost.hidden = false;
    }
  }
}

if (lost) follow();

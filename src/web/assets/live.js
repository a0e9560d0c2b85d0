// Refreshes the parts of a page that are marked with data-live: it fetches the page again and changes what
// differs, and nothing else. The focus, the selection, checked boxes and open sections stay as they are. All pages
// also work without it.
"use strict";

const PAUSE = 2000; // ms, between two refreshes
const REST = 20; // a slow refresh is followed by a pause this many times as long
const LIMIT = 8000; // ms, for one refresh
const lost = document.getElementById("lost");

// What somebody is typing or choosing, and text that is selected to be copied, is left alone.
function inUse(part) {
  const chosen = document.getSelection();
  const selecting = chosen && !chosen.isCollapsed && chosen.containsNode(part, true);
  return selecting || part.querySelector("input:focus:not([type=checkbox]), select:focus, textarea:focus") !== null;
}

function sameKind(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
}

function takeAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

// Makes a node equal to the fresh one, child by child; elements with an id keep their identity.
function change(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.isEqualNode(fresh)) return;
  takeAttributes(old, fresh);
  const known = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  const wanted = new Set([...fresh.children].map((one) => one.id));
  // The rows of a list in which boxes are checked stay where they are until the form is sent.
  if (old.nodeName === "TBODY" && old.querySelector("input:checked")) {
    for (const one of fresh.children) if (known.has(one.id)) change(known.get(one.id), one);
    return;
  }
  for (const [id, one] of known) if (!wanted.has(id)) one.remove();
  let at = old.firstChild;
  for (const one of [...fresh.childNodes]) {
    const same = (one.id && known.get(one.id)) || (at && sameKind(at, one) ? at : null);
    if (!same || !sameKind(same, one)) {
      old.insertBefore(one, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    change(same, one);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

async function look() {
  const answer = await fetch(location.href, {
    headers: { "x-live": "1", accept: "text/html" },
    signal: AbortSignal.timeout(LIMIT),
  });
  if (answer.redirected && new URL(answer.url).pathname.endsWith("/login")) return location.reload();
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  prepare(page);
  document.title = page.title;
  const [icon, fresh] = [document, page].map((one) => one.querySelector("link[rel=icon]"));
  if (icon && fresh && icon.getAttribute("href") !== fresh.getAttribute("href")) {
    icon.setAttribute("href", fresh.getAttribute("href"));
  }
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh && !inUse(part)) change(part, fresh);
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

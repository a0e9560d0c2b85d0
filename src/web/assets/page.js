// Conveniences: exact times, copy buttons, and boxes that are checked together. Everything that it needs is in
// the page, and whatever it does can also be done without it.
"use strict";

const EXACT = "exact-times"; // in the browser's own storage

function wantsExact() {
  try {
    return localStorage.getItem(EXACT) === "yes";
  } catch {
    return false;
  }
}

function two(number) {
  return String(number).padStart(2, "0");
}

// 2026-11-22 10:00:00, in the reader's time zone.
function local(at) {
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return day + " " + [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
}

// Times in UTC and in the reader's time zone, and the buttons that need this script. Also for a fetched page.
function prepare(page) {
  const exact = wantsExact();
  page.documentElement.classList.toggle("exact", exact);
  for (const time of page.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const utc = time.dateTime.replace("T", " ").replace(/\.\d+Z$|Z$/, "") + " UTC";
    const here = local(at) + " local";
    if (!time.dataset.near) time.dataset.near = time.textContent;
    time.title = utc + ", " + here;
    time.textContent = exact ? utc + " (" + here + ")" : time.dataset.near;
  }
  for (const button of page.querySelectorAll("button[data-copy], button[data-copy-from], #times")) button.hidden = false;
  const times = page.getElementById("times");
  if (times) times.setAttribute("aria-pressed", String(exact));
}

// On a phone, collapsible sections start closed. The width is the same as in the style sheet.
function fold() {
  if (!matchMedia("(max-width: 44rem)").matches) return;
  for (const part of document.querySelectorAll("details.fold")) part.open = false;
}

function switchTimes() {
  try {
    localStorage.setItem(EXACT, wantsExact() ? "no" : "yes");
  } catch {
    return;
  }
  prepare(document);
}

async function copy(button) {
  const from = button.dataset.copyFrom;
  const text = from ? document.getElementById(from).textContent : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https a browser has no clipboard for scripts, only this.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
}

function boxes() {
  return [...document.querySelectorAll("input[type=checkbox][name=id]")];
}

let last = null; // the box that was clicked last

function check(box, withShift) {
  const all = boxes();
  const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((one, other) => one - other);
  if (withShift && from >= 0) for (const one of all.slice(from, to + 1)) one.checked = box.checked;
  last = box;
}

document.addEventListener("click", (event) => {
  const target = event.target;
  const button = target.closest("button[data-copy], button[data-copy-from]");
  if (button) copy(button);
  else if (target.id === "times" || target.closest("time[datetime]")) switchTimes();
  else if (target.id === "check-page") for (const box of boxes()) box.checked = target.checked;
  else if (target.matches("input[type=checkbox][name=id]")) check(target, event.shiftKey);
});

// Without loading the page again, so that what is typed or checked stays.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches(".theme") || !event.submitter) return;
  event.preventDefault();
  const theme = event.submitter.value;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === theme));
  fetch(form.action, { method: "POST", redirect: "manual", body: new URLSearchParams({ theme }) });
});

fold();
prepare(document);

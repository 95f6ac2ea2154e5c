"use strict";
/* Sends what is typed and clicked, and puts changed parts of the page in place. What to show, the server decides. */

const here = document.body.dataset;
const byId = (id) => document.getElementById(id);

/* ---- Acting -------------------------------------------------------------------------------------------------- */

async function act(what, fields = {}, form = null) {
  const body = new URLSearchParams(form ? new FormData(form) : undefined);
  for (const [name, value] of Object.entries({ as: here.as, channel: here.channel, ...fields })) {
    for (const one of [].concat(value ?? [])) body.append(name, one);
  }
  try {
    const response = await fetch(`/act/${what}`, { method: "POST", body, headers: { "X-Sandbox": "1" } });
    if (!response.ok) throw new Error(`${response.status}`);
    const { note } = await response.json();
    if (note) toast(note);
  } catch (error) {
    toast(`That did not reach the sandbox (${error.message}).`);
  }
  refresh();
}

function toast(text) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => toast.classList.remove("shown"), 4000);
}

/* Asks first, where the element says so. */
function confirmed(element) {
  const { confirmTitle, confirmHtml, confirmOk, confirmDeny, confirmStyle } = element.dataset;
  if (!confirmTitle) return Promise.resolve(true);
  const dialog = byId("confirm");
  byId("confirm-title").textContent = confirmTitle;
  byId("confirm-text").innerHTML = confirmHtml; /* made by the server, which escapes whatever is not its own */
  byId("confirm-deny").textContent = confirmDeny;
  byId("confirm-ok").textContent = confirmOk;
  byId("confirm-ok").className = `button ${confirmStyle}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    byId("confirm-ok").onclick = () => dialog.close("ok");
    byId("confirm-deny").onclick = () => dialog.close("");
    dialog.onclose = () => done(dialog.returnValue === "ok");
  });
}

async function press(element, value) {
  if (!(await confirmed(element))) return refresh();
  const { actionId, blockId, view, ts, url = "" } = element.dataset;
  if (/^https?:/i.test(url)) window.open(url, "_blank", "noopener");
  const fields = { action_id: actionId, block_id: blockId, value };
  if (view) await act("click-view", { ...fields, view }, element.closest("form"));
  else await act("click", { ...fields, ts });
  if (url.startsWith("/?")) location.assign(url); /* a message in this workspace */
}

function chosen(element) {
  if (element.matches("fieldset")) return [...element.querySelectorAll(":checked")].map((box) => box.value);
  return element.multiple ? [...element.selectedOptions].map((option) => option.value) : element.value;
}

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-act],[data-copy],[data-use],[data-toggle]");
  if (!element) return closeMenus(event.target);
  const { act: what, copy, use, toggle, ts } = element.dataset;
  if (toggle) document.body.classList.toggle(toggle);
  else if (copy) navigator.clipboard.writeText(copy).then(() => toast("Copied"), () => toast(copy));
  else if (use) fillIn(use);
  else if (what === "click") press(element, element.dataset.value);
  else if (what === "close") closeModal(element.closest("dialog"));
  else if (what === "shortcut") act("shortcut", { ts });
  else if (what !== "choose") act(what);
  closeMenus(element);
});

document.addEventListener("change", (event) => {
  const element = event.target.closest('[data-act="choose"]');
  if (element) press(element, chosen(element));
});

function closeMenus(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target) || target.matches("[data-act]")) menu.open = false;
  }
}

/* ---- Writing ------------------------------------------------------------------------------------------------- */

function fillIn(text) {
  const box = byId("composer-text");
  document.body.classList.remove("show-sift");
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
}

for (const form of document.querySelectorAll("form[data-send]")) {
  const box = form.querySelector("textarea");
  const draft = `draft ${here.as} ${here.channel} ${form.dataset.thread}`;
  const grow = () => {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
    form.classList.toggle("blank", !box.value.trim());
    form.querySelector(".hint").hidden = !box.value.startsWith("/");
    sessionStorage.setItem(draft, box.value);
  };
  box.value = sessionStorage.getItem(draft) ?? "";
  box.addEventListener("input", grow);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = box.value;
    if (!text.trim()) return;
    box.value = "";
    grow();
    act("send", { text, thread: form.dataset.thread });
  });
  grow();
}

/* ---- Modals -------------------------------------------------------------------------------------------------- */

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-submit]");
  if (!form) return;
  event.preventDefault();
  act("submit", { view: form.closest("dialog").dataset.view }, form);
});

function closeModal(dialog) {
  act("close", { view: dialog.dataset.view });
}

let beneath = null; /* what had the focus before the first modal opened */

function showModal() {
  const dialog = document.querySelector("#region-modal dialog");
  if (!dialog && beneath !== null) {
    byId(beneath)?.focus({ preventScroll: true });
    beneath = null;
  }
  if (!dialog || dialog.open) return;
  beneath ??= document.activeElement?.id ?? "";
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    closeModal(dialog);
  });
  dialog.showModal();
  dialog.querySelector(".modal-body :is(input, select, textarea)")?.focus();
}

/* ---- Staying current ----------------------------------------------------------------------------------------- */

const shown = new Map(); /* what the server last gave for each part, by the part's ID */
let refreshing = false;
let again = false;

async function refresh() {
  if (refreshing) return void (again = true);
  refreshing = true;
  try {
    const response = await fetch(`/regions${location.search}`);
    if (response.ok) place(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    /* the sandbox is gone; the socket tells when it is back */
  } finally {
    refreshing = false;
  }
  if (again) {
    again = false;
    refresh();
  }
}

function place(fresh) {
  const focused = document.activeElement?.id;
  for (const region of document.querySelectorAll("[data-region]")) {
    const source = fresh.getElementById(region.id);
    if (!source) continue;
    const atEnd = region.scrollHeight - region.scrollTop - region.clientHeight < 40;
    patch(region, source);
    if ("stick" in region.dataset && atEnd) region.scrollTop = region.scrollHeight;
  }
  showModal();
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus({ preventScroll: true });
}

/* Makes the children of one element those of another, leaving alone whatever is the same. */
function patch(region, source) {
  const wanted = [...source.children];
  const ids = new Set(wanted.map((child) => child.id));
  for (const child of [...region.children]) if (!child.id || !ids.has(child.id)) child.remove();
  let next = region.firstElementChild;
  for (const child of wanted) {
    const old = child.id ? byId(child.id) : null;
    const html = child.outerHTML;
    if (old && shown.get(child.id) === html) {
      if (old !== next) region.insertBefore(old, next);
      next = old.nextElementSibling;
      continue;
    }
    const fresh = document.importNode(child, true);
    if (old) {
      keepInput(old, fresh);
      if (old === next) next = old.nextElementSibling;
      old.remove();
    }
    region.insertBefore(fresh, next);
    shown.set(child.id, html);
  }
}

/* What somebody filled in, or opened, outlives the replacement. */
function keepInput(old, fresh) {
  for (const input of old.querySelectorAll("[name]")) {
    const box = input.matches("[type=checkbox],[type=radio]");
    const twin = [...fresh.querySelectorAll("[name]")].find(
      (other) => other.name === input.name && (!box || other.value === input.value),
    );
    if (!twin) continue;
    if (box) twin.checked = input.checked;
    else if (input.multiple) for (const option of twin.options) option.selected = isSelected(input, option.value);
    else twin.value = input.value;
  }
  for (const details of old.querySelectorAll("details[open]")) {
    const twin = fresh.querySelector(`details[id="${CSS.escape(details.id)}"]`);
    if (twin) twin.open = true;
  }
}

function isSelected(select, value) {
  return [...select.selectedOptions].some((option) => option.value === value);
}

function listen() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/updates`);
  socket.onopen = refresh;
  socket.onmessage = refresh;
  socket.onclose = () => setTimeout(listen, 1000);
}

for (const region of document.querySelectorAll("[data-region]")) {
  for (const child of region.children) if (child.id) shown.set(child.id, child.outerHTML);
  if ("stick" in region.dataset) region.scrollTop = region.scrollHeight;
}
showModal();
listen();
if (here.tab === "home") act("home");
if (matchMedia("(min-width: 721px)").matches) byId(here.thread ? "thread-composer-text" : "composer-text")?.focus();

"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const rows = all("[data-row]");
  const form = one(".tools");

  // Filters: a row stays when it has one of the ticked values of each group, and every word of the text.
  const texts = new Map();
  const textOf = (row) => {
    if (!texts.has(row)) {
      const parts = all("summary .id, summary .says, cite, .checks code, .versus pre, .reason", row);
      texts.set(row, parts.map((part) => part.textContent).join(" ").toLowerCase());
    }
    return texts.get(row);
  };
  const ticked = (name) => all(`input[name=${name}]:checked`, form).map((box) => box.value);
  const filter = () => {
    const words = one("#q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const groups = ["verdict", "level", "tier"].map((name) => [name, ticked(name)]).filter(([, values]) => values.length);
    let found = 0;
    for (const row of rows) {
      const keep = groups.every(([name, values]) => values.includes(row.dataset[name])) && words.every((word) => textOf(row).includes(word));
      row.hidden = !keep;
      found += keep;
    }
    for (const chapter of all(".chapter:not(.others)")) chapter.hidden = !chapter.querySelector("[data-row]:not([hidden])");
    one("#found").textContent = `${found} of ${rows.length} rows`;
  };
  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  // Copy buttons: the clipboard where the browser allows it, else the old way.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await copy(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  // Links to exchanges and rows open whatever they lie in.
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    target.hidden = false;
    target.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);
  reveal();

  // What is opened shows its first mark, also where a long text scrolls in its box.
  document.addEventListener("toggle", (event) => {
    for (const box of all("pre", event.target)) {
      const mark = box.querySelector("mark.bad:not(.other), .gone:not(.other)") || box.querySelector("mark.bad, .gone");
      if (mark && box.scrollHeight > box.clientHeight) box.scrollTop = mark.offsetTop - box.offsetTop - 60;
    }
  }, true);

  // Keys.
  const open = () => rows.filter((row) => !row.hidden);
  const step = (list, by) => {
    if (!list.length) return;
    const at = list.findIndex((row) => row.contains(document.activeElement));
    const next = list[at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length];
    next.querySelector("summary").focus();
    next.scrollIntoView({ block: "center" });
  };
  const keys = {
    "/": () => one("#q") && one("#q").focus(),
    j: () => step(open(), 1),
    k: () => step(open(), -1),
    n: () => step(open().filter((row) => row.dataset.verdict === "fail"), 1),
    Escape: () => { if (form) form.reset(); document.activeElement.blur(); },
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search], textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Theme: follows the system until told otherwise.
  const toggle = one("[data-theme-toggle]");
  if (toggle) {
    const themes = ["auto", "light", "dark"];
    let at = 0;
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      at = (at + 1) % themes.length;
      document.documentElement.dataset.theme = themes[at];
      toggle.textContent = `Theme: ${themes[at]}`;
    });
  }

  // Tables whose heads sort.
  for (const head of all("th[data-sort] button")) {
    head.addEventListener("click", () => {
      const cell = head.closest("th");
      const body = cell.closest("table").tBodies[0];
      const down = cell.getAttribute("aria-sort") === "ascending";
      const value = (row) => row.cells[cell.cellIndex].dataset.value ?? row.cells[cell.cellIndex].textContent;
      const order = (a, b) => value(a).localeCompare(value(b), "en", { numeric: true }) * (down ? -1 : 1);
      for (const other of all("th[data-sort]", cell.parentElement)) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort(order));
    });
  }
})();

// Models → Serving, live: asks for the numbers every five seconds while the page is looked at.

import { fillTables } from "./tables.js";
import { fillTiles } from "./tiles.js";
import { drawCharts } from "./charts.js";
import { formats } from "./formats.js";

const EVERY_MS = 5000;

const root = document.getElementById("serving");
if (root) start(root);

function start(page) {
  const words = page.dataset;
  const show = formats(document.documentElement.lang || "en", words.zone);
  const part = (name) => page.querySelector(`[data-${name}]`);
  const choice = page.querySelector("select");
  let shown = JSON.parse(document.getElementById("serving-now").textContent);
  let timer = 0;
  let asked = 0;

  const time = () => show.exactTime(Date.parse(shown.at));

  function draw() {
    const { line } = shown;
    const quiet = !line.calls_per_s.some((calls) => calls > 0) && !line.errors.some((n) => n > 0);
    part("nobody").hidden = shown.processes.length > 0;
    part("body").hidden = shown.processes.length === 0;
    part("quiet").hidden = !quiet;
    part("asked").hidden = quiet;
    part("merged").hidden = part("worst").hidden = shown.engines < 2;
    part("when").textContent = words.asOf.replace("__time__", time());
    fillChoice();
    fillTroubles();
    if (!shown.processes.length) return;
    fillTiles(page, shown.figures, words, show);
    fillTables(page, shown, words, show);
    if (!quiet) drawCharts(page, line, words, show);
  }

  /** The switcher is only rebuilt when processes came or went, so that an open list stays open. */
  function fillChoice() {
    const options = [["", words.all], ...shown.processes.map(({ id, name, state, state_words: said }) => (
      [String(id), state === "running" ? name : `${name}: ${said}`]
    ))];
    const before = [...choice.options].map((option) => [option.value, option.text]);
    if (JSON.stringify(before) !== JSON.stringify(options)) {
      choice.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    }
    choice.value = shown.chosen === null ? "" : String(shown.chosen);
  }

  /** Told once: the list is only touched when what is wrong changes in kind. */
  function fillTroubles() {
    const list = part("troubles");
    const wrong = shown.processes.filter(({ state }) => state !== "running");
    const kinds = JSON.stringify(wrong.map(({ id, state }) => [id, state]));
    if (list.dataset.kinds === kinds) return;
    list.dataset.kinds = kinds;
    list.replaceChildren(...wrong.map(({ name, state_words: said }) => {
      const item = document.createElement("li");
      const who = document.createElement("b");
      item.className = "sv-trouble";
      who.textContent = name;
      item.append("▲ ", who, ` · ${said}`);
      return item;
    }));
  }

  async function ask() {
    clearTimeout(timer);
    const mine = ++asked;
    try {
      const response = await fetch(`${words.numbers}?process=${choice.value}`, { headers: { Accept: "application/json" } });
      if (response.redirected) return window.location.reload(); // signed out meanwhile
      if (!response.ok) throw new Error(String(response.status));
      const numbers = await response.json();
      if (mine !== asked) return undefined; // another process was chosen meanwhile
      shown = numbers;
      tell("");
      draw();
    } catch {
      if (mine === asked) tell(words.failed.replace("__time__", time()));
    }
    return mine === asked ? wait() : undefined;
  }

  function tell(text) {
    const note = part("stale");
    if (note.textContent !== text) note.textContent = text;
    note.hidden = !text;
  }

  function wait() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(ask, EVERY_MS);
  }

  choice.addEventListener("change", () => {
    const address = new URL(window.location.href);
    if (choice.value) address.searchParams.set("process", choice.value);
    else address.searchParams.delete("process");
    window.history.replaceState(null, "", address);
    ask();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["class"] });
  draw();
  wait();
}

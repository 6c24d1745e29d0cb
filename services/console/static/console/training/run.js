// Models → Runs → one run, live: asks every second while it goes on, draws its curves as they grow.

import { drawCurves, drawReliability } from "./curves.js";

const EVERY_MS = 1000;
const root = document.getElementById("run");
if (root) start(root);

function start(page) {
  const words = page.dataset;
  const fill = (name, text) => {
    const place = page.querySelector(`[data-fill="${name}"]`);
    if (place && place.textContent !== text) place.textContent = text;
  };
  const curves = new Map();
  const log = page.querySelector("[data-log]");
  let last = 0;
  let timer = 0;
  let shown = JSON.parse(document.getElementById("run-now").textContent);

  function take(now) {
    shown = now;
    for (const [id, curve, step, value] of now.points) {
      if (id <= last) continue;
      last = id;
      if (!curves.has(curve)) curves.set(curve, []);
      const line = curves.get(curve);
      while (line.length && line.at(-1).x >= step) line.pop(); // a resumed run goes over steps again
      line.push({ x: step, y: value });
    }
    fill("state", now.state_words);
    page.querySelector('[data-fill="state"]').className = `tr-state tr-state-${now.state}`;
    fill("stage", now.stage);
    fill("eta", now.eta);
    fill("count", now.total ? `${now.done} / ${now.total}` : "");
    fill("attempt", String(now.attempt));
    page.querySelector("[data-attempt]").hidden = now.attempt < 2;
    page.querySelector("[data-no-points]").hidden = curves.size > 0;
    const bar = page.querySelector("[data-bar]");
    if (now.total) Object.assign(bar, { max: now.total, value: now.done });
    else bar.removeAttribute("value");
    fillLog(now.log);
    drawCurves(page, curves, words);
  }

  function fillLog(text) {
    page.querySelector("[data-no-log]").hidden = Boolean(text);
    if (log.textContent === text) return;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 24;
    log.textContent = text;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  async function ask() {
    clearTimeout(timer);
    try {
      const answer = await fetch(`${words.live}?after=${last}`, { headers: { Accept: "application/json" } });
      if (answer.redirected) return window.location.reload(); // signed out meanwhile
      if (!answer.ok) throw new Error(String(answer.status));
      take(await answer.json());
      tell("");
      if (shown.over) return window.location.reload(); // the report is there now
    } catch {
      tell(words.failed);
    }
    return wait();
  }

  function tell(text) {
    const note = page.querySelector("[data-stale]");
    if (note.textContent !== text) note.textContent = text;
    note.hidden = !text;
  }

  function wait() {
    clearTimeout(timer);
    if (!document.hidden && !shown.over) timer = setTimeout(ask, EVERY_MS);
  }

  const draw = () => {
    drawCurves(page, curves, words);
    drawReliability(page, words);
  };
  document.addEventListener("visibilitychange", () => (document.hidden || shown.over ? clearTimeout(timer) : ask()));
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["class"] });
  take(shown);
  log.scrollTop = log.scrollHeight;
  drawReliability(page, words);
  wait();
}

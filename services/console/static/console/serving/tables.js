// The page's tables: models, processes, error codes, and the charts' numbers by minute.

const written = new WeakMap();

/** Write all of them. */
export function fillTables(page, shown, words, show) {
  models(page, shown.models, words, show);
  processes(page, shown, show);
  codes(page, shown.figures.errors_by_code, show);
  minutes(page.querySelector("[data-minutes]"), shown.line, show);
}

function models(page, all, words, show) {
  const table = page.querySelector("[data-models]");
  table.hidden = !all.length;
  page.querySelector("[data-no-models]").hidden = all.length > 0;
  fill(table, all.map((model) => [
    [model.task], [model.kind_words], [model.name], [model.version],
    [[model.runtime, model.device].filter(Boolean).join(" · ")], loading(model, words, show),
  ]));
}

function loading({ loaded, of }, words, show) {
  if (!loaded) return [`○ ${words.notLoaded}`, "sv-state"];
  const part = words.loadedIn.replace("__n__", show.whole(loaded)).replace("__all__", show.whole(of));
  return loaded === of ? [`● ${words.loaded}`, "sv-state sv-good"] : [`◐ ${part}`, "sv-state"];
}

/** A link that has the focus keeps it. */
function processes(page, { processes: all, chosen }, show) {
  const table = page.querySelector("[data-processes]");
  const focused = table.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const rows = all.map(({ name, state, state_words: said, figures }) => [
    [name],
    state === "running" ? [`● ${said}`, "sv-state sv-good"] : [`▲ ${said}`, "sv-state-long sv-wrong"],
    [show.rounded(figures.texts_per_s), "tf-n"],
    [show.whole(figures.queue), "tf-n"],
    [show.rounded(figures.p95_ms), "tf-n"],
    [show.whole(figures.errors), "tf-n"],
  ]);
  if (!fill(table, rows, [chosen, all.map(({ id }) => id)])) return;
  all.forEach(({ id, name }, i) => {
    const row = table.tBodies[0].rows[i];
    const link = document.createElement("a");
    link.className = "tf-link";
    link.href = `?process=${id}`;
    link.textContent = name;
    if (id === chosen) link.setAttribute("aria-current", "true");
    row.classList.toggle("sv-chosen", id === chosen);
    row.cells[0].replaceChildren(link);
    if (link.getAttribute("href") === focused) link.focus({ preventScroll: true });
  });
}

function codes(page, all, show) {
  page.querySelector("[data-no-codes]").hidden = all.length > 0;
  page.querySelector("[data-codes]").replaceChildren(...all.map(({ code, n }) => {
    const entry = document.createElement("div");
    for (const [tag, text] of [["dt", code], ["dd", show.whole(n)]]) {
      entry.appendChild(document.createElement(tag)).textContent = text;
    }
    return entry;
  }));
}

/** Newest first; a minute is as many slots as the reader's clock puts into it. */
function minutes(body, line, show) {
  const found = new Map();
  line.at.forEach((at, i) => {
    const minute = show.time(at);
    found.set(minute, [...(found.get(minute) || []), i]);
  });
  const rows = [...found].reverse().map(([minute, slots]) => {
    const told = (name) => slots.map((i) => line[name][i]).filter((value) => value !== null);
    const worst = (name) => (told(name).length ? Math.max(...told(name)) : null);
    const sum = (name) => (told(name).length ? told(name).reduce((a, b) => a + b, 0) : null);
    const texts = sum("texts_per_s");
    return [
      [minute],
      [show.rounded(texts === null ? null : texts / told("texts_per_s").length), "tf-n"],
      ...["p50_ms", "p95_ms", "p99_ms"].map((name) => [show.rounded(worst(name)), "tf-n"]),
      [show.whole(worst("queue_peak")), "tf-n"],
      [show.whole(sum("errors")), "tf-n"],
    ];
  });
  body.replaceChildren(...rows.map((cells) => tableRow(cells, [])));
}

/** Write rows of [text, class]; rows that are there already are left alone. Whether they were written. */
function fill(table, rows, marked = "") {
  const told = JSON.stringify([rows, marked]);
  if (written.get(table) === told) return false;
  written.set(table, told);
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  table.tBodies[0].replaceChildren(...rows.map((cells) => tableRow(cells, names)));
  return true;
}

function tableRow(cells, names) {
  const row = document.createElement("tr");
  cells.forEach(([text, look = ""], i) => {
    const cell = document.createElement(i ? "td" : "th");
    if (!i) cell.scope = "row";
    if (look) cell.className = look;
    if (i && names[i]) cell.dataset.name = names[i];
    cell.toggleAttribute("data-long", text.length > 16);
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

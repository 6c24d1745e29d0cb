// Events a day by type: stacked bars from zero, a legend with totals, and the same numbers as a table.

const MOST_HUES = 5;
const root = document.getElementById("event-chart");
if (root) draw(root);

function given(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** The largest types as they are, the rest added up: [{ name, perDay, total }]. */
function series(types, counts, restName) {
  const all = types
    .map((name, at) => ({ name, perDay: counts[at], total: counts[at].reduce((sum, n) => sum + n, 0) }))
    .sort((one, other) => other.total - one.total);
  if (all.length <= MOST_HUES) return all;
  const rest = all.slice(MOST_HUES - 1);
  const perDay = rest[0].perDay.map((_, day) => rest.reduce((sum, one) => sum + one.perDay[day], 0));
  const total = perDay.reduce((sum, n) => sum + n, 0);
  return [...all.slice(0, MOST_HUES - 1), { name: restName, perDay, total }];
}

function draw(element) {
  const language = document.documentElement.lang || "en";
  const days = given("event-days");
  const shown = series(given("event-types"), given("event-counts"), element.dataset.other);
  const dayName = (day) =>
    new Date(`${day.slice(0, 10)}T00:00:00`).toLocaleDateString(language, { day: "numeric", month: "short" });
  const labels = days.map(dayName);
  table(element, labels, shown, language);
  const chart = new Chart(element.querySelector("canvas"), { type: "bar", data: { labels, datasets: [] } });
  const paint = () => {
    const look = colours(element);
    legend(element, shown, look.hues, language);
    chart.data.datasets = shown.map((one, at) => ({
      label: one.name,
      data: one.perDay,
      backgroundColor: look.hues[at],
      borderColor: look.ground,
      borderWidth: { top: 1, bottom: 0, left: 0, right: 0 },
      borderSkipped: false,
      categoryPercentage: 0.9,
      barPercentage: 1,
    }));
    chart.options = options(look, element.dataset.count);
    chart.update("none");
  };
  paint();
  new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["class"] });
}

function colours(element) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(`--rec-${name}`).trim();
  return { hues: [1, 2, 3, 4, 5].map(of), axis: of("axis"), grid: of("grid"), ground: of("ground") };
}

function options(look, yTitle) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    plugins: { legend: { display: false }, tooltip: { bodyFont: font, titleFont: font, boxPadding: 4 } },
    scales: {
      x: {
        stacked: true,
        grid: { display: false },
        ticks: { color: look.axis, font, maxRotation: 0, autoSkipPadding: 16 },
        border: { color: look.axis },
      },
      y: {
        stacked: true,
        beginAtZero: true,
        title: { display: true, text: yTitle, color: look.axis, font },
        ticks: { color: look.axis, font, precision: 0, maxTicksLimit: 6 },
        grid: { color: look.grid, drawTicks: false },
        border: { display: false },
      },
    },
  };
}

function legend(element, shown, hues, language) {
  const ns = "http://www.w3.org/2000/svg";
  const entries = shown.map((one, at) => {
    const entry = document.createElement("li");
    const mark = document.createElementNS(ns, "svg");
    mark.setAttribute("viewBox", "0 0 12 12");
    mark.setAttribute("aria-hidden", "true");
    const square = document.createElementNS(ns, "rect");
    for (const [name, value] of Object.entries({ width: 12, height: 12, rx: 3, fill: hues[at] })) {
      square.setAttribute(name, value);
    }
    mark.append(square);
    const total = document.createElement("b");
    total.textContent = one.total.toLocaleString(language);
    entry.append(mark, `${one.name} `, total);
    return entry;
  });
  element.querySelector("[data-legend]").replaceChildren(...entries);
}

function table(element, labels, shown, language) {
  const { day, all } = element.dataset;
  const cell = (tag, text, scope) => {
    const node = document.createElement(tag);
    node.textContent = text;
    if (scope) node.scope = scope;
    if (text !== day && scope !== "row") node.className = "tf-n";
    return node;
  };
  const row = (...cells) => {
    const node = document.createElement("tr");
    node.append(...cells);
    return node;
  };
  const number = (n) => n.toLocaleString(language);
  const head = document.createElement("thead");
  head.append(row(cell("th", day, "col"), ...[...shown.map((one) => one.name), all].map((name) => cell("th", name, "col"))));
  const body = document.createElement("tbody");
  for (let at = labels.length - 1; at >= 0; at -= 1) {
    const counts = shown.map((one) => one.perDay[at]);
    const sum = counts.reduce((total, n) => total + n, 0);
    body.append(row(cell("th", labels[at], "row"), ...[...counts, sum].map((n) => cell("td", number(n)))));
  }
  element.querySelector("[data-table]").replaceChildren(head, body);
}

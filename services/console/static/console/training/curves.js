// Curves of a run, one chart a kind of value: losses, validation metrics, the learning rate. And reliability.

const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [1, 2]];
const MOST_POINTS = 600;
const drawn = new Map();

/** Draw the curves, or bring what is drawn up to date. `curves`: name -> [{x: step, y: value}]. */
export function drawCurves(page, curves, words) {
  const groups = { loss: [], metric: [], rate: [] };
  for (const name of curves.keys()) groups[kind(name)].push(name);
  for (const [group, names] of Object.entries(groups)) {
    const figure = page.querySelector(`[data-figure="${group}"]`);
    figure.hidden = names.length === 0;
    if (!names.length) continue;
    const look = colours(page);
    const datasets = names.map((name, i) => ({
      label: name,
      data: thinned(curves.get(name)),
      borderColor: look.hues[i % look.hues.length],
      backgroundColor: look.hues[i % look.hues.length],
      borderDash: DASHES[i % DASHES.length],
      borderWidth: 2,
      pointRadius: curves.get(name).length < 30 ? 2.5 : 0,
      pointHoverRadius: 4,
    }));
    legend(figure.querySelector(".tr-legend"), datasets);
    const axis = group === "loss" ? words.loss : group === "metric" ? words.metric : "";
    const canvas = figure.querySelector("canvas");
    canvas.dataset.points = String(names.reduce((n, name) => n + curves.get(name).length, 0));
    canvas.setAttribute("aria-label", names.map((name) => words.described
      .replace("__name__", name)
      .replace("__points__", String(curves.get(name).length))
      .replace("__last__", rounded(curves.get(name).at(-1).y))).join(" "));
    show(canvas, "line", datasets, options(look, words.step, axis));
  }
}

/** How often the model is right against how sure it is, beside the diagonal. */
export function drawReliability(page, words) {
  const canvas = page.querySelector("[data-reliability]");
  const told = document.getElementById("run-reliability");
  if (!canvas || !told) return;
  const rows = JSON.parse(told.textContent);
  const look = colours(page);
  const most = Math.max(...rows.map(({ n }) => n));
  const datasets = [
    {
      label: words.accuracy, data: rows.map(({ confidence, accuracy }) => ({ x: confidence, y: accuracy })),
      borderColor: look.hues[0], backgroundColor: look.hues[0], borderWidth: 2,
      pointRadius: rows.map(({ n }) => 2 + 5 * Math.sqrt(n / most)),
    },
    {
      label: words.perfect, data: [{ x: 0, y: 0 }, { x: 1, y: 1 }],
      borderColor: look.axis, borderDash: [4, 4], borderWidth: 1, pointRadius: 0,
    },
  ];
  canvas.setAttribute("aria-label", rows.map(({ confidence, accuracy, n }) => `${rounded(confidence)}: ${rounded(accuracy)} (${n})`).join("; "));
  const config = options(look, words.confidence, words.accuracy);
  for (const axis of [config.scales.x, config.scales.y]) Object.assign(axis, { min: 0, max: 1 });
  show(canvas, "line", datasets, config);
}

function kind(name) {
  if (name.includes("learning_rate")) return "rate";
  return name.includes("loss") ? "loss" : "metric";
}

function show(canvas, type, datasets, config) {
  const chart = drawn.get(canvas);
  if (!chart) {
    drawn.set(canvas, new Chart(canvas, { type, data: { datasets }, options: config }));
    return;
  }
  chart.options = config;
  chart.data.datasets.length = Math.min(chart.data.datasets.length, datasets.length);
  datasets.forEach((next, i) => {
    if (chart.data.datasets[i]) Object.assign(chart.data.datasets[i], next);
    else chart.data.datasets.push(next);
  });
  chart.update("none");
}

/** Every so many points, the last one always: the eye sees no difference, the browser does. */
function thinned(points) {
  if (points.length <= MOST_POINTS) return points.slice();
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_point, i) => i % every === 0 || i === points.length - 1);
}

function legend(list, datasets) {
  const names = JSON.stringify(datasets.map(({ label, borderColor }) => [label, borderColor]));
  if (list.dataset.names === names) return;
  list.dataset.names = names;
  list.replaceChildren(...datasets.map(({ label, borderColor, borderDash }) => {
    const item = document.createElement("li");
    const mark = document.createElement("span");
    mark.className = "tr-mark";
    mark.style.borderTopColor = borderColor;
    mark.style.borderTopStyle = borderDash.length ? (borderDash[0] > 4 ? "dashed" : "dotted") : "solid";
    item.append(mark, label);
    return item;
  }));
}

function colours(page) {
  const style = getComputedStyle(page);
  const read = (name) => style.getPropertyValue(`--cs-${name}`).trim();
  return { hues: [1, 2, 3, 4, 5].map((n) => read(`hue-${n}`)), axis: read("axis"), grid: read("grid") };
}

function options(look, xTitle, yTitle) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const axis = (title) => ({
    type: "linear",
    title: { display: Boolean(title), text: title, color: look.axis, font },
    ticks: { color: look.axis, font, maxTicksLimit: 6 },
    grid: { color: look.grid, drawTicks: false },
    border: { display: false },
  });
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    parsing: false,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    plugins: {
      legend: { display: false },
      tooltip: {
        bodyFont: font, titleFont: font, boxPadding: 4,
        callbacks: {
          title: (items) => (items.length ? `${xTitle} ${rounded(items[0].raw.x)}` : ""),
          label: ({ dataset: { label }, raw }) => ` ${label}: ${rounded(raw.y)}`,
        },
      },
    },
    scales: { x: axis(xTitle), y: axis(yTitle) },
  };
}

function rounded(value) {
  return new Intl.NumberFormat(document.documentElement.lang || "en", { maximumSignificantDigits: 4 }).format(value);
}

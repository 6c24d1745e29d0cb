// Four charts on one time axis: throughput, latency, queue, errors. Every value is five seconds.

const COLOURS = {
  texts: "--cs-hue-1", p50: "--cs-hue-2", p95: "--cs-hue-3", p99: "--cs-hue-4",
  queue: "--sv-queue", errors: "--cs-hue-5", axis: "--cs-axis", grid: "--cs-grid",
};
const SLOT_MS = 5000;
const drawn = new Map();

/** Draw the ten minutes, or bring what is drawn up to date. */
export function drawCharts(page, line, words, show) {
  const style = getComputedStyle(page);
  const look = Object.fromEntries(
    Object.entries(COLOURS).map(([name, property]) => [name, style.getPropertyValue(property).trim()]),
  );
  const charts = {
    texts: ["line", words.textsAxis, words.texts, [{ name: "texts_per_s", label: words.texts, hue: look.texts, filled: true }]],
    latency: ["line", words.latencyAxis, words.latency, [
      { name: "p50_ms", label: "p50", hue: look.p50 },
      { name: "p95_ms", label: "p95", hue: look.p95, dash: [6, 3], over: 1 },
      { name: "p99_ms", label: "p99", hue: look.p99, dash: [2, 3], over: 2 },
    ]],
    queue: ["bar", words.queueAxis, words.queue, [{ name: "queue_peak", label: words.queue, hue: look.queue }]],
    errors: ["bar", words.errorsAxis, words.errors, [{ name: "errors", label: words.errors, hue: look.errors }]],
  };
  for (const [key, [type, unit, name, series]] of Object.entries(charts)) {
    const canvas = page.querySelector(`[data-chart="${key}"]`);
    const config = {
      type,
      data: { datasets: series.map((one) => dataset(one, type, line)) },
      options: options(look, line, unit, show, type === "bar"),
    };
    canvas.setAttribute("aria-label", described(name, unit, line[series.at(-1).name], words, show));
    const chart = drawn.get(canvas);
    if (chart) {
      Object.assign(chart, { options: config.options });
      chart.data.datasets.forEach((old, i) => Object.assign(old, config.data.datasets[i]));
      chart.update("none");
    } else {
      drawn.set(canvas, new Chart(canvas, config));
    }
  }
}

function dataset({ name, label, hue, dash = [], over = 0, filled = false }, type, line) {
  const data = line.at.map((at, i) => ({ x: at + SLOT_MS / 2, y: line[name][i] }));
  const shared = { label, data, borderColor: hue, backgroundColor: hue };
  if (type === "bar") return { ...shared, barThickness: "flex", categoryPercentage: 1, barPercentage: 0.9 };
  const values = line[name];
  const alone = (i) => values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
  return {
    ...shared,
    backgroundColor: filled ? `color-mix(in srgb, ${hue} 16%, transparent)` : hue,
    fill: filled ? "origin" : false,
    borderWidth: 2,
    borderDash: dash,
    order: -over, // a broken line over a whole one hides nothing
    borderJoinStyle: "round",
    pointRadius: ({ dataIndex }) => (alone(dataIndex) ? 2.5 : 0),
    pointBackgroundColor: hue,
    pointHoverRadius: 4,
    spanGaps: false,
  };
}

function options(look, line, unit, show, counted) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const [min, max] = [line.at[0], line.at.at(-1) + SLOT_MS];
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    layout: { padding: { top: 6, right: 16 } },
    interaction: { mode: "index", axis: "x", intersect: false },
    plugins: {
      legend: { display: false },
      tooltip: {
        bodyFont: font, titleFont: font, boxPadding: 4,
        filter: ({ raw }) => raw.y !== null,
        callbacks: {
          title: (items) => (items.length ? show.exactTime(items[0].raw.x - SLOT_MS / 2) : ""),
          label: ({ dataset: { label }, raw }) => ` ${label}: ${show.rounded(raw.y)} ${unit}`,
        },
      },
    },
    scales: {
      x: {
        type: "linear", min, max, offset: false,
        afterBuildTicks: (scale) => { scale.ticks = minuteTicks(min, max, scale.width, show); },
        ticks: { color: look.axis, font, maxRotation: 0, autoSkip: false, callback: (_value, i, all) => all[i].label },
        grid: { display: false, offset: false },
        border: { color: look.axis },
      },
      y: {
        beginAtZero: true,
        suggestedMax: 1,
        title: { display: true, text: unit, color: look.axis, font },
        ticks: {
          color: look.axis, font, maxTicksLimit: 5, ...(counted ? { precision: 0 } : {}),
          callback: (value) => show.rounded(value),
        },
        grid: { color: look.grid, drawTicks: false },
        border: { display: false },
        afterFit: (scale) => { scale.width = 64; },
      },
    },
  };
}

/** Whole minutes, as many as have room. */
function minuteTicks(min, max, room, show) {
  const step = ([1, 2, 5].find((minutes) => 10 / minutes <= Math.max(2, room / 64)) || 5) * 60000;
  const ticks = [];
  for (let at = Math.ceil(min / step) * step; at <= max; at += step) ticks.push({ value: at, label: show.time(at) });
  return ticks;
}

/** A chart in a sentence, for who does not see it. */
function described(name, unit, values, words, show) {
  const known = values.filter((value) => value !== null);
  return words.described
    .replace("__name__", name)
    .replace("__most__", show.rounded(known.length ? Math.max(...known) : null))
    .replace("__unit__", unit)
    .replace("__last__", show.rounded(known.at(-1) ?? null));
}

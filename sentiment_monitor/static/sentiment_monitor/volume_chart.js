// Stories an hour or a day as stacked bars, each of which opens its stories.

import { opening, options } from "./chart_look.js";
import { momentMarks } from "./moment_marks.js";

/**
 * A Chart.js configuration. `parts` are [{ name, label, colour }], the lowest first;
 * `frame` has columns, axis, look, title(column), hrefOf(column), marks() and, if any, windows().
 */
export function volumeChart(frame, parts, yTitle, words, flags = false) {
  const { columns, look } = frame;
  const marks = momentMarks(frame.marks, { windows: frame.windows, flags });
  const shown = options(look, frame.axis, yTitle);
  const most = Math.max(...columns.map(frame.all)) * (flags ? 1.25 : 1);
  Object.assign(shown.scales.y, {
    stacked: true,
    beginAtZero: true,
    suggestedMax: Math.max(4, most),
    ticks: { ...shown.scales.y.ticks, precision: 0, maxTicksLimit: 6 },
  });
  Object.assign(shown.plugins.tooltip, tooltip(frame, words));
  return {
    type: "bar",
    data: { datasets: parts.map((part) => bars(part, columns, look)) },
    options: { ...shown, ...opening(columns, frame.hrefOf, marks.markAt) },
    plugins: [marks],
  };
}

function tooltip({ columns, title, hrefOf }, words) {
  const first = (items) => columns[items[0].dataIndex];
  return {
    itemSort: (a, b) => b.datasetIndex - a.datasetIndex,
    callbacks: {
      title: (items) => (items.length ? title(first(items)) : ""),
      label: (item) => `${item.dataset.label}: ${item.raw.y}`,
      footer: (items) => (items.length && hrefOf(first(items)) ? words.open : ""),
    },
  };
}

/** A hairline of the ground keeps the parts of a bar apart; a bar is never too thin to see. */
function bars({ name, label, colour }, columns, look) {
  const tooThin = (area) => area && area.width / columns.length < 2.5;
  return {
    label,
    data: columns.map((column) => ({ x: column.at, y: column[name] })),
    backgroundColor: colour,
    borderColor: look.ground,
    borderWidth: { top: 1, bottom: 0, left: 0, right: 0 },
    borderSkipped: false,
    stack: "stories",
    categoryPercentage: 0.92,
    barPercentage: 1,
    barThickness: ({ chart }) => (tooThin(chart.chartArea) ? 2 : undefined),
  };
}

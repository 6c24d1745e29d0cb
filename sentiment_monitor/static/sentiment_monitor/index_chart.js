// The index: mean polarity from −1 to 1 as a line with its likely range; hours without news are gaps.

import { opening, options, signed } from "./chart_look.js";
import { momentMarks } from "./moment_marks.js";
import { HOUR } from "./time_axis.js";

/** A Chart.js configuration; `line` holds index, low and high by hour, null in gaps. */
export function indexChart(line, frame, words) {
  const { look, times } = frame;
  const marks = momentMarks(frame.marks);
  const shown = options(look, frame.axis, words.indexAxis);
  shown.interaction = { mode: "nearest", axis: "x", intersect: false };
  shown.scales.x.ticks.display = false; // the bars below carry the dates
  Object.assign(shown.scales.y, signedAxis(shown.scales.y, look));
  Object.assign(shown.plugins.tooltip, tooltip(line, frame.place, words));
  const points = (values) => values.map((y, i) => ({ x: times[i] + HOUR, y })); // as of the hour's end
  const edge = { borderWidth: 0, pointRadius: 0, pointHitRadius: 0, pointHoverRadius: 0 };
  return {
    type: "line",
    data: {
      datasets: [
        { ...edge, data: points(line.low) },
        { ...edge, data: points(line.high), fill: "-1", backgroundColor: look.band },
        {
          data: points(line.index),
          borderColor: look.line,
          backgroundColor: look.line,
          borderWidth: 2,
          borderJoinStyle: "round",
          pointRadius: ({ dataIndex }) => (alone(line.index, dataIndex) ? 2.5 : 0),
          pointHoverRadius: 4,
        },
      ],
    },
    options: { ...shown, spanGaps: false, ...opening(frame.columns, frame.hrefOf, marks.markAt) },
    plugins: [marks],
  };
}

const LINE = 2;

function tooltip(line, place, words) {
  const band = (i) => `${words.band} ${signed(line.low[i])} … ${signed(line.high[i])}`;
  return {
    displayColors: false,
    filter: (item) => item.datasetIndex === LINE,
    callbacks: {
      title: (items) => (items.length ? place.moment(items[0].raw.x) : ""),
      label: (item) => `${words.index} ${signed(item.raw.y)}, ${band(item.dataIndex)}`,
    },
  };
}

/** −1 to 1 whatever the values, with the zero line stronger than the rest. */
function signedAxis(y, look) {
  const named = { "-1": "−1", "-0.5": "−0.5", 0: "0", 0.5: "+0.5", 1: "+1" };
  return {
    min: -1,
    max: 1,
    grid: { drawTicks: false, color: ({ tick }) => (tick.value === 0 ? look.zero : look.grid) },
    ticks: { ...y.ticks, stepSize: 0.5, callback: (value) => named[value] },
  };
}

/** A value between two gaps is a dot, since it makes no line. */
function alone(values, i) {
  return values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
}

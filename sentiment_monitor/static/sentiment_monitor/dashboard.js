// The dashboard's two charts on one time axis: the index with its band, and the stories below it.
// Hours come from monitor-series; ranges of a month and more are summed to days here.

import { colours, onThemeChange, signed, storiesHref } from "./chart_look.js";
import { indexChart } from "./index_chart.js";
import { fillTable } from "./numbers_table.js";
import { followReplay } from "./replay_progress.js";
import { clock, daily, dayTicks, hourly, hourTicks } from "./time_axis.js";
import { volumeChart } from "./volume_chart.js";

const LONGEST_HOURLY = 7 * 24;

const root = document.getElementById("monitor-chart");
if (root) start(root, root.dataset);
followReplay(() => root || window.location.reload());

function start(element, words) {
  const place = clock(document.documentElement.lang, words.zone);
  const canvases = [...element.querySelectorAll("canvas")];
  const note = element.querySelector(".tf-chart-note");
  let charts = [];
  let line = null;

  const say = (text) => {
    note.textContent = text;
    note.hidden = !text;
  };

  async function load() {
    try {
      const response = await fetch(words.series, { headers: { Accept: "application/json" } });
      if (!response.ok || response.redirected) throw new Error(String(response.status));
      line = await response.json();
      draw();
    } catch {
      say(words.failed);
    }
  }

  function draw() {
    if (!line) return;
    const frame = framed(line, place, words, colours(element));
    const volume = volumeChart(frame, parts(words, frame.look), frame.yTitle, words);
    const configs = [indexChart(line, frame, words), volume];
    for (const chart of charts) chart.destroy();
    charts = configs.map((config, i) => new Chart(canvases[i], config));
    for (const canvas of canvases) canvas.setAttribute("aria-label", described(line, words));
    fillTable(element.querySelector(".tf-numbers tbody"), line, frame);
    say(frame.columns.some(frame.all) ? "" : words.none);
  }

  load();
  onThemeChange(draw);
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "monitor-lists") load();
  });
}

/** What both charts and the table share: columns, their names and addresses, the axis, the alerts. */
function framed(line, place, words, look) {
  const times = line.hours.map((hour) => Date.parse(hour));
  const counts = { negative: line.negative, neutral: line.neutral, positive: line.positive };
  const byDay = times.length > LONGEST_HOURLY;
  const columns = byDay ? daily(times, counts, place) : hourly(times, counts);
  const all = (column) => column.negative + column.neutral + column.positive;
  const partOf = (column) => (column.hours < 23 ? ` (${words.part.replace("__hours__", column.hours)})` : "");
  return {
    look, place, times, columns, all,
    yTitle: byDay ? words.daily : words.hourly,
    axis: {
      min: columns[0].start,
      max: columns.at(-1).end,
      ticks: (room) => (byDay ? dayTicks(columns, place, room) : hourTicks(times, place, room)),
      lines: !byDay,
    },
    marks: () => alerts(look),
    title: (column) => (byDay ? place.longDay(column.from) + partOf(column) : place.hourSpan(column)),
    hrefOf: (column) => all(column) && storiesHref(words.stories, column.from, column.to, words.company),
  };
}

const parts = (words, look) => [
  { name: "negative", label: `▼ ${words.negative}`, colour: look.negative },
  { name: "neutral", label: `● ${words.neutral}`, colour: look.neutral },
  { name: "positive", label: `▲ ${words.positive}`, colour: look.positive },
];

/** The alerts of the list on the page, as marks on the time axis. */
function alerts(look) {
  return [...document.querySelectorAll("[data-alert-at]")].map(({ dataset }) => ({
    at: Date.parse(dataset.alertAt),
    href: dataset.alertHref,
    name: dataset.alertName,
    colour: dataset.alertKind === "negative_surge" ? look.alert : look.axis,
    ground: look.ground,
  }));
}

function described(line, words) {
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const last = line.index.filter((value) => value !== null).at(-1);
  return words.described
    .replace("__negative__", sum(line.negative))
    .replace("__neutral__", sum(line.neutral))
    .replace("__positive__", sum(line.positive))
    .replace("__index__", last === undefined ? "–" : signed(last));
}

// The hours around an alert: negative stories and the others, the window that raised it, its moment.

import { colours, onThemeChange, storiesHref } from "./chart_look.js";
import { clock, hourly, hourTicks, HOUR } from "./time_axis.js";
import { volumeChart } from "./volume_chart.js";

const root = document.getElementById("alert-chart");
const words = root.dataset;
const canvas = root.querySelector("canvas");
const hours = JSON.parse(document.getElementById("alert-hours").textContent);
const place = clock(document.documentElement.lang, words.zone);
const times = hours.map((hour) => Date.parse(hour.at));
const columns = hourly(times, {
  negative: hours.map((hour) => hour.neg),
  other: hours.map((hour) => hour.all - hour.neg),
});
let chart = null;

function draw() {
  const look = colours(root);
  const parts = [
    { name: "negative", label: `▼ ${words.negative}`, colour: look.negative },
    { name: "other", label: `● ${words.other}`, colour: look.neutral },
  ];
  chart?.destroy();
  chart = new Chart(canvas, volumeChart(framed(look), parts, words.hourly, words, true));
}

function framed(look) {
  const fired = Date.parse(words.at);
  const moments = [{ at: fired, label: words.alert, colour: look.alert, ground: look.ground }];
  if (words.until) {
    moments.push({ at: Date.parse(words.until), label: words.over, colour: look.axis, ground: look.ground });
  }
  const all = (column) => column.negative + column.other;
  return {
    look, columns, all,
    axis: {
      min: columns[0].start,
      max: columns.at(-1).end,
      ticks: (room) => hourTicks(times, place, room),
      lines: true,
    },
    marks: () => moments,
    windows: () => [{ from: fired - Number(words.window) * HOUR, to: fired, colour: look.window }],
    title: place.hourSpan,
    hrefOf: (column) => all(column) && storiesHref(words.stories, column.from, column.to, words.company),
  };
}

function describe() {
  const sum = (name) => columns.reduce((total, column) => total + column[name], 0);
  const text = words.described.replace("__negative__", sum("negative")).replace("__other__", sum("other"));
  canvas.setAttribute("aria-label", text);
}

if (columns.length) {
  draw();
  describe();
  onThemeChange(draw);
}

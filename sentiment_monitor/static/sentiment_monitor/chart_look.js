// How the monitor's charts look and what a click on them does: colours from the page's style, a time axis.

const NAMES = [
  "negative", "neutral", "positive", "line", "band", "axis", "grid", "zero", "window", "alert", "ground",
];

/** The page's colours as they are now, light or dark. */
export function colours(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--tf-${name}`).trim()]));
}

/** Draw again when the console is switched between light and dark. */
export function onThemeChange(redraw) {
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["class"] });
}

/** A number with its sign, a real minus. */
export function signed(value) {
  const shown = Math.abs(value).toFixed(2);
  return value < 0 ? `−${shown}` : value > 0 ? `+${shown}` : shown;
}

/** What every chart of the monitor shares; `axis` is { min, max, ticks, lines }, lines: whether ticks are edges. */
export function options(look, axis, yTitle) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    layout: { autoPadding: false, padding: { top: 6, right: 24 } },
    interaction: { mode: "index", axis: "x", intersect: false },
    plugins: {
      legend: { display: false },
      tooltip: { displayColors: true, boxPadding: 4, bodyFont: font, titleFont: font },
    },
    scales: {
      x: {
        type: "linear",
        min: axis.min,
        max: axis.max,
        stacked: true,
        offset: false,
        afterBuildTicks: (scale) => { scale.ticks = axis.ticks(scale.width); },
        ticks: {
          color: look.axis, font, maxRotation: 0, autoSkip: false,
          callback: (_value, i, all) => all[i].label,
        },
        grid: { display: axis.lines, offset: false, color: look.grid, tickLength: 4 },
        border: { color: look.zero },
      },
      y: {
        title: { display: true, text: yTitle, color: look.axis, font },
        ticks: { color: look.axis, font },
        grid: { color: look.grid, drawTicks: false },
        border: { display: false },
        afterFit: (scale) => { scale.width = 56; },
      },
    },
  };
}

/**
 * A click opens what a column stands for; with a finger the first tap shows its numbers, the second opens.
 * `hrefOf(column)` is its address, false without one; a mark near the pointer comes first.
 */
export function opening(columns, hrefOf, markAt) {
  let tapped = null;
  const under = (event, chart) => {
    const at = chart.scales.x.getValueForPixel(event.x);
    return columns.find((column) => at >= column.start && at < column.end);
  };
  return {
    onClick(event, _elements, chart) {
      const mark = markAt(chart, event);
      const column = under(event, chart);
      const href = mark ? mark.href : column && hrefOf(column);
      const first = !mark && event.native.pointerType === "touch" && tapped !== column;
      tapped = column;
      if (href && !first) window.location.assign(href);
    },
    onHover(event, _elements, chart) {
      const mark = markAt(chart, event);
      const column = under(event, chart);
      chart.canvas.style.cursor = mark || (column && hrefOf(column)) ? "pointer" : "default";
      chart.canvas.title = mark ? mark.name : "";
    },
  };
}

/** The address of the stories between two instants, of one company or of all. */
export function storiesHref(base, from, to, company) {
  const asked = new URLSearchParams({
    happened_at__gte: new Date(from).toISOString(),
    happened_at__lt: new Date(to).toISOString(),
  });
  if (company) asked.set("mentions__company__id__exact", company);
  return `${base}?${asked}`;
}

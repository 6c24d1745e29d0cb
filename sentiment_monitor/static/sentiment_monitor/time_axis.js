// Time on a chart: the hours a server counts in, cut into days as the reader's clock cuts them.
// Everything is milliseconds since 1970; a column is { from, to, start, end, at, hours, ...sums }.

export const HOUR = 3600000;

/** What an instant reads as in a place: which day, which hour, and in words. */
export function clock(locale, timeZone) {
  const exact = new Intl.DateTimeFormat("en-CA", {
    timeZone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit",
  });
  const words = (options) => {
    const format = new Intl.DateTimeFormat(locale, { timeZone, hourCycle: "h23", ...options });
    return (at) => format.format(at);
  };
  const moment = words({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const time = words({ hour: "2-digit", minute: "2-digit" });
  const part = (at, type) => exact.formatToParts(at).find((p) => p.type === type).value;
  return {
    day: (at) => `${part(at, "year")}-${part(at, "month")}-${part(at, "day")}`,
    hour: (at) => Number(part(at, "hour")),
    shortDay: words({ day: "numeric", month: "short" }),
    longDay: words({ weekday: "short", day: "numeric", month: "long", year: "numeric" }),
    time,
    moment,
    hourSpan: ({ from, to }) => `${moment(from)} – ${time(to)}`,
  };
}

/** Hours as columns: counts is { name: [number an hour] }. */
export function hourly(times, counts) {
  return times.map((from, i) => ({
    from, to: from + HOUR, start: from, end: from + HOUR, at: from + HOUR / 2,
    hours: 1, first: i, last: i,
    ...Object.fromEntries(Object.entries(counts).map(([name, values]) => [name, values[i]])),
  }));
}

/** Days as columns, the first and the last as wide as whole days though only a part was counted. */
export function daily(times, counts, place) {
  const columns = [];
  let today = null;
  times.forEach((from, i) => {
    const day = place.day(from);
    if (!today || today.day !== day) {
      const start = from - place.hour(from) * HOUR;
      today = { day, from, start, hours: 0, first: i };
      for (const name of Object.keys(counts)) today[name] = 0;
      columns.push(today);
    }
    today.hours += 1;
    today.last = i;
    today.to = from + HOUR;
    for (const [name, values] of Object.entries(counts)) today[name] += values[i];
  });
  columns.forEach((column, i) => {
    column.end = i + 1 < columns.length ? columns[i + 1].start : column.start + 24 * HOUR;
    column.at = (column.start + column.end) / 2;
  });
  return columns;
}

/** Where to put marks on an axis of hours: at round hours or at midnights, as many as have room. */
export function hourTicks(times, place, room) {
  const span = (times.at(-1) - times[0]) / HOUR + 1;
  const step = [1, 2, 3, 6, 12].find((hours) => span / hours <= fitting(room));
  const midnights = times.filter((at) => place.hour(at) === 0);
  if (!step) return thinned(midnights, room).map((at) => ({ value: at, label: place.shortDay(at) }));
  return times
    .filter((at) => place.hour(at) % step === 0)
    .map((at) => ({ value: at, label: place.hour(at) === 0 ? place.shortDay(at) : place.time(at) }));
}

/** The same on an axis of days: a day's name stands under the middle of its column. */
export function dayTicks(columns, place, room) {
  return thinned(columns, room).map((column) => ({ value: column.at, label: place.shortDay(column.from) }));
}

const fitting = (room) => Math.max(2, Math.floor(room / 60));

function thinned(days, room) {
  const step = [1, 2, 3, 5, 7, 10, 14, 28].find((n) => days.length / n <= fitting(room)) || 28;
  return days.filter((_day, i) => i % step === (days.length - 1) % step);
}

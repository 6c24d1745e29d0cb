// Numbers and times as the reader's language writes them.

/** What the page writes; null becomes a dash. */
export function formats(language, timeZone) {
  const number = (digits) => {
    const format = new Intl.NumberFormat(language, { maximumFractionDigits: digits });
    return (value) => (value === null ? "–" : format.format(value));
  };
  const clock = (options) => {
    const format = new Intl.DateTimeFormat(language, { timeZone, hourCycle: "h23", ...options });
    return (at) => format.format(at);
  };
  const [whole, tenths, hundredths] = [number(0), number(1), number(2)];
  const rounded = (value) => (value === null || value >= 100 ? whole : value >= 10 ? tenths : hundredths)(value);
  const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
  return {
    whole,
    rounded,
    ms: (value) => (value === null ? "–" : value < 10000 ? `${rounded(value)} ms` : `${tenths(value / 1000)} s`),
    percent: (value) => (value === null ? "–" : percent.format(value)),
    time: clock({ hour: "2-digit", minute: "2-digit" }),
    exactTime: clock({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  };
}

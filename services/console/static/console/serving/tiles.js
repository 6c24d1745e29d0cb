// The figures on top of the page.

/** Write an engine's figures, or those of all engines together, into the tiles. */
export function fillTiles(page, figures, words, show) {
  const said = {
    texts: show.rounded(figures.texts_per_s),
    calls: words.calls.replace("__n__", show.rounded(figures.calls_per_s)),
    queue: show.whole(figures.queue),
    peak: words.peak.replace("__n__", show.whole(figures.queue_peak)),
    p50: show.ms(figures.p50_ms),
    p95: show.ms(figures.p95_ms),
    p99: show.ms(figures.p99_ms),
    errors: (figures.errors ? "▲ " : "") + show.whole(figures.errors),
    "of-calls": words.ofCalls.replace("__n__", show.whole(figures.calls)),
    cache: show.percent(figures.cache_hit_rate),
  };
  for (const [name, text] of Object.entries(said)) {
    page.querySelector(`[data-fill="${name}"]`).textContent = text;
  }
  page.querySelector('[data-tile="errors"]').classList.toggle("tf-tile-wrong", figures.errors > 0);
}

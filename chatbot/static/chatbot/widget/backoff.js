/* How long to wait before trying again, and a wait that can be cut short. */

/* Milliseconds before try number `attempt` (0, 1, 2…): doubling from `base` up to `cap`, of which the
 * upper half is random, so that visitors cut off together do not come back together. */
export function backoffMs(attempt, { base = 1000, cap = 30000, random = Math.random } = {}) {
  const whole = Math.min(cap, base * 2 ** Math.min(attempt, 16));
  return Math.round(whole / 2 + (random() * whole) / 2);
}

/* A sleeper: `await sleep(ms)` ends after ms, or at once when `wake()` is called. */
export function createSleeper() {
  let wakeNow = () => {};
  return {
    sleep: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        wakeNow = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
    wake: () => wakeNow(),
  };
}

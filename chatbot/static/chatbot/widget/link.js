/* The visitor's line to a conversation: streaming while that works, asking at intervals when not.
 *
 * A stream that drops is opened again from the last event seen, after a growing, jittered wait.
 * After three failures in a row the line asks for new events instead, and tries to stream again
 * once a minute. It knows events only as objects with a `seq`; what they mean is not its business.
 * What is being written at the moment (`partial`) has none, is told and not counted.
 */

import { Refused } from "./api.js";
import { backoffMs, createSleeper } from "./backoff.js";
import { readSse } from "./sse.js";

export const PACE = {
  failuresBeforePolling: 3,
  silenceMs: 40000, // the server's heartbeat comes every 15 s
  steadyMs: 5000, // a stream still heard after this long did not fail
  pollWaitingMs: 2000, // a reply is expected
  pollIdleMs: 8000,
  streamAgainMs: 60000,
};

export class Link {
  #api;
  #conversation;
  #hooks;
  #stopper = new AbortController();
  #sleeper = createSleeper();
  #failures = 0;
  #retryBaseMs = 1000;
  #breakStream = () => {};

  /* `conversation`: {id, token, last_seq}. Hooks: onEvents(events), onPartial(partial), onLost(),
   * onState("live" | "retrying" | "polling", failures), isWaiting() -> a reply is expected. */
  constructor(api, conversation, hooks) {
    this.#api = api;
    this.#conversation = conversation;
    this.#hooks = hooks;
  }

  start() {
    this.#run();
  }

  stop() {
    this.#stopper.abort();
    this.#breakStream();
    this.#sleeper.wake();
  }

  /* The network is said to be back: forget the failures and try now. */
  wake() {
    this.#failures = 0;
    this.#sleeper.wake();
  }

  /* Asks once, now. When that brings what the stream kept back (a proxy that buffers it), the
   * stream counts as failed. */
  async nudge() {
    const before = this.#conversation.last_seq;
    try {
      await this.#ask();
    } catch {
      return; // the running loop sees the same trouble and deals with it
    }
    if (this.#conversation.last_seq > before) this.#breakStream();
  }

  get #stopped() {
    return this.#stopper.signal.aborted;
  }

  async #run() {
    while (!this.#stopped) {
      const polling = this.#failures >= PACE.failuresBeforePolling;
      try {
        if (polling) await this.#pollForAWhile();
        else await this.#stream();
        continue;
      } catch (error) {
        if (this.#stopped) return;
        if (error instanceof Refused && error.lost) {
          this.#hooks.onLost();
          return;
        }
        this.#failures += 1;
      }
      if (!polling && this.#failures >= PACE.failuresBeforePolling) continue; // ask at once
      this.#hooks.onState("retrying", this.#failures);
      const tries = Math.min(this.#failures - 1, 5);
      await this.#sleeper.sleep(backoffMs(tries, { base: this.#retryBaseMs }));
    }
  }

  async #stream() {
    const attempt = new AbortController();
    this.#breakStream = () => attempt.abort();
    let openedAt = 0;
    let heardAt = 0;
    let brought = false;
    let watchdog = setTimeout(this.#breakStream, PACE.silenceMs);
    try {
      const seq = this.#conversation.last_seq;
      const response = await this.#api.stream(this.#conversation, seq, attempt.signal);
      openedAt = Date.now();
      this.#hooks.onState("live", 0);
      await readSse(response, {
        onBytes: () => {
          heardAt = Date.now();
          clearTimeout(watchdog);
          watchdog = setTimeout(this.#breakStream, PACE.silenceMs);
        },
        onEvent: (event) => {
          brought = true;
          const said = JSON.parse(event.data);
          if (event.kind === "partial") this.#hear(said);
          else this.#take([said]);
        },
        onRetry: (ms) => {
          this.#retryBaseMs = Math.min(Math.max(ms, 200), 10000);
        },
      });
      throw new Error("the server closed the stream");
    } catch (error) {
      if (brought || heardAt - openedAt >= PACE.steadyMs) this.#failures = 0;
      throw error;
    } finally {
      clearTimeout(watchdog);
      this.#breakStream = () => {};
    }
  }

  async #pollForAWhile() {
    const until = Date.now() + PACE.streamAgainMs;
    while (!this.#stopped && Date.now() < until) {
      await this.#ask();
      this.#hooks.onState("polling", 0);
      const pause = this.#hooks.isWaiting() ? PACE.pollWaitingMs : PACE.pollIdleMs;
      await this.#sleeper.sleep(pause);
      if (this.#failures === 0) return; // woken: the network changed, stream again
    }
    this.#failures = PACE.failuresBeforePolling - 1; // one more try at streaming
  }

  async #ask() {
    const { last_seq } = this.#conversation;
    const { events, partial } = await this.#api.eventsAfter(this.#conversation, last_seq);
    this.#take(events);
    if (partial) this.#hear(partial);
  }

  #hear(partial) {
    if (!this.#stopped) this.#hooks.onPartial(partial);
  }

  #take(events) {
    const fresh = events.filter((event) => event.seq > this.#conversation.last_seq);
    if (!fresh.length || this.#stopped) return;
    this.#conversation.last_seq = fresh[fresh.length - 1].seq;
    this.#hooks.onEvents(fresh);
  }
}

/* Messages on their way out: one at a time, in the order written, each with its idempotency key.
 *
 * An item is {key, text, state, detail, passage}; `passage` is the entry that was chosen, or null. States: "sending", "waiting" (not reached the server; tried
 * again by itself), "failed" (the server said no; tried again only when the visitor asks).
 * A message leaves the outbox when the server has it. A reload brings the rest back from the store.
 */

import { Refused } from "./api.js";
import { backoffMs } from "./backoff.js";

const MOST_TRIES_WHEN_FAILING = 4;

export class Outbox {
  #store;
  #send;
  #onChange;
  #items;
  #busy = false;
  #timer = 0;
  #tries = 0;

  /* `send(item)` settles as api.postMessage does; `onChange(item)` follows every change of state. */
  constructor({ store, send, onChange }) {
    this.#store = store;
    this.#send = send;
    this.#onChange = onChange;
    const kept = store.read("outbox");
    this.#items = Array.isArray(kept) ? kept : [];
  }

  /* A copy of what is not yet with the server, oldest first. */
  get items() {
    return [...this.#items];
  }

  add(text, key, passage = null) {
    const item = { key, text, state: "sending", detail: "", passage };
    this.#items.push(item);
    this.#save();
    return item;
  }

  retry(key) {
    const item = this.#items.find((one) => one.key === key);
    if (!item) return;
    this.#tries = 0;
    this.#mark(item, "sending");
    this.flush();
  }

  /* The server has this message, however we learnt it. */
  settle(key) {
    this.#items = this.#items.filter((one) => one.key !== key);
    this.#save();
  }

  /* Sends what can be sent now. Safe to call at any time, any number of times. */
  async flush() {
    clearTimeout(this.#timer);
    if (this.#busy) return;
    this.#busy = true;
    try {
      let item = this.#next();
      while (item && (await this.#attempt(item))) item = this.#next();
    } finally {
      this.#busy = false;
    }
  }

  #next() {
    return this.#items.find((one) => one.state !== "failed");
  }

  /* True when the next item may follow: this one is settled, sent or refused. */
  async #attempt(item) {
    this.#mark(item, "sending");
    try {
      await this.#send(item);
      this.settle(item.key);
    } catch (error) {
      if (!this.#items.includes(item)) return true; // the stream brought it back meanwhile
      if (this.#worthWaiting(error)) {
        this.#postpone(error);
        return false;
      }
      this.#mark(item, "failed", error.detail || "");
    }
    this.#tries = 0;
    return true;
  }

  #worthWaiting(error) {
    if (!(error instanceof Refused)) return true;
    if (error.status === 429) return true;
    return error.passing && this.#tries + 1 < MOST_TRIES_WHEN_FAILING;
  }

  #postpone(error) {
    for (const item of this.#items) if (item.state !== "failed") this.#mark(item, "waiting");
    const asked = (error.retryAfterS || 0) * 1000;
    const delay = Math.max(asked, backoffMs(this.#tries));
    this.#tries += 1;
    this.#timer = setTimeout(() => this.flush(), delay);
  }

  #mark(item, state, detail = "") {
    const changed = item.state !== state || item.detail !== detail;
    item.state = state;
    item.detail = detail;
    this.#save();
    if (changed) this.#onChange(item);
  }

  #save() {
    if (this.#items.length) this.#store.write("outbox", this.#items);
    else this.#store.clear("outbox");
  }
}

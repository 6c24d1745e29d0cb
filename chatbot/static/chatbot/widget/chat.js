/* One visitor's conversation: opened with the first message, kept for the tab, found again on reload.
 *
 * It owns {id, token, last_seq} and the outbox, and turns what the server says into hooks:
 *   onEvent(event, {old})     an event, once, in order; `old` when the visitor saw it before a reload
 *   onPartial({question_seq, text})  the text so far of an answer that is not there yet
 *   onOutbox(item)            a message of ours changed its state
 *   onAccepted(item, seq)     the server has it
 *   onRestart(key)            the earlier conversation is gone: "ended", or "restarted" in mid-send
 *   onState(state, failures)  of the line, see link.js
 *   onWaiting(waiting)        a reply is or is no longer expected
 * It does not touch the page.
 */

import { Refused } from "./api.js";
import { Link } from "./link.js";
import { Outbox } from "./outbox.js";

const NUDGE_AFTER_MS = 4000;

/* A random UUID, also on plain-http pages where crypto.randomUUID is missing. */
export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export class Chat {
  pageUrl = null;
  #api;
  #inbox;
  #locale;
  #store;
  #hooks;
  #outbox;
  #conversation = null;
  #link = null;
  #oldUpTo = 0;
  #asked = new Map(); // seq of a visitor's message -> its text
  #answered = new Set();
  #nudge = 0;

  constructor({ api, inbox, locale, store, hooks }) {
    this.#api = api;
    this.#inbox = inbox;
    this.#locale = locale;
    this.#store = store;
    this.#hooks = hooks;
    this.#outbox = new Outbox({
      store,
      send: (item) => this.#deliver(item),
      onChange: (item) => hooks.onOutbox(item),
    });
  }

  get isWaiting() {
    return [...this.#asked.keys()].some((seq) => !this.#answered.has(seq));
  }

  /* Takes up what this tab left off; returns false when there is nothing to take up. */
  restore() {
    const kept = this.#store.read("conversation");
    if (kept && kept.id && kept.token) {
      this.#oldUpTo = Number(kept.last_seq) || 0;
      this.#conversation = { id: kept.id, token: kept.token, last_seq: 0 };
      this.#listen();
    }
    const left = this.#outbox.items;
    for (const item of left) this.#hooks.onOutbox(item);
    if (left.length) this.#outbox.flush();
    return Boolean(this.#conversation) || left.length > 0;
  }

  /* `passage`: the entry the visitor chose from those offered. */
  send(text, passage = null) {
    const item = this.#outbox.add(text, newKey(), passage);
    this.#hooks.onOutbox(item);
    this.#outbox.flush();
  }

  retry(key) {
    this.#outbox.retry(key);
  }

  /* Asks again what the message at `seq` asked, as a new message. */
  askAgain(seq) {
    const text = this.#asked.get(seq);
    if (text) this.send(text);
  }

  /* The browser says the network is back. */
  wake() {
    if (this.#link) this.#link.wake();
    this.#outbox.flush();
  }

  async #deliver(item) {
    const had = this.#conversation;
    try {
      await this.#post(item);
    } catch (error) {
      if (!had || !(error instanceof Refused) || !error.lost) throw error;
      if (this.#conversation === had) this.#forget("restarted");
      await this.#post(item);
    }
  }

  async #post(item) {
    if (!this.#conversation) await this.#open();
    const { seq } = await this.#api.postMessage(this.#conversation, item);
    this.#expect(seq, item.text);
    this.#hooks.onAccepted(item, seq);
    clearTimeout(this.#nudge);
    this.#nudge = setTimeout(() => {
      if (this.#link && this.#conversation.last_seq < seq) this.#link.nudge();
    }, NUDGE_AFTER_MS);
  }

  async #open() {
    const opened = await this.#api.openConversation(this.#inbox, this.#locale, this.pageUrl);
    this.#conversation = { id: opened.id, token: opened.token, last_seq: opened.last_seq || 0 };
    this.#oldUpTo = 0;
    this.#keep();
    this.#listen();
  }

  #listen() {
    const conversation = this.#conversation;
    this.#link = new Link(this.#api, conversation, {
      onEvents: (events) => events.forEach((event) => this.#take(event)),
      onPartial: (partial) => {
        if (!this.#answered.has(partial.question_seq)) this.#hooks.onPartial(partial);
      },
      onLost: () => this.#conversation === conversation && this.#forget("ended"),
      onState: (state, failures) => this.#hooks.onState(state, failures),
      isWaiting: () => this.isWaiting,
    });
    this.#link.start();
  }

  #take(event) {
    if (event.kind === "visitor_message") {
      this.#expect(event.seq, event.text);
      this.#outbox.settle(event.idempotency_key);
    } else if (event.reply_to) {
      this.#answered.add(event.reply_to);
    }
    this.#hooks.onEvent(event, { old: event.seq <= this.#oldUpTo });
    this.#hooks.onWaiting(this.isWaiting);
    this.#keep();
  }

  #expect(seq, text) {
    this.#asked.set(seq, text);
    this.#hooks.onWaiting(this.isWaiting);
  }

  #keep() {
    const last_seq = Math.max(this.#conversation.last_seq, this.#oldUpTo);
    this.#store.write("conversation", { ...this.#conversation, last_seq });
  }

  #forget(reason) {
    if (this.#link) this.#link.stop();
    clearTimeout(this.#nudge);
    this.#link = null;
    this.#conversation = null;
    this.#asked.clear();
    this.#answered.clear();
    this.#store.clear("conversation");
    this.#hooks.onRestart(reason);
    this.#hooks.onWaiting(false);
  }
}

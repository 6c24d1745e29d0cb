/* The conversation as it stands on the page. Every word enters by textContent, never as HTML.
 *
 * Messages the server has are kept in order of `seq`; ours that it does not have yet come last.
 * A conversation that ended keeps its place above a dividing note, so two numberings never mix.
 */

const NEAR_END_PX = 96;

/* el("a", {class: "x", href: "/"}, "text", node, …): attributes that are null are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/* The address when it is a page of our own origin, null for anything else. */
export function ownAddress(url) {
  try {
    const address = new URL(url, location.href);
    return address.origin === location.origin ? address.href : null;
  } catch {
    return null;
  }
}

/* The answer as [{text, citation}], its spaces and line breaks kept where `text` has them. */
export function sentenceRuns({ text = "", sentences = [], language = "" }) {
  if (!sentences.length) return [{ text, citation: null }];
  const runs = [];
  let at = 0;
  for (const sentence of sentences) {
    const found = text.indexOf(sentence.text, at);
    if (found === -1) return joined(sentences, language);
    if (found > at) runs.push({ text: text.slice(at, found), citation: null });
    runs.push({ text: sentence.text, citation: sentence.citation ?? null });
    at = found + sentence.text.length;
  }
  return runs;
}

/* Citations with the number of their source: those of one passage share it, whatever they quote there. */
function numbered(citations) {
  const passages = new Map();
  return citations.map((citation) => {
    const key = citation.passage ?? `n${citation.n}`;
    if (!passages.has(key)) passages.set(key, passages.size + 1);
    return { ...citation, source: passages.get(key) };
  });
}

function joined(sentences, language) {
  const gap = /^(zh|ja)/i.test(language) ? "" : " ";
  return sentences.map((sentence, at) => ({
    text: (at ? gap : "") + sentence.text,
    citation: sentence.citation ?? null,
  }));
}

export class Transcript {
  #log;
  #scroller;
  #say;
  #locale;
  #on;
  #group = null;
  #own = new Map(); // idempotency key -> list item
  #partial = null; // {seq, entry, bubble}: the answer that is being written

  /* `on`: retry(key), askAgain(seq), choose(text, passage), behind(is there something new below the fold). */
  constructor({ log, scroller, say, locale, on }) {
    this.#log = log;
    this.#scroller = scroller;
    this.#say = say;
    this.#locale = locale;
    this.#on = on;
    this.#startGroup();
    scroller.addEventListener("scroll", () => this.#atEnd() && on.behind(false), { passive: true });
  }

  /* One of our messages that the server does not have yet: item {key, text, state, detail}. */
  showOutgoing(item) {
    const known = this.#own.get(item.key);
    const entry = known || this.#ownEntry(item);
    if (!known) {
      this.#own.set(item.key, entry);
      this.#group.append(entry);
      this.scrollToEnd();
    }
    entry.dataset.state = item.state;
    const status = entry.querySelector(".status");
    if (item.state === "failed") {
      const retry = el("button", { type: "button", class: "link" }, this.#say("retry"));
      retry.addEventListener("click", () => this.#on.retry(item.key));
      const why = item.detail || this.#say("unknownProblem");
      status.replaceChildren(el("span", { class: "problem" }, this.#say("notSent")), ` ${why} `);
      status.append(retry);
    } else {
      status.textContent = this.#say(item.state);
    }
  }

  /* The server has our message with this key, as number `seq`. */
  accept(key, seq, createdAt = new Date().toISOString()) {
    const entry = this.#own.get(key);
    if (!entry || entry.dataset.seq) return;
    entry.dataset.state = "sent";
    entry.querySelector(".status").replaceChildren(...this.#sentAt(createdAt));
    this.#place(entry, seq);
  }

  addVisitor(event) {
    if (this.#own.has(event.idempotency_key)) {
      this.accept(event.idempotency_key, event.seq, event.created_at);
      return;
    }
    const item = { key: event.idempotency_key, text: event.text, state: "sent" };
    const entry = this.#ownEntry(item);
    this.#own.set(item.key, entry);
    this.accept(item.key, event.seq, event.created_at);
  }

  /* The text so far of the answer to message `question_seq`. It grows in one bubble, which the answer
   * replaces; only that is read aloud. */
  showPartial({ question_seq: seq, text }) {
    const follow = this.#atEnd();
    if (!this.#partial || this.#partial.seq !== seq) this.#startPartial(seq);
    const { bubble } = this.#partial;
    const before = bubble.textContent;
    if (text === before) return;
    if (!text.startsWith(before)) bubble.textContent = "";
    const fresh = text.slice(bubble.textContent.length);
    bubble.append(el("span", { class: "fresh" }, fresh));
    if (follow) this.scrollToEnd();
  }

  addAnswer(event) {
    this.#endPartial();
    const entry = this.#botEntry("answer");
    entry.dataset.outcome = event.outcome;
    const bubble = el("p", { class: "bubble", lang: event.language || null });
    const citations = Array.isArray(event.citations) ? event.citations : [];
    const byNumber = new Map(numbered(citations).map((citation) => [citation.n, citation]));
    const runs = sentenceRuns(event);
    runs.forEach((run, at) => {
      bubble.append(run.text);
      const citation = byNumber.get(run.citation);
      const next = runs.slice(at + 1).find((other) => other.citation !== null || other.text.trim());
      if (citation && next?.citation !== run.citation) bubble.append(this.#marker(citation));
    });
    entry.append(bubble);
    if (citations.length) entry.append(this.#sources([...byNumber.values()], event.language));
    if (Array.isArray(event.choices) && event.choices.length) entry.append(this.#choices(event));
    this.#arrive(entry, event.seq);
  }

  addFailure(event) {
    this.#endPartial();
    const entry = this.#botEntry("failure");
    const again = el("button", { type: "button", class: "pill" }, this.#say("retry"));
    again.addEventListener("click", () => {
      again.remove();
      this.#on.askAgain(event.reply_to);
    });
    const detail = event.detail || this.#say("unknownProblem");
    entry.append(el("div", { class: "bubble notice" }, el("p", {}, detail), again));
    this.#arrive(entry, event.seq);
  }

  /* Closes what stands above with a note; what follows belongs to another conversation. */
  divide(text) {
    this.#endPartial();
    const waiting = [...this.#group.children].filter((entry) => !entry.dataset.seq);
    this.#log.append(el("p", { class: "divider" }, text));
    this.#startGroup();
    this.#group.append(...waiting);
    this.scrollToEnd();
  }

  scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #startGroup() {
    this.#group = el("ol", { class: "messages" });
    this.#log.append(this.#group);
  }

  #ownEntry(item) {
    const who = el("span", { class: "unseen" }, this.#say("you"));
    const bubble = el("p", { class: "bubble" }, item.text);
    const status = el("p", { class: "status", "aria-live": "off" });
    return el("li", { class: "message visitor" }, who, bubble, status);
  }

  #botEntry(kind) {
    const who = el("span", { class: "unseen" }, this.#say("assistant"));
    return el("li", { class: `message bot ${kind}` }, who);
  }

  /* What the visitor may choose from; one is enough, and it is sent like any other message. */
  #choices({ choices, language }) {
    const list = el("ul", { class: "choices", "aria-label": this.#say("choices"), lang: language || null });
    for (const { text, excerpt, document: source, passage } of choices) {
      const button = el("button", { type: "button" }, el("span", { class: "choice" }, text));
      if (excerpt) button.append(el("span", { class: "excerpt" }, excerpt));
      if (source && source !== text) button.append(el("span", { class: "excerpt from" }, source));
      button.addEventListener("click", () => {
        for (const one of list.querySelectorAll("button")) one.disabled = true;
        button.setAttribute("aria-pressed", "true");
        this.#on.choose(text, passage ?? null);
      });
      list.append(el("li", {}, button));
    }
    return list;
  }

  #startPartial(seq) {
    this.#endPartial();
    const bubble = el("p", { class: "bubble" });
    const entry = el("li", { class: "message bot partial", "aria-hidden": "true" }, bubble);
    this.#partial = { seq, entry, bubble };
    this.#place(entry, seq + 0.5); // after its question, before any event that is still to come
  }

  #endPartial() {
    if (this.#partial) this.#partial.entry.remove();
    this.#partial = null;
  }

  #sentAt(createdAt) {
    const when = new Date(createdAt);
    if (Number.isNaN(when.getTime())) return [];
    const time = when.toLocaleTimeString(this.#locale, { hour: "2-digit", minute: "2-digit" });
    return [el("time", { datetime: when.toISOString() }, this.#say("sent", { time }))];
  }

  #nameOf(citation) {
    return [citation.document, citation.section].filter(Boolean).join(" · ");
  }

  #marker(citation) {
    const name = this.#nameOf(citation);
    const address = ownAddress(citation.url);
    const mark = el(
      address ? "a" : "span",
      {
        class: "marker",
        href: address,
        target: address && "_blank",
        rel: address && "noopener",
        title: name,
        "aria-label": this.#say("source", { n: citation.source, name }),
      },
      String(citation.source),
    );
    return el("sup", {}, mark);
  }

  #sources(citations, language) {
    const list = el("ol");
    const sources = new Map();
    for (const one of citations) sources.set(one.source, [...(sources.get(one.source) ?? []), one]);
    for (const [source, [citation, ...more]] of sources) {
      const address = ownAddress(citation.url);
      const name = this.#nameOf(citation);
      const label = address
        ? el(
            "a",
            { href: address, target: "_blank", rel: "noopener" },
            name,
            el("span", { class: "unseen" }, ` ${this.#say("newTab")}`),
          )
        : el("span", {}, name);
      const entry = el(
        "li",
        {},
        el("span", { class: "number", "aria-hidden": "true" }, String(source)),
        label,
      );
      const quotes = [citation, ...more].map((one) => one.quote).filter(Boolean);
      if (quotes.length) {
        const said = quotes.map((quote) => el("blockquote", { lang: language || null }, quote));
        entry.append(el("details", {}, el("summary", {}, this.#say("quote")), ...said));
      }
      list.append(entry);
    }
    return el("div", { class: "sources" }, el("h3", {}, this.#say("sources")), list);
  }

  #place(entry, seq) {
    entry.dataset.seq = seq;
    const later = [...this.#group.children].find(
      (other) => other !== entry && (!other.dataset.seq || Number(other.dataset.seq) > seq),
    );
    if (later === undefined) {
      if (this.#group.lastElementChild !== entry) this.#group.append(entry);
    } else if (entry.nextElementSibling !== later) {
      this.#group.insertBefore(entry, later);
    }
  }

  /* Puts a reply in its place; follows it when the reader is at the end, says so when not. */
  #arrive(entry, seq) {
    const follow = this.#atEnd();
    this.#place(entry, seq);
    if (!follow) {
      this.#on.behind(true);
      return;
    }
    this.scrollToEnd();
    const above = this.#scroller.getBoundingClientRect().top - entry.getBoundingClientRect().top;
    if (above > 0) this.#scroller.scrollTop -= above + 12; // a long answer is read from its start
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }
}

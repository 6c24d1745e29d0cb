/* The chat page inside the iframe: reads its settings, joins the parts, keeps the keyboard whole.
 *
 * Settings come from the body's data attributes (inbox, name, greeting, colour, locale, api).
 * What is said is kept by chat.js, shown by transcript.js, written in composer.js; host.js speaks
 * with the page that embeds us. Open on its own, the page works the same, without a close button.
 */

import { createApi } from "./api.js";
import { Chat } from "./chat.js";
import { applyBrand } from "./colour.js";
import { createComposer } from "./composer.js";
import { connectHost } from "./host.js";
import { createStore } from "./store.js";
import { nearestLocale, phrasebook } from "./strings.js";
import { Transcript } from "./transcript.js";

const SLOW_REPLY_MS = 15000;
const FAILURES_WORTH_SAYING = 2;

const settings = document.body.dataset;
const root = document.documentElement;
const locale = nearestLocale(settings.locale);
const say = phrasebook(locale);
const $ = (id) => document.getElementById(id);

let visible = window.parent === window;
let modal = false;
let unread = 0;
let slowTimer = 0;
let troubled = false;

for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
for (const node of document.querySelectorAll("[data-say-label]")) {
  node.setAttribute("aria-label", say(node.dataset.sayLabel));
}
$("box").placeholder = say("placeholder");
applyBrand(root, settings.colour);

const transcript = new Transcript({
  log: $("log"),
  scroller: $("scroller"),
  say,
  locale,
  on: {
    retry: (key) => chat.retry(key),
    askAgain: (seq) => chat.askAgain(seq),
    choose: (text, passage) => chat.send(text, passage),
    behind: (is) => {
      $("jump").hidden = !is;
    },
  },
});

const chat = new Chat({
  api: createApi(settings.api),
  inbox: settings.inbox,
  locale,
  store: createStore(`trefoil:${settings.inbox}`),
  hooks: {
    onEvent: showEvent,
    onPartial: (partial) => transcript.showPartial(partial),
    onOutbox: (item) => {
      hideSuggestions();
      transcript.showOutgoing(item);
      if (item.state === "failed") announce(`${say("notSent")} ${item.detail}`);
      if (item.state === "waiting") announce(say("waiting"));
    },
    onAccepted: (item, seq) => transcript.accept(item.key, seq),
    onRestart: (reason) => transcript.divide(say(reason)),
    onState: (state, failures) => {
      troubled = state === "retrying" && failures >= FAILURES_WORTH_SAYING;
      showLine();
    },
    onWaiting: showWaiting,
  },
});

const composer = createComposer({
  form: $("composer"),
  say,
  announce,
  onSend: (text) => chat.send(text),
});

const host = connectHost({
  opened: (message) => {
    visible = true;
    modal = message.modal === true;
    if (typeof message.pageUrl === "string") chat.pageUrl = message.pageUrl;
    composer.unlock();
    countUnread(0);
    // On a phone the keyboard would cover the greeting, so the heading gets the focus there.
    // A frame that was hidden cannot take the focus before it is painted again.
    requestAnimationFrame(() => (modal ? $("title") : $("box")).focus());
  },
  hidden: () => {
    visible = false;
  },
  modal: (now) => {
    modal = now;
  },
  theme: (theme) => {
    root.dataset.theme = theme === "light" || theme === "dark" ? theme : "auto";
  },
  colour: (hex) => applyBrand(root, hex),
});

function showEvent(event, { old }) {
  hideSuggestions();
  $("log").setAttribute("aria-live", old ? "off" : "polite");
  if (event.kind === "visitor_message") transcript.addVisitor(event);
  if (event.kind === "bot_message") transcript.addAnswer(event);
  if (event.kind === "failed") transcript.addFailure(event);
  if (!old && !visible && event.kind !== "visitor_message") countUnread(unread + 1);
}

function hideSuggestions() {
  $("suggestions").hidden = true;
}

function countUnread(count) {
  unread = count;
  host.unread(unread);
}

function showWaiting(waiting) {
  const typing = $("typing");
  if (typing.hidden === !waiting) return;
  clearTimeout(slowTimer);
  typing.hidden = !waiting;
  typing.lastElementChild.textContent = waiting ? say("typing") : "";
  if (!waiting) return;
  transcript.scrollToEnd();
  slowTimer = setTimeout(() => {
    typing.lastElementChild.textContent = say("typingLong");
  }, SLOW_REPLY_MS);
}

function showLine() {
  const text = !navigator.onLine ? say("offline") : troubled ? say("reconnecting") : "";
  const line = $("line");
  if (line.textContent === text) return;
  line.textContent = text;
  line.hidden = !text;
}

/* Says something to screen readers that the log itself does not say. */
function announce(text) {
  $("aloud").textContent = text;
}

/* On a phone the chat covers the page, so Tab goes round inside it. */
function keepFocusInside(event) {
  const stops = [...document.querySelectorAll("a[href], button, textarea, summary")].filter(
    (node) => node.getClientRects().length > 0 && !node.disabled,
  );
  const first = stops[0];
  const last = stops[stops.length - 1];
  const from = document.activeElement;
  if (event.shiftKey && (from === first || from === $("title"))) {
    event.preventDefault();
    last.focus();
  } else if (!event.shiftKey && from === last) {
    event.preventDefault();
    first.focus();
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) host.close();
  if (event.key === "Tab" && modal) keepFocusInside(event);
});
$("suggestions").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  chat.send(button.textContent.trim());
  composer.focus();
});
$("close").hidden = !host.embedded;
$("close").addEventListener("click", () => host.close());
$("jump").addEventListener("click", () => {
  transcript.scrollToEnd();
  $("jump").hidden = true;
  composer.focus();
});
window.addEventListener("online", () => {
  showLine();
  announce(say("restored"));
  chat.wake();
});
window.addEventListener("offline", showLine);

showLine();
if (!host.embedded) composer.unlock(); // else with the host's first word, which says where we are
if (!chat.restore()) $("suggestions").hidden = !$("suggestions").querySelector("button");

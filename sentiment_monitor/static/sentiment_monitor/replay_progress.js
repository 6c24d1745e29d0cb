// A running replay: how long it still takes, judged by how fast it went since the page was opened.

const JUDGED_AFTER_MS = 3000;

/** `onSeen` is called at every poll of a running replay. */
export function followReplay(onSeen) {
  let began = null;
  document.body.addEventListener("htmx:beforeSwap", stayOnPage);
  document.body.addEventListener("htmx:load", () => {
    const bar = document.querySelector(".tf-replay[data-share]");
    if (!bar) return;
    const now = { at: Date.now(), share: Number(bar.dataset.share) };
    if (!began || now.share < began.share) began = now;
    const left = secondsLeft(began, now);
    if (left !== null) tell(bar.querySelector("[data-left]"), left);
    onSeen();
  });
}

/** A poll that is answered by the sign-in page must not be put into this one. */
function stayOnPage(event) {
  const answered = event.detail.xhr.responseURL;
  if (!answered || !new URL(answered).pathname.endsWith("/login/")) return;
  event.detail.shouldSwap = false;
  window.location.reload();
}

function secondsLeft(began, now) {
  const played = now.share - began.share;
  const took = now.at - began.at;
  return played > 0 && took >= JUDGED_AFTER_MS ? (((1 - now.share) / played) * took) / 1000 : null;
}

function tell(element, seconds) {
  const soon = seconds < 90;
  const value = soon ? Math.max(5, Math.ceil(seconds / 5) * 5) : Math.round(seconds / 60);
  const format = { style: "unit", unit: soon ? "second" : "minute", unitDisplay: "long" };
  const words = new Intl.NumberFormat(document.documentElement.lang, format).format(value);
  element.textContent = ` · ${element.dataset.left.replace("__time__", words)}`;
}

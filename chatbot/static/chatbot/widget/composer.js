/* The box people write in: grows with the text, counts near the limit, Enter sends. */

export const LIMIT = 2000;
const COUNT_FROM = 1800;

/* The length the server counts: Unicode characters of the trimmed text. */
export function lengthOf(text) {
  return [...text.trim()].length;
}

/* Wires `form` with its textarea, button and counter. `onSend(text)` gets a usable, trimmed text. */
export function createComposer({ form, say, announce, onSend }) {
  const box = form.querySelector("textarea");
  const button = form.querySelector("button");
  const counter = form.querySelector(".counter");
  let lastBand = "";

  function refresh() {
    const used = lengthOf(box.value);
    const over = used > LIMIT;
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
    counter.hidden = used < COUNT_FROM;
    counter.textContent = over
      ? say("over", { n: used - LIMIT })
      : say("count", { used, limit: LIMIT });
    counter.classList.toggle("problem", over);
    box.setAttribute("aria-invalid", String(over));
    button.setAttribute("aria-disabled", String(over || used === 0));
    speak(used, over);
  }

  /* Aloud only on crossing a mark: a count at every key would drown the reader's own echo. */
  function speak(used, over) {
    const band = over ? "over" : used >= 1950 ? "last" : used >= COUNT_FROM ? "near" : "";
    if (band && band !== lastBand) {
      announce(over ? say("over", { n: used - LIMIT }) : say("left", { n: LIMIT - used }));
    }
    lastBand = band;
  }

  function submit() {
    const text = box.value.trim();
    if (!text || lengthOf(text) > LIMIT) {
      box.focus();
      return;
    }
    box.value = "";
    refresh();
    onSend(text);
  }

  box.addEventListener("input", refresh);
  box.addEventListener("keydown", (event) => {
    const composing = event.isComposing || event.keyCode === 229; // an input method is choosing
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    submit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  refresh();
  return {
    focus: () => box.focus(),
    /* The page comes locked: what is written before the parts are joined would not be sent. */
    unlock: () => {
      box.readOnly = false;
      button.disabled = false;
    },
  };
}

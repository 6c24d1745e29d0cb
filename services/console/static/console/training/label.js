// Labelling by keys: 1 to 9 label, s skips, u takes back, / searches, ? helps. Buttons do the same.

const page = document.getElementById("label");
if (page) start(page);

function start(root) {
  let sent = false;
  document.body.addEventListener("htmx:beforeRequest", () => { sent = true; });
  document.body.addEventListener("htmx:afterRequest", () => { sent = false; });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const search = root.querySelector("#q");
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "?") {
      const help = root.querySelector("[data-help]");
      help.open = !help.open;
    } else if (!sent) { // one decision at a time: the next text is not there yet
      root.querySelector(`[data-key="${CSS.escape(event.key)}"]:not(:disabled)`)?.click();
    }
  });
}

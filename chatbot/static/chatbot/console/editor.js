// Support → Knowledge, written: unsaved text outlives the page, Ctrl+S saves, leaving warns, the preview has two faces.

const SENT = "entry-sent";
const LATER_MS = 400;
const form = document.getElementById("entry");
if (form) start(form);

function start(form) {
  const fields = [...form.elements].filter((field) => field.name && field.type !== "hidden");
  const kept = [...fields, form.elements.expected];
  const key = `entry:${form.dataset.user}:${location.pathname}${place()}`;
  const dirtyMark = form.querySelector("[data-dirty]");
  const words = form.querySelector("[data-dirty-words]").textContent;
  const tooLong = form.querySelector("[data-too-long]");
  const banner = document.querySelector("[data-restored]");
  const atFirst = read();
  let leaving = false;
  let timer = 0;

  if (form.dataset.saved) {
    const sent = sessionStorage.getItem(SENT);
    if (sent) drop(sent);
    drop(key);
    history.replaceState(null, "", withoutSaved());
  }
  sessionStorage.removeItem(SENT);
  if (!form.dataset.sent) restore();
  show();

  form.addEventListener("input", () => {
    show();
    clearTimeout(timer);
    timer = setTimeout(keep, LATER_MS);
  });
  form.addEventListener("change", () => {
    show();
    keep();
  });
  form.addEventListener("submit", (event) => {
    if (!fits()) {
      event.preventDefault();
      return;
    }
    keep();
    put(sessionStorage, SENT, key);
    leaving = true;
  });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  addEventListener("beforeunload", (event) => {
    if (leaving || !dirty()) return;
    keep();
    event.preventDefault();
  });
  addEventListener("pageshow", () => {
    leaving = false;
  });
  document.querySelector("[data-take-theirs]")?.addEventListener("click", () => {
    drop(key);
    leaving = true;
  });
  banner?.querySelector("[data-discard]").addEventListener("click", () => {
    drop(key);
    for (const field of kept) field.value = atFirst[field.name];
    banner.hidden = true;
    show();
    form.dispatchEvent(new CustomEvent("restored"));
    fields.find((field) => field.type !== "submit")?.focus();
  });
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      document.getElementById("preview").dataset.shown = button.dataset.show;
      for (const one of document.querySelectorAll("[data-show]")) {
        one.setAttribute("aria-pressed", String(one === button));
      }
    });
  }

  function place() {
    const at = form.elements.at?.value;
    const kind = form.elements.kind.value;
    return at === undefined ? `?${kind}` : `?${kind}=${at}`;
  }

  function read() {
    return Object.fromEntries(kept.map((field) => [field.name, field.value]));
  }

  function dirty() {
    return Boolean(form.dataset.sent) || fields.some((field) => field.value !== atFirst[field.name]);
  }

  function show() {
    dirtyMark.textContent = dirty() && !form.dataset.sent ? `● ${words}` : "";
    fits();
  }

  function fits() {
    const text = form.elements.text;
    if (!text || !tooLong) return true;
    const most = Number(form.dataset.most);
    const over = text.value.length > most;
    tooLong.hidden = !over;
    tooLong.textContent = over
      ? `▲ ${form.dataset.long.replace("{has}", text.value.length).replace("{most}", most)}`
      : "";
    return !over;
  }

  function keep() {
    clearTimeout(timer);
    if (dirty()) put(localStorage, key, JSON.stringify({ at: Date.now(), fields: read() }));
    else drop(key);
  }

  function restore() {
    let draft = null;
    try {
      draft = JSON.parse(localStorage.getItem(key));
    } catch {
      drop(key);
    }
    if (!draft?.fields || fields.every((field) => field.value === (draft.fields[field.name] ?? field.value))) return;
    for (const field of kept) field.value = draft.fields[field.name] ?? field.value;
    const when = banner.querySelector("[data-restored-at]");
    when.textContent = new Date(draft.at).toLocaleString(document.documentElement.lang || undefined);
    banner.hidden = false;
  }

  function drop(name) {
    try {
      localStorage.removeItem(name);
    } catch {
      // Storage is off: then nothing was kept either.
    }
  }

  function put(store, name, value) {
    try {
      store.setItem(name, value);
    } catch {
      // Storage is off or full: the page still warns before it is left.
    }
  }

  function withoutSaved() {
    const address = new URL(location.href);
    address.searchParams.delete("saved");
    return address;
  }
}

// Support → Intents: slots are added and taken away, and a placeholder nothing fills is told while it is typed.

const PLACEHOLDER = /\{([A-Za-z_][A-Za-z0-9_]*)(?:\.[A-Za-z0-9_]+)*\}/g;
const form = document.getElementById("intent");
if (form) start(form);

function start(form) {
  const list = form.querySelector("[data-slots]");
  const template = form.querySelector("[data-slot-template]");
  const add = form.querySelector("[data-add-slot]");
  const most = Number(list.dataset.most);

  for (const row of list.querySelectorAll("[data-slot]")) ready(row);
  add.hidden = false;
  add.addEventListener("click", () => {
    const n = free();
    if (n < 0) return;
    const html = template.innerHTML.replaceAll("__n__", String(n));
    list.insertAdjacentHTML("beforeend", html);
    const row = list.lastElementChild;
    ready(row);
    row.querySelector("[data-slot-name]").focus();
  });
  for (const button of form.querySelectorAll("[data-add]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const examples = form.querySelector("#examples");
      examples.value = [examples.value.trimEnd(), button.dataset.add].filter(Boolean).join("\n");
      button.disabled = true;
    });
  }
  form.addEventListener("input", check);
  check();

  function ready(row) {
    const remove = row.querySelector("[data-remove]");
    remove.hidden = false;
    remove.addEventListener("click", () => {
      row.remove();
      add.disabled = false;
      add.focus();
      check();
    });
    const kind = row.querySelector("[data-kind]");
    const fit = () => {
      for (const field of row.querySelectorAll("[data-for]")) {
        field.hidden = !field.dataset.for.split(" ").includes(kind.value);
      }
    };
    kind.addEventListener("change", fit);
    fit();
    add.disabled = free() < 0;
  }

  function free() {
    const taken = new Set([...list.querySelectorAll("[data-slot-name]")].map((field) => field.name));
    for (let n = 0; n < most; n += 1) if (!taken.has(`slot-${n}-name`)) return n;
    return -1;
  }

  function check() {
    const names = new Set([...list.querySelectorAll("[data-slot-name]")].map((field) => field.value.trim()));
    const acts = form.querySelector("#action-method").value || form.querySelector("#action-url").value.trim();
    for (const field of form.querySelectorAll("[data-filled]")) {
      const told = form.querySelector(`[data-unknown-of="${field.id}"]`);
      const replied = acts && field.id !== "action-url";
      const lost = [...field.value.matchAll(PLACEHOLDER)].find(
        (match) => !names.has(match[1]) && !(replied && match[1] === "reply"),
      );
      told.hidden = !lost;
      told.textContent = lost ? `▲ ${form.dataset.unknown.replace("{}", lost[0])}` : "";
    }
    const outside = form.querySelector("#name").value.trim() === form.dataset.outside;
    form.querySelector("[data-inside]").hidden = outside;
  }
}

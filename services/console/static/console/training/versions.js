// Models → Versions: exactly two versions can be compared; a promotion is confirmed where it is asked for.

const page = document.getElementById("versions");
if (page) start(page);

function start(root) {
  const boxes = [...root.querySelectorAll('input[name="version"][type="checkbox"]')];
  const button = root.querySelector("[data-compare]");
  const fit = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    if (button) button.disabled = ticked !== 2;
    for (const box of boxes) box.disabled = ticked === 2 && !box.checked;
  };
  for (const box of boxes) box.addEventListener("change", fit);
  fit();
  for (const details of root.querySelectorAll("details.tr-act")) {
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      details.open = false;
      details.querySelector("summary").focus();
    });
    details.addEventListener("toggle", () => {
      if (details.open) details.querySelector('input:not([type="hidden"])')?.focus();
    });
  }
}

// Support → Bench → How careful: the slider's number, and the reliability curve in the page's colours.

const page = document.getElementById("bench");
let chart = null;
if (page) start(page);

function start(root) {
  const slider = root.querySelector("#careful-value");
  const shown = root.querySelector(".bn-range output");
  const number = new Intl.NumberFormat(document.documentElement.lang || "en", { minimumFractionDigits: 2 });
  if (slider) {
    slider.value = slider.dataset.saved; // browsers keep what was there before a reload
    slider.addEventListener("input", () => { shown.value = number.format(Number(slider.value)); });
    slider.form.addEventListener("submit", (event) => event.preventDefault());
  }
  root.querySelector("[data-go]")?.addEventListener("change", ({ target }) => target.form.submit());
  draw(root);
  new MutationObserver(() => draw(root)).observe(document.documentElement, { attributeFilter: ["class"] });
}

/** Where it was right against how sure it was, beside the diagonal; a point's area is its count. */
function draw(root) {
  const canvas = root.querySelector("[data-curve]");
  if (!canvas) return;
  const rows = JSON.parse(document.getElementById("bench-curve").textContent);
  const words = root.dataset;
  const style = getComputedStyle(root);
  const look = (name) => style.getPropertyValue(`--cs-${name}`).trim();
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  const most = Math.max(...rows.map(({ n }) => n));
  const told = (value) => new Intl.NumberFormat(document.documentElement.lang || "en", { maximumFractionDigits: 2 }).format(value);
  const axis = (title) => ({
    type: "linear", min: 0, max: 1,
    title: { display: true, text: title, color: look("axis"), font },
    ticks: { color: look("axis"), font, stepSize: 0.2 },
    grid: { color: look("grid"), drawTicks: false },
    border: { display: false },
  });
  const config = {
    type: "line",
    data: {
      datasets: [
        {
          label: words.right, data: rows.map(({ p, right, n }) => ({ x: p, y: right, n })),
          borderColor: look("hue-1"), backgroundColor: look("hue-1"), borderWidth: 2, clip: false,
          pointRadius: rows.map(({ n }) => 3 + 9 * Math.sqrt(n / most)), pointHoverRadius: rows.map(({ n }) => 4 + 9 * Math.sqrt(n / most)),
        },
        {
          label: words.perfect, data: [{ x: 0, y: 0 }, { x: 1, y: 1 }],
          borderColor: look("axis"), borderDash: [4, 4], borderWidth: 1, pointRadius: 0, pointHitRadius: 0,
        },
      ],
    },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, parsing: false,
      layout: { padding: 12 },
      plugins: {
        legend: { display: false },
        tooltip: {
          bodyFont: font, titleFont: font, filter: ({ raw }) => raw.n !== undefined,
          callbacks: {
            title: (items) => (items.length ? `${words.said}: ${told(items[0].raw.x)}` : ""),
            label: ({ raw }) => ` ${words.right}: ${told(raw.y)} (${raw.n} ${words.cases})`,
          },
        },
      },
      scales: { x: axis(words.said), y: axis(words.right) },
    },
  };
  canvas.setAttribute("aria-label", rows.map(({ p, right, n }) => `${told(p)}: ${told(right)} (${n})`).join("; "));
  chart?.destroy();
  chart = new Chart(canvas, config);
}

/* The demo shop's page script: filters, search and sort over the cards the server rendered.
 *
 * What is shown follows from the address alone (?category=outdoor&kind=tents&q=wool&sort=price), so a
 * link, a reload and the back button all lead to the same shelf. Without this script the page shows
 * everything. Cards and the product carry data-item-id for whoever wants to note what was looked at.
 */
(() => {
  "use strict";

  const PAGE = 24;
  const $ = (id) => document.getElementById(id);

  /* Lower case, no accents: "Café Crème" -> "cafe creme". */
  function plain(text) {
    return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  }

  /* One card from each kind in turn, so that the first screen shows the whole shop. */
  function mixed(cards) {
    const kinds = new Map();
    for (const card of cards) {
      const kind = card.dataset.leaf;
      if (!kinds.has(kind)) kinds.set(kind, []);
      kinds.get(kind).push(card);
    }
    // Every fifth kind, five times over: neighbours on the page come from different shelves.
    const all = [...kinds.values()];
    const order = [0, 1, 2, 3, 4].flatMap((from) => all.filter((_, at) => at % 5 === from));
    const out = [];
    for (let round = 0; out.length < cards.length; round += 1) {
      for (const kind of order) if (kind[round]) out.push(kind[round]);
    }
    return out;
  }

  function shelves() {
    const grid = $("grid");
    if (!grid) return;
    const cards = mixed([...grid.children]);
    const words = new Map(cards.map((card) => [card, plain(card.dataset.words)]));
    const search = $("q");
    const sort = $("sort");
    let shown = PAGE;
    let typing = 0;

    function wanted() {
      const query = new URLSearchParams(location.search);
      const get = (name) => query.get(name) || "";
      return { category: get("category"), kind: get("kind"), q: get("q"), sort: get("sort") };
    }

    function matching({ category, kind, q }) {
      const terms = plain(q).split(/\s+/).filter(Boolean);
      return cards.filter(
        (card) =>
          (!category || card.dataset.category === category) &&
          (!kind || card.dataset.leaf === kind) &&
          terms.every((term) => words.get(card).includes(term)),
      );
    }

    function sorted(found, by) {
      const price = (card) => Number(card.dataset.price);
      const title = (card) => card.querySelector("h3").textContent;
      if (by === "price") return [...found].sort((a, b) => price(a) - price(b));
      if (by === "-price") return [...found].sort((a, b) => price(b) - price(a));
      if (by === "title") return [...found].sort((a, b) => title(a).localeCompare(title(b)));
      return found;
    }

    function headline({ category, kind, q }) {
      const name = (selector) => document.querySelector(selector)?.textContent.trim();
      const shelf =
        (kind && name(`.leaves [data-kind="${CSS.escape(kind)}"]`)) ||
        (category && name(`.shelves [data-shelf="${CSS.escape(category)}"]`)) ||
        $("items-title").dataset.everything;
      return q ? `${shelf}: “${q}”` : shelf;
    }

    function show() {
      const state = wanted();
      const found = sorted(matching(state), state.sort);
      grid.replaceChildren(...found.slice(0, shown));
      grid.hidden = found.length === 0;
      $("empty").hidden = found.length > 0;
      $("more").hidden = found.length <= shown;
      const count = $("count");
      const phrase = found.length === 1 ? count.dataset.one : count.dataset.many;
      count.textContent = phrase.replace("#", found.length);
      $("items-title").textContent = headline(state);
      const home = !state.category && !state.kind && !state.q;
      $("hero").hidden = $("tiles").hidden = $("picked").hidden = !home;
      for (const list of document.querySelectorAll(".leaves")) {
        list.hidden = list.dataset.leaves !== state.category;
      }
      for (const link of document.querySelectorAll(".shelves a, .leaves a")) {
        const { shelf, kind = "" } = link.dataset;
        const inLeaves = link.closest(".leaves") !== null;
        const here = shelf === state.category && (!inLeaves || kind === state.kind);
        if (here) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      const row = document.querySelector(".shelves ul");
      const current = row.querySelector("[aria-current]");
      if (current) row.scrollLeft = current.offsetLeft - row.offsetLeft - row.clientWidth / 3;
      if (document.activeElement !== search) search.value = state.q;
      sort.value = state.sort;
    }

    function go(changes, { replace = false } = {}) {
      const state = { ...wanted(), ...changes };
      const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
      const address = `${location.pathname}?${query}`.replace(/\?$/, "");
      shown = PAGE;
      if (replace) history.replaceState(null, "", address);
      else history.pushState(null, "", address);
      show();
    }

    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-shelf]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      const again = link.closest(".leaves") && link.hasAttribute("aria-current");
      const kind = again ? "" : link.dataset.kind || "";
      go({ category: link.dataset.shelf, kind, q: "" });
      if (link.closest(".tiles, .empty")) {
        window.scrollTo({ top: 0 });
        $("items-title").focus({ preventScroll: true });
      }
    });
    search.form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(typing);
      go({ q: search.value.trim() });
    });
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => go({ q: search.value.trim() }, { replace: true }), 180);
    });
    sort.addEventListener("change", () => go({ sort: sort.value }));
    $("more").addEventListener("click", () => {
      const first = grid.children.length;
      shown += PAGE;
      show();
      grid.children[first].querySelector("a").focus();
    });
    addEventListener("popstate", () => {
      shown = PAGE;
      show();
    });
    $("sorting").hidden = false;
    show();
  }

  const UNITS = {
    g: "g", kg: "kg", mm: "mm", cm: "cm", m: "m", m2: "m²", um: "µm", in: "in", l: "l", ml: "ml",
    w: "W", h: "h", min: "min", c: "°C", mah: "mAh", bar: "bar", hrc: "HRC", "l/min": "l/min",
  };
  const NAMES = { lumens: "Brightness (lm)", kelvin: "Colour temperature (K)", gsm: "Fabric weight (g/m²)",
    tog: "Warmth (tog)", r_value: "R-value", fits_laptop_in: "Fits laptops up to (in)" };

  /* "waterproof_mm", "4000" -> "Waterproof", "4,000 mm". */
  function readable(key, value) {
    const parts = key.replace("_l_min", "_l/min").split("_");
    const unit = parts.length > 1 ? UNITS[parts[parts.length - 1]] : undefined;
    const number = value !== "" && !Number.isNaN(Number(value));
    const amount = number ? Number(value).toLocaleString(document.documentElement.lang) : value;
    if (NAMES[key]) return [NAMES[key], amount];
    const words = (unit ? parts.slice(0, -1) : parts).join(" ");
    const name = words.charAt(0).toUpperCase() + words.slice(1);
    return [name, unit && number ? `${amount} ${unit}` : amount];
  }

  function facts() {
    for (const head of document.querySelectorAll("[data-attribute]")) {
      const cell = head.nextElementSibling;
      const [name, value] = readable(head.dataset.attribute, cell.textContent.trim());
      head.textContent = name;
      cell.textContent = value;
    }
  }

  function chatButtons() {
    for (const button of document.querySelectorAll("[data-open-chat]")) {
      button.hidden = false;
      button.addEventListener("click", () => window.trefoil && window.trefoil.open());
    }
  }

  shelves();
  facts();
  chatButtons();
})();

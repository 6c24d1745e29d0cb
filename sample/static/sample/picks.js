/* What a shop tells its recommender, and the row of picks that comes back.
 *
 * Opening an item sends a view, following a card a click, the buttons of a card or an item a cart or a
 * dislike. After a cart or a dislike the row is asked for again and replaced in place: the focus stays
 * with the card it was on, and the change is said aloud. On an item's page (data-keep) the row that the
 * server rendered stays until there are picks. Who is shopping the server knows from its cookie.
 */
(() => {
  "use strict";

  const { events, csrf } = document.body.dataset;
  const section = document.getElementById("picked");
  const heading = section.querySelector("h2");
  const slot = section.querySelector("[data-slot]");
  const said = section.querySelector("[data-said]");
  let asked = 0;

  /* Tells the server; keepalive, because the page may be left at this moment. Throws when refused. */
  async function send(item, type) {
    const answer = await fetch(events, {
      method: "POST",
      keepalive: true,
      headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
      body: JSON.stringify({ item, type }),
    });
    if (!answer.ok) throw new Error(`event refused: ${answer.status}`);
  }

  /* For what nobody waits for: a view or a click that is lost changes nothing on the page. */
  function note(item, type) {
    send(item, type).catch(() => {});
  }

  /* The picks as an element: a list, a calm message, or null when the server was not reached. */
  async function fetched() {
    try {
      const answer = await fetch(section.dataset.picks, { cache: "no-store" });
      if (!answer.ok) return null;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      return page.querySelector(".picks, .calm");
    } catch {
      return null;
    }
  }

  async function fill({ aloud = false } = {}) {
    const mine = (asked += 1);
    section.setAttribute("aria-busy", "true");
    const found = await fetched();
    if (mine !== asked) return; // a later question is on its way
    section.removeAttribute("aria-busy");
    const isList = found !== null && found.matches(".picks");
    if (!isList && "keep" in section.dataset) return;
    const before = idsIn(slot).join();
    replace(found || unreached());
    section.hidden = false;
    if (aloud && isList && idsIn(slot).join() !== before) say(section.dataset.changed);
  }

  function unreached() {
    return section.querySelector("[data-unreached]").content.cloneNode(true);
  }

  /* Swaps the row, marks what is new in it, and gives the focus back to where it was. */
  function replace(content) {
    const before = new Set(idsIn(slot));
    const held = slot.contains(document.activeElement) ? placeOf(document.activeElement) : null;
    slot.replaceChildren(content);
    if (before.size) {
      for (const card of slot.querySelectorAll(".card")) {
        card.classList.toggle("fresh", !before.has(card.dataset.itemId));
      }
    }
    if (held) (find(held) || heading).focus({ preventScroll: true });
  }

  function idsIn(node) {
    return [...node.querySelectorAll("[data-item-id]")].map((card) => card.dataset.itemId);
  }

  /* {item, event}: which card's control; event "" is the card's link. */
  function placeOf(control) {
    const card = control.closest("[data-item-id]");
    return { item: card ? card.dataset.itemId : "", event: control.dataset.event || "" };
  }

  function find({ item, event }) {
    const card = slot.querySelector(`[data-item-id="${CSS.escape(item)}"]`);
    return card && card.querySelector(event ? `[data-event="${event}"]` : "a");
  }

  function say(text) {
    said.textContent = "";
    requestAnimationFrame(() => {
      said.textContent = text;
    });
  }

  async function turnDown(card, button) {
    const next = card.nextElementSibling || card.previousElementSibling;
    const after = card.nextElementSibling;
    const list = card.parentElement;
    const focused = card.contains(document.activeElement);
    card.remove();
    if (focused) ((next && next.querySelector('[data-event="dislike"]')) || heading).focus();
    try {
      await send(card.dataset.itemId, "dislike");
    } catch {
      if (list.isConnected) list.insertBefore(card, after && after.isConnected ? after : null);
      if (focused && list.isConnected) button.focus();
      say(section.dataset.failed);
      return;
    }
    fill({ aloud: true });
  }

  async function putInBasket(holder, button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    const words = button.querySelector("[data-words]");
    const before = words.textContent;
    button.setAttribute("aria-disabled", "true");
    words.textContent = words.dataset.done;
    say(words.dataset.done);
    try {
      await send(holder.dataset.itemId, "cart");
    } catch {
      button.removeAttribute("aria-disabled");
      words.textContent = before;
      say(section.dataset.failed);
      return;
    }
    fill({ aloud: true });
  }

  function follow(event) {
    const link = event.target.closest(".card h3 a");
    if (link) note(link.closest(".card").dataset.itemId, "click");
  }

  document.addEventListener("click", (event) => {
    follow(event);
    const button = event.target.closest("button[data-event]");
    const holder = button && button.closest("[data-item-id]");
    if (holder && button.dataset.event === "dislike") turnDown(holder, button);
    if (holder && button.dataset.event === "cart") putInBasket(holder, button);
    if (event.target.closest("[data-again]")) fill();
  });
  document.addEventListener("auxclick", (event) => {
    if (event.button === 1) follow(event);
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) fill(); // back from an item that was looked at
  });

  const product = document.querySelector(".product[data-item-id]");
  if (product) {
    note(product.dataset.itemId, "view");
    for (const button of product.querySelectorAll("[data-event]")) button.hidden = false;
  }
  fill();
})();

/* The loader a host page embeds: a launcher button and, once it is pressed, the chat in an iframe.
 *
 *   <script src="https://chat.example/static/chatbot/widget/widget.js"
 *           data-inbox="KEY" data-locale="en" data-colour="#1d6b45" async></script>
 *
 * It stores nothing, asks the network for nothing and makes no iframe before the first open.
 * The launcher lives in a closed shadow root; the chat is a page of this script's own origin.
 * The two speak over one MessageChannel, handed over after each side has checked the other's origin:
 *   to the frame    opened {modal, pageUrl} · hidden · modal {modal} · set-theme {theme}
 *   from the frame  close · unread {count}
 * The host page may call window.trefoil: open(), close(), toggle(), setTheme("light"|"dark"|"auto").
 * It does not know conversations, tokens or messages: those never leave the frame.
 */
(() => {
  "use strict";

  const script = document.currentScript;
  if (!script || window.trefoil) return;
  const inbox = script.dataset.inbox;
  if (!inbox) {
    console.warn("widget.js: the script tag needs a data-inbox attribute; no chat is shown.");
    return;
  }

  const HANDSHAKE_TIMEOUT_MS = 12000;
  const WORDS = {
    en: {
      open: "Open chat",
      close: "Close chat",
      unread: " ({n} unread)",
      dialog: "Chat",
      loading: "Loading the chat…",
      failed: "The chat could not be loaded. Your page is fine; please try again.",
      retry: "Try again",
    },
    zh: {
      open: "打开聊天",
      close: "关闭聊天",
      unread: "（{n} 条未读）",
      dialog: "聊天",
      loading: "正在加载聊天…",
      failed: "聊天窗口未能加载，当前页面不受影响，请重试。",
      retry: "重试",
    },
  };
  const STYLE = `
    :host { all: initial; }
    .root {
      --brand: #1d6b45; --brand-ink: #fff; --surface: #fff; --ink: #1b2420; --ring: #1b2420;
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "PingFang SC",
        "Microsoft YaHei", sans-serif;
    }
    .root[data-theme="dark"] { --surface: #161c19; --ink: #e7ece9; --ring: #e7ece9; }
    @media (prefers-color-scheme: dark) {
      .root[data-theme="auto"] { --surface: #161c19; --ink: #e7ece9; --ring: #e7ece9; }
    }
    [hidden] { display: none !important; }
    button { font: inherit; cursor: pointer; }
    button:focus-visible { outline: 3px solid var(--ring); outline-offset: 3px;
      box-shadow: 0 0 0 3px var(--surface); }
    .launcher {
      position: fixed; z-index: 2147483000; box-sizing: border-box;
      right: calc(20px + env(safe-area-inset-right)); bottom: calc(20px + env(safe-area-inset-bottom));
      width: 56px; height: 56px; padding: 0; border: 2px solid transparent; border-radius: 50%;
      background: var(--brand); color: var(--brand-ink);
      box-shadow: 0 2px 6px rgb(0 0 0 / .2), 0 8px 24px rgb(0 0 0 / .18);
      display: grid; place-items: center; transition: transform .16s ease;
    }
    .launcher:hover { transform: translateY(-2px); }
    .launcher svg { width: 28px; height: 28px; fill: currentColor; display: block; }
    .badge {
      position: absolute; top: -4px; right: -4px; min-width: 22px; height: 22px; padding: 0 5px;
      box-sizing: border-box; border: 2px solid #fff; border-radius: 11px; background: #b3261e;
      color: #fff; font-size: 12px; font-weight: 700; line-height: 18px; text-align: center;
    }
    .panel {
      position: fixed; z-index: 2147483001; box-sizing: border-box; overflow: hidden;
      right: calc(20px + env(safe-area-inset-right)); bottom: calc(88px + env(safe-area-inset-bottom));
      width: min(400px, calc(100vw - 40px)); height: min(680px, calc(100vh - 112px));
      height: min(680px, calc(100dvh - 112px));
      border-radius: 16px; background: var(--surface); color: var(--ink);
      box-shadow: 0 0 0 1px rgb(0 0 0 / .08), 0 4px 12px rgb(0 0 0 / .12),
        0 16px 48px rgb(0 0 0 / .22);
      animation: rise .18s ease;
    }
    iframe { display: block; width: 100%; height: 100%; border: 0; background: var(--surface);
      color-scheme: normal; }
    .cover { position: absolute; inset: 0; z-index: 1; display: grid; place-content: center;
      justify-items: center; gap: 12px; padding: 32px; text-align: center;
      background: var(--surface); }
    .cover p { margin: 0; max-width: 34ch; }
    .cover button { min-height: 40px; padding: 0 20px; border: 1px solid currentColor;
      border-radius: 20px; background: transparent; color: inherit; }
    @keyframes rise { from { opacity: 0; transform: translateY(12px); } }
    @media (max-width: 560px), (max-height: 440px) {
      .panel { inset: 0; width: 100%; height: 100vh; height: 100dvh; border-radius: 0; }
      .launcher[aria-expanded="true"] { visibility: hidden; }
    }
    @media (prefers-reduced-motion: reduce) {
      .panel { animation: none; } .launcher { transition: none; }
      .launcher:hover { transform: none; }
    }
    @media (forced-colors: active) { .launcher, .badge, .panel { border: 1px solid CanvasText; } }
    @media print { .root { display: none; } }
  `;
  const BUBBLE =
    "M12 3C6.5 3 2 6.8 2 11.4c0 2.6 1.4 4.9 3.6 6.4-.1 1.3-.6 2.5-1.5 3.5 2-.1 3.8-.8 5.2-1.9.9.2 1.8" +
    ".3 2.7.3 5.5 0 10-3.8 10-8.4S17.5 3 12 3zM8 10.3a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6zm4 0a1." +
    "3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6zm4 0a1.3 1.3 0 1 1 0 2.6 1.3 1.3 0 0 1 0-2.6z";
  const CROSS =
    "M6.7 5.3 12 10.6l5.3-5.3 1.4 1.4-5.3 5.3 5.3 5.3-1.4 1.4-5.3-5.3-5.3 5.3-1.4-1.4 5.3-5.3-5.3-5.3z";

  const scriptUrl = new URL(script.src, location.href);
  const locale = /^zh/i.test(script.dataset.locale || "") ? "zh-hans" : "en";
  const words = locale === "en" ? WORDS.en : WORDS.zh;
  const colour = /^#[0-9a-f]{6}$/i.test(script.dataset.colour || "") ? script.dataset.colour : null;
  const phone = matchMedia("(max-width: 560px), (max-height: 440px)");

  let theme = knownTheme(script.dataset.theme);
  let iframe = null;
  let port = null;
  let openNow = false;
  let unread = 0;
  let handshakeTimer = 0;
  let lockedOverflow = null;

  const ui = build();

  function knownTheme(value) {
    return value === "light" || value === "dark" ? value : "auto";
  }

  function element(tag, attributes = {}, children = []) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function icon(path) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const shape = document.createElementNS(ns, "path");
    shape.setAttribute("d", path);
    svg.append(shape);
    return svg;
  }

  function readableInk(hex) {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const c = parseInt(hex.slice(at, at + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#101412" : "#ffffff";
  }

  function build() {
    const holder = element("div", { "data-trefoil": "" });
    const shadow = holder.attachShadow({ mode: "closed" });
    const badge = element("span", { class: "badge", "aria-hidden": "true", hidden: "" });
    const bubble = icon(BUBBLE);
    const cross = icon(CROSS);
    const launcher = element(
      "button",
      { class: "launcher", type: "button", "aria-haspopup": "dialog" },
      [bubble, cross, badge],
    );
    const coverText = element("p", { role: "status" });
    const retry = element("button", { type: "button" }, [words.retry]);
    const dismiss = element("button", { type: "button" }, [words.close]);
    const cover = element("div", { class: "cover" }, [coverText, retry, dismiss]);
    const panel = element(
      "div",
      { class: "panel", role: "dialog", "aria-label": words.dialog, hidden: "" },
      [cover],
    );
    const root = element("div", { class: "root", lang: locale }, [launcher, panel]);
    if (colour) {
      root.style.setProperty("--brand", colour);
      root.style.setProperty("--brand-ink", readableInk(colour));
    }
    dress(shadow);
    shadow.append(root);
    launcher.addEventListener("click", toggle);
    dismiss.addEventListener("click", close);
    retry.addEventListener("click", loadFrame);
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && openNow) close();
    });
    return { holder, root, launcher, bubble, cross, badge, panel, cover, coverText, retry, dismiss };
  }

  function dress(shadow) {
    try {
      const sheet = new CSSStyleSheet(); // a constructed sheet passes a host's style-src policy
      sheet.replaceSync(STYLE);
      shadow.adoptedStyleSheets = [sheet];
    } catch {
      shadow.append(element("style", {}, [STYLE]));
    }
  }

  function paint() {
    ui.root.dataset.theme = theme;
    ui.bubble.toggleAttribute("hidden", openNow);
    ui.cross.toggleAttribute("hidden", !openNow);
    ui.badge.hidden = openNow || unread === 0;
    ui.badge.textContent = unread > 9 ? "9+" : String(unread);
    const label = openNow ? words.close : words.open;
    const note = !openNow && unread ? words.unread.replace("{n}", unread) : "";
    ui.launcher.setAttribute("aria-label", label + note);
    ui.launcher.setAttribute("aria-expanded", String(openNow));
    ui.panel.hidden = !openNow;
    ui.panel.setAttribute("aria-modal", String(phone.matches));
    fit();
  }

  /* Phones: fill what the on-screen keyboard leaves, and hold the page behind still. */
  function fit() {
    const full = openNow && phone.matches;
    const view = window.visualViewport;
    const shrunk = full && view && view.scale === 1 && view.height < window.innerHeight - 1;
    ui.panel.style.height = shrunk ? `${view.height}px` : "";
    ui.panel.style.top = shrunk ? `${view.offsetTop}px` : "";
    const page = document.documentElement;
    if (full && lockedOverflow === null) {
      lockedOverflow = page.style.overflow;
      page.style.overflow = "hidden";
    } else if (!full && lockedOverflow !== null) {
      page.style.overflow = lockedOverflow;
      lockedOverflow = null;
    }
  }

  function cover(text, { failed = false } = {}) {
    ui.cover.hidden = !text;
    ui.coverText.textContent = text;
    ui.retry.hidden = ui.dismiss.hidden = !failed;
  }

  function loadFrame() {
    if (port) port.close();
    if (iframe) iframe.remove();
    port = null;
    cover(words.loading);
    const url = new URL("/chat/frame/", scriptUrl);
    url.search = new URLSearchParams({ inbox, locale, host: location.origin }).toString();
    iframe = element("iframe", {
      title: words.dialog,
      referrerpolicy: "strict-origin",
      src: url.href,
    });
    ui.panel.append(iframe);
    clearTimeout(handshakeTimer);
    handshakeTimer = setTimeout(giveUp, HANDSHAKE_TIMEOUT_MS);
  }

  function giveUp() {
    cover(words.failed, { failed: true });
    if (openNow && phone.matches) ui.retry.focus();
  }

  function onReady(event) {
    if (!iframe || event.source !== iframe.contentWindow) return;
    if (event.origin !== scriptUrl.origin) return;
    if (!event.data || event.data.type !== "trefoil:ready") return;
    clearTimeout(handshakeTimer);
    if (port) port.close();
    const channel = new MessageChannel();
    port = channel.port1;
    port.onmessage = onFrameMessage;
    iframe.contentWindow.postMessage(
      { type: "trefoil:connect", theme, colour },
      scriptUrl.origin,
      [channel.port2],
    );
    cover("");
    if (openNow) tellOpened();
  }

  function onFrameMessage(event) {
    const message = event.data || {};
    if (message.type === "close") close();
    if (message.type === "unread" && Number.isInteger(message.count)) {
      unread = Math.max(0, message.count);
      paint();
    }
  }

  function tell(message) {
    if (port) port.postMessage(message);
  }

  function tellOpened() {
    // Without the query and the fragment: they may hold what is none of our business.
    tell({ type: "opened", modal: phone.matches, pageUrl: location.origin + location.pathname });
    iframe.focus();
  }

  function open() {
    if (openNow) return;
    openNow = true;
    unread = 0;
    paint();
    if (!iframe) loadFrame();
    else tellOpened();
  }

  function close() {
    if (!openNow) return;
    openNow = false;
    paint();
    tell({ type: "hidden" });
    ui.launcher.focus();
  }

  function toggle() {
    if (openNow) close();
    else open();
  }

  function setTheme(value) {
    theme = knownTheme(value);
    paint();
    tell({ type: "set-theme", theme });
  }

  function mount() {
    document.body.append(ui.holder);
    paint();
  }

  addEventListener("message", onReady);
  phone.addEventListener("change", () => {
    paint();
    tell({ type: "modal", modal: phone.matches });
  });
  if (window.visualViewport) window.visualViewport.addEventListener("resize", fit);
  window.trefoil = Object.freeze({ open, close, toggle, setTheme });
  if (document.body) mount();
  else addEventListener("DOMContentLoaded", mount, { once: true });
})();

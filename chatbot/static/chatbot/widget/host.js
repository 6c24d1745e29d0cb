/* The frame's half of the handshake with the loader (widget.js), and what they say afterwards.
 *
 * The embedding page is known by the `host` parameter the loader wrote into this page's address.
 * That it may embed us at all is the server's word (CSP frame-ancestors); here we only make sure
 * that we speak to the window that says it is that origin, and to no other.
 */

/* Calls on.opened({modal, pageUrl}), on.hidden(), on.modal(modal), on.theme(theme), on.colour(hex).
 * Returns {embedded, close(), unread(count)}; without a host page both do nothing. */
export function connectHost(on) {
  const host = hostOrigin();
  let port = null;
  const tell = (message) => port && port.postMessage(message);

  function onMessage({ data }) {
    const message = data || {};
    if (message.type === "opened") on.opened(message);
    if (message.type === "hidden") on.hidden();
    if (message.type === "modal") on.modal(message.modal === true);
    if (message.type === "set-theme") on.theme(message.theme);
  }

  if (host) {
    window.addEventListener("message", (event) => {
      if (event.source !== window.parent || event.origin !== host || port) return;
      if (!event.data || event.data.type !== "trefoil:connect" || !event.ports[0]) return;
      [port] = event.ports;
      port.onmessage = onMessage;
      on.theme(event.data.theme);
      if (event.data.colour) on.colour(event.data.colour);
    });
    window.parent.postMessage({ type: "trefoil:ready" }, host);
  }
  return {
    embedded: Boolean(host),
    close: () => tell({ type: "close" }),
    unread: (count) => tell({ type: "unread", count }),
  };
}

/* The origin the loader named, when we are framed and nothing the browser knows contradicts it. */
function hostOrigin() {
  if (window.parent === window) return null;
  let named;
  try {
    named = new URL(new URLSearchParams(location.search).get("host")).origin;
  } catch {
    return null;
  }
  const ancestors = location.ancestorOrigins;
  if (ancestors && ancestors.length && ancestors[0] !== named) return null;
  return named === "null" ? null : named;
}

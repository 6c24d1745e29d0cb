/* Server-sent events read from a fetch() body, after the WHATWG "event stream" format.
 *
 * EventSource cannot send an Authorization header, and the token must never stand in a URL.
 * Text may be cut anywhere: inside a line, between CR and LF, inside a UTF-8 character.
 */

/* A parser fed with text chunks. `onEvent({id, kind, data})` is called once per dispatched event,
 * `onRetry(ms)` when the server names a reconnection time; comments are ignored. */
export function createSseParser({ onEvent, onRetry = () => {} }) {
  let rest = "";
  let started = false;
  let afterCr = false;
  let id = "";
  let kind = "";
  let data = [];

  function field(line) {
    if (line === "") return dispatch();
    if (line.startsWith(":")) return undefined;
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") data.push(value);
    else if (name === "event") kind = value;
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^\d+$/.test(value)) onRetry(Number(value));
    return undefined;
  }

  function dispatch() {
    const event = { id, kind: kind || "message", data: data.join("\n") };
    const empty = data.length === 0;
    kind = "";
    data = [];
    if (!empty) onEvent(event);
  }

  return function push(chunk) {
    if (!chunk) return;
    let text = chunk;
    if (!started && text.startsWith("\uFEFF")) text = text.slice(1);
    started = true;
    if (afterCr && text.startsWith("\n")) text = text.slice(1);
    afterCr = false;
    rest += text;
    let from = 0;
    for (let at = 0; at < rest.length; at += 1) {
      const mark = rest[at];
      if (mark !== "\n" && mark !== "\r") continue;
      field(rest.slice(from, at));
      if (mark === "\r") {
        if (at + 1 === rest.length) afterCr = true;
        else if (rest[at + 1] === "\n") at += 1;
      }
      from = at + 1;
    }
    rest = rest.slice(from);
  };
}

/* Reads a streaming Response to its end. `onBytes` is told of every chunk, a heartbeat included.
 * Throws what the reader throws (a dropped connection, an abort); returns when the server closes. */
export async function readSse(response, { onEvent, onRetry, onBytes = () => {} }) {
  const push = createSseParser({ onEvent, onRetry });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    push(decoder.decode(value, { stream: true }));
  }
}

/* The chat API as functions: one request each, and two ways to fail that callers can tell apart. */

const REQUEST_TIMEOUT_MS = 20000;

/* The server was not reached or did not finish; the same request may be sent again. */
export class Unreachable extends Error {}

/* The server answered with problem+json. `detail` is its sentence for people, "" when it had none. */
export class Refused extends Error {
  constructor(status, code, detail, retryAfterS) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
  }

  /* The token or the conversation is no longer known. */
  get lost() {
    return this.status === 401 || this.status === 404;
  }

  /* The server asks for patience rather than for another text. */
  get passing() {
    return this.status === 429 || this.status >= 500;
  }
}

async function refusal(response) {
  let problem = {};
  try {
    problem = (await response.json()) || {};
  } catch {
    // A proxy's HTML page, or nothing: the status alone has to do.
  }
  const detail = typeof problem.detail === "string" ? problem.detail.slice(0, 400) : "";
  const wait = Number(response.headers.get("Retry-After"));
  return new Refused(response.status, String(problem.code || ""), detail, wait > 0 ? wait : 0);
}

/* fetch() that throws Unreachable (an abort included) or Refused. */
async function request(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { credentials: "omit", cache: "no-store", ...options });
  } catch (error) {
    throw new Unreachable(String(error));
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function json(url, options = {}) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), REQUEST_TIMEOUT_MS);
  try {
    const response = await request(url, { ...options, signal: controller.signal });
    return await response.json();
  } catch (error) {
    throw error instanceof Refused ? error : new Unreachable(String(error));
  } finally {
    clearTimeout(timer);
  }
}

function posted(body, token) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  return { method: "POST", headers, body: JSON.stringify(body) };
}

/* `base` ends with a slash: "/api/v1/chatbot/". */
export function createApi(base) {
  const at = (path) => new URL(path, new URL(base, location.href)).href;
  return {
    openConversation: (inbox, locale, pageUrl) =>
      json(at("conversations"), posted({ inbox, locale, page_url: pageUrl || null })),

    postMessage: ({ id, token }, { text, key, passage = null }) =>
      json(at(`conversations/${id}/messages`), posted({ text, idempotency_key: key, passage }, token)),

    /* {events, partial}: what is new, and what is being written at the moment, if anything is. */
    eventsAfter: async ({ id, token }, seq) => {
      const headers = { Authorization: `Bearer ${token}`, Accept: "application/json" };
      const answer = await json(at(`conversations/${id}/messages?after=${seq}`), { headers });
      return { events: Array.isArray(answer.events) ? answer.events : [], partial: answer.partial };
    },

    /* A Response whose body is an open event stream, from just after `seq`. */
    stream: async ({ id, token }, seq, signal) => {
      const headers = {
        Authorization: `Bearer ${token}`,
        Accept: "text/event-stream",
        "Last-Event-ID": String(seq),
      };
      const response = await request(at(`conversations/${id}/events`), { headers, signal });
      const type = response.headers.get("Content-Type") || "";
      if (!response.body || !type.startsWith("text/event-stream")) {
        throw new Unreachable(`not an event stream: ${type}`);
      }
      return response;
    },
  };
}

/* Small values in the tab's sessionStorage of our own origin; in memory where that is refused. */

const memory = new Map();

export function createStore(prefix) {
  const key = (name) => `${prefix}:${name}`;
  return {
    read(name) {
      try {
        return JSON.parse(sessionStorage.getItem(key(name)));
      } catch {
        return memory.get(key(name)) ?? null;
      }
    },
    write(name, value) {
      memory.set(key(name), value);
      try {
        sessionStorage.setItem(key(name), JSON.stringify(value));
      } catch {
        // Storage is blocked or full: the page keeps working until it is closed.
      }
    },
    clear(name) {
      memory.delete(key(name));
      try {
        sessionStorage.removeItem(key(name));
      } catch {
        // Nothing was stored, so nothing is left behind.
      }
    },
  };
}

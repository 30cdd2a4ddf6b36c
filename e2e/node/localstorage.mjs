// A browser that takes no third-party cookies, for a client library that runs in Node: load it with --import. The
// library finds a local storage and keeps the session in it, and sends it as X-Fallback-Cookies.
const storages = new Map();
let storage;

// useBrowser makes the browser of that name, with its own storage, the one that asks from here on.
globalThis.useBrowser = (name) => {
  if (!storages.has(name)) storages.set(name, new Map());
  storage = storages.get(name);
};
useBrowser('first');

globalThis.window = {
  console: { warn() {} }, // the library warns about what we are here for
  localStorage: {
    getItem: (key) => storage.get(key) ?? null,
    setItem: (key, value) => storage.set(key, String(value)),
    removeItem: (key) => storage.delete(key),
  },
};

const { fetch } = globalThis;
globalThis.fetch = (resource, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set('Origin', 'https://app.example.com');
  return fetch(resource, { ...options, headers });
};

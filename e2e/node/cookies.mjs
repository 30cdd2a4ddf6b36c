// A browser's cookies for a client library that runs in Node: load it with --import. It keeps what Set-Cookie says and
// sends it back, and names the page's origin, as a browser does for fetch with credentials.
const jars = new Map();
let jar;

// useBrowser makes the browser of that name, with its own cookies, the one that asks from here on.
globalThis.useBrowser = (name) => {
  if (!jars.has(name)) jars.set(name, new Map());
  jar = jars.get(name);
};
useBrowser('first');

const { fetch } = globalThis;
globalThis.fetch = async (resource, options = {}) => {
  const mine = jar;
  const headers = new Headers(options.headers);
  headers.set('Origin', 'https://app.example.com');
  if (options.credentials === 'include' && mine.size > 0) {
    headers.set('Cookie', [...mine].map(([name, value]) => `${name}=${value}`).join('; '));
  }
  const response = await fetch(resource, { ...options, headers });
  for (const cookie of response.headers.getSetCookie()) {
    const [pair, ...attributes] = cookie.split('; ');
    const at = pair.indexOf('=');
    const expires = attributes.find((attribute) => /^expires=/i.test(attribute));
    if (expires && Date.parse(expires.slice('expires='.length)) <= Date.now()) mine.delete(pair.slice(0, at));
    else mine.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return response;
};

// Where people come to from a provider when the app named no page of its own. An app on a phone reads the session from
// the address that it is called with.
const query = new URLSearchParams(location.search);
history.replaceState(null, "", location.pathname); // the session stays neither in the address bar nor in the history
const title = document.getElementById("title");
const text = document.getElementById("text");
const go = document.getElementById("go");

if (query.has("error") || location.pathname.endsWith("/failure")) {
  title.textContent = "That did not work";
  text.textContent = "You are not signed in. You can close this page and try again in the app.";
  try {
    const failed = JSON.parse(query.get("error"));
    if (failed && typeof failed.message === "string") {
      text.textContent = failed.message;
    }
  } catch {
    // the sentence above says enough
  }
} else {
  title.textContent = "You are signed in";
  text.textContent = "You can close this page and go on in the app.";
  const project = query.get("project");
  if (query.get("secret") && /^[A-Za-z0-9_-]{1,36}$/.test(project)) {
    go.href = `appwrite-callback-${project}:///?${query}`;
    go.hidden = false;
    location.href = go.href;
  }
}

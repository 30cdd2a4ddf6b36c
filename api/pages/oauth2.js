// Where people come to from a provider when the app named no page of its own. An app on a phone reads the session from
// the address that it is called with.
const query = new URLSearchParams(location.search);
history.replaceState(null, "", location.pathname); // the session stays neither in the address bar nor in the history
const title = document.getElementById("title");
const text = document.getElementById("text");
const go = document.getElementById("go");

if (query.has("error") || location.pathname.endsWith("/failure")) {
  title.textContent = "That did not work";
  // Anybody can make an address with an error in it: what is shown is ours.
  const sentences = {
    general_bad_request: "There is an account with your email address already. Please sign in to it as usual, and connect the other site from there.",
    user_already_exists: "This account of the other site, or its email address, belongs to another account here.",
    user_blocked: "This account is blocked.",
    user_count_exceeded: "No more accounts can be created here at the moment.",
    user_oauth2_provider_error: "The other site did not let you in, or could not be reached. Please try again in a moment.",
  };
  let type = "";
  try {
    type = JSON.parse(query.get("error")).type;
  } catch {
    // there is a sentence for that, too
  }
  text.textContent = Object.hasOwn(sentences, type) ? sentences[type] : "You are not signed in. You can close this page and try again in the app.";
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

// A person signs in by pressing the button, not by opening the page: programs that look at links in mails open them too.
const query = new URLSearchParams(location.search);
history.replaceState(null, "", location.pathname); // the secret stays neither in the address bar nor in the history
const title = document.getElementById("title");
const text = document.getElementById("text");
const button = document.getElementById("go");

function say(heading, sentence) {
  title.textContent = heading;
  text.textContent = sentence;
  button.hidden = true;
}

if (!query.get("userId") || !query.get("secret") || !query.get("project")) {
  say("This link is not complete", "Please open the link from the mail again, or ask for a new one.");
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const answer = await fetch("../v1/account/sessions/magic-url", {
      method: "PUT",
      credentials: "include",
      headers: { "Content-Type": "application/json", "X-Appwrite-Project": query.get("project") },
      body: JSON.stringify({ userId: query.get("userId"), secret: query.get("secret") }),
    });
    if (answer.ok) {
      say("You are signed in", "You can close this page and go on in the app.");
      return;
    }
    const refused = await answer.json();
    if (refused.type === "user_session_already_exists") {
      say("You are signed in already", "You can close this page and go on in the app.");
    } else if (answer.status === 401) {
      say("This link does not work any more", "It was used already, replaced by a newer one, or is too old. Please ask for a new one.");
    } else {
      text.textContent = refused.message;
      button.disabled = false;
    }
  } catch {
    text.textContent = "The server could not be reached. Please try again in a moment.";
    button.disabled = false;
  }
});

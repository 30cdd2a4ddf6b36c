// The page asks for itself every two seconds, while somebody looks. What is being read stays as it is.
let tag = "";

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {} });
  if (answer.status !== 200) return;
  tag = answer.headers.get("ETag");
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");

  const list = document.getElementById("list");
  const focused = list.contains(document.activeElement) ? document.activeElement.href : "";
  list.replaceChildren(...fresh.getElementById("list").childNodes);
  for (const a of list.querySelectorAll("a")) {
    if (a.href === focused) a.focus({ preventScroll: true });
  }
  const letter = document.getElementById("letter");
  const newest = fresh.getElementById("letter");
  if (letter.dataset.id !== newest.dataset.id) letter.replaceWith(newest);
}

async function keepFresh() {
  try {
    await refresh();
  } catch {
    // The server is away, and may come back.
  }
  setTimeout(keepFresh, 2000);
}

if (navigator.clipboard) { // there is none on pages of other hosts without TLS
  document.documentElement.classList.add("copies");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-of]");
    if (!button) return;
    const name = button.textContent;
    button.disabled = true;
    await navigator.clipboard.writeText(button.dataset.copy ?? document.getElementById(button.dataset.copyOf).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = name; button.disabled = false; }, 1500);
  });
}

document.querySelector("#list [aria-current]")?.scrollIntoView({ block: "nearest" });
keepFresh();

// The secret of a link stands after the #, which no browser sends anywhere: it is exchanged for a cookie here.
const message = document.getElementById("message");
const token = location.hash.slice(1);
history.replaceState(null, "", "/enter");

async function enter() {
  if (!token) {
    message.textContent = "Open the link that the program printed in its window.";
    return;
  }
  try {
    const answer = await fetch("/api/enter", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    message.textContent = (await answer.json()).message;
  } catch {
    message.textContent = "The program does not answer. Is it still running?";
  }
}

enter();

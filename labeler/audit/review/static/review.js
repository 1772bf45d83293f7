// The page: a report on the left, its rows on the right, everything by keys.
import { Film } from "./film.js";
import { Help } from "./help.js";
import { Outbox, post } from "./outbox.js";
import { CHOICES, UNANSWERED, columnHeads, difference, fill, progress, report, row, sides, word } from "./view.js";

const settings = JSON.parse(document.body.dataset.settings);
delete document.body.dataset.settings;
const find = (id) => document.getElementById(id);
const note = find("note");
const message = find("message");

// what is shown: the sheet as the server sent it, the answers as they are here, the row that keys are for
let sheet = null;
let answers = [];
let at = 0;
let seenMark = -1;
let noteTimer = null;

const film = new Film(settings.session);
const outbox = new Outbox(settings.session, { tell: tellSaved, refused, answered });
const help = new Help(settings.actions, settings.keys, saveKeys);

// ---- what is said

function tellSaved(state, why = "") {
  const says = { saved: "saved", saving: "saving \u2026", failed: "not saved \u2013 trying again" };
  const saved = find("saved");
  const before = saved.dataset.state;
  if (before === state) return;
  saved.dataset.state = state;
  saved.textContent = says[state];
  if (state === "failed") {
    say("Not saved. Trying again.");
    lead(why, "bad");
  } else if (state === "saved" && before === "failed" && sheet) introduce();
}

function say(text) {
  find("live").textContent = text;
}

function lead(text, kind = "") {
  find("lead").textContent = text;
  find("lead").className = kind;
}

// a message that has to be read; then is what Enter does
function stop(text, label, then) {
  find("message-text").textContent = text;
  find("message-ok").textContent = label;
  find("message-ok").onclick = () => {
    message.close();
    then();
  };
  message.oncancel = (event) => event.preventDefault();
  if (!message.open) message.showModal();
  find("message-ok").focus();
}

// ---- the report

async function get(path) {
  const answer = await fetch(path, { headers: { "X-Session": settings.session } });
  const data = await answer.json();
  if (!answer.ok) {
    refused(answer.status, data, null);
    return null;
  }
  return data;
}

async function load(place = null) {
  await outbox.settled();
  if (outbox.stopped) return;
  try {
    const data = await get(place === null ? "/api/item" : `/api/item?at=${place}`);
    if (data) show(data);
  } catch {
    stop("The program does not answer. Is it still running? What was shown as saved is saved.", "Try again", () => load(place));
  }
}

function show(data) {
  if (data.finished) {
    finished(data);
    return;
  }
  const other = !sheet || sheet.item !== data.item || sheet.phase !== data.phase;
  sheet = data;
  answers = [...data.answers];
  outbox.version = data.version;
  note.value = data.note;
  find("notes").hidden = !data.note;
  film.use(data.item, data.films);
  document.body.dataset.phase = data.phase;
  find("place").textContent = `${settings.decision ? "Decision" : "Report"} ${data.item + 1}`;
  showProgress(data.progress);
  find("report").replaceChildren(...report(data.blocks));
  drawRows();
  if (other) {
    find("left").scrollTop = 0;
    at = firstRow();
    seenMark = -1;
  }
  introduce();
  draw();
  select(at);
  if (other && revealing()) toMark();
}

function showProgress(state) {
  find("progress").textContent = progress(state);
  find("bar").max = Math.max(1, state.done + state.left);
  find("bar").value = state.done;
}

function finished(data) {
  sheet = null;
  showProgress(data.progress);
  find("place").textContent = "Finished";
  find("report").replaceChildren();
  find("rows").replaceChildren();
  find("submit").hidden = true;
  film.use(null, []);
  const left = settings.decision
    ? "No differences between readers are left to decide."
    : "There is nothing left for you to read. Thank you.";
  lead(`${left} This page can be closed.`, "good");
  find("hint").textContent = `${settings.keys.before[0]} goes back to what you have read.`;
}

const editable = () => sheet && !sheet.done;
const revealing = () => Boolean(sheet?.blind) && !settings.decision;

// the rows that are shown: all of them, or those that differ
function visibleRows() {
  if (!sheet) return [];
  return revealing() ? sheet.differences.map((each) => each.row) : sheet.labels.map((_, number) => number);
}

function firstRow() {
  const rows = visibleRows();
  return rows.find((number) => answers[number] === UNANSWERED) ?? rows[0] ?? 0;
}

function introduce() {
  if (settings.decision) lead(sheet.done ? "Decided." : "The readers differ here. What does the report say?");
  else if (!sheet.blind) lead("");
  else if (!sheet.differences.length) lead("Submitted. The machine says the same.", "good");
  else if (sheet.done) lead("Submitted. Here the machine says something else.");
  else lead("Submitted. Here the machine says something else: leave your answer, or change it.");
}

function drawRows() {
  const lines = visibleRows().map((number) => {
    const below = sheet.sides ? sides(sheet.sides, number) : [];
    if (revealing()) below.push(...difference(sheet.blind[number], sheet.differences.find((each) => each.row === number)));
    return row(number, sheet.labels[number], below);
  });
  const notes = (sheet.sides ?? []).filter((side) => side.note);
  find("rows").replaceChildren(...(lines.length ? [columnHeads(settings.keys)] : []), ...lines);
  for (const side of notes) {
    const line = document.createElement("p");
    line.className = "quiet";
    line.textContent = `Note of ${String.fromCharCode(65 + sheet.sides.indexOf(side))}: ${side.note}`;
    find("rows").append(line);
  }
}

function draw() {
  const rows = visibleRows();
  for (const line of find("rows").querySelectorAll("[role=radiogroup]")) {
    const number = Number(line.dataset.row);
    fill(line, sheet.labels[number], answers[number], `Row ${rows.indexOf(number) + 1} of ${rows.length}.`);
  }
  find("rows").classList.toggle("fixed", !editable());
  const open = answers.filter((answer) => answer === UNANSWERED).length;
  const button = find("submit");
  button.hidden = false;
  button.textContent = editable() && !sheet.blind ? (settings.decision ? "Decide" : "Submit") : "Go on";
  button.classList.toggle("ready", !open);
  const keys = settings.keys;
  find("hint").textContent = !editable()
    ? `${keys.submit[0]} goes on`
    : open
      ? `${open} without an answer \u00b7 ${keys.rest_blank[0]} sets them blank \u00b7 ${keys.help[0]} shows all keys`
      : `${keys.submit[0]} ${button.textContent.toLowerCase()}s \u00b7 ${keys.undo[0]} undoes \u00b7 ${keys.help[0]} shows all keys`.replace("go ons", "goes on");
}

function select(number) {
  at = number;
  for (const line of find("rows").querySelectorAll("[role=radiogroup]")) {
    const here = Number(line.dataset.row) === number;
    line.classList.toggle("here", here);
    line.tabIndex = here ? 0 : -1;
    if (here && document.activeElement !== note) {
      line.focus({ preventScroll: true });
      line.scrollIntoView({ block: "nearest" });
    }
  }
  for (const mark of find("report").querySelectorAll("mark")) {
    mark.classList.toggle("here", mark.dataset.rows.split(" ").includes(String(number)));
  }
}

// ---- what keys do

function move(step) {
  const rows = visibleRows();
  const place = Math.min(rows.length - 1, Math.max(0, rows.indexOf(at) + step));
  if (rows.length) select(rows[place]);
  seenMark = -1;
  if (revealing()) toMark();
}

function answer(value) {
  if (!editable() || !visibleRows().includes(at)) return lead("This report is submitted and stays as it is.");
  const number = at;
  answers[number] = value;
  outbox.add("answer", sheet.item, { set: { [number]: value } });
  const rows = visibleRows();
  const next = rows.slice(rows.indexOf(number) + 1).find((each) => answers[each] === UNANSWERED);
  draw();
  select(value !== UNANSWERED && next !== undefined ? next : number);
  const then = next === undefined ? "" : ` Next: ${sheet.labels[at]}.`;
  say(`${sheet.labels[number]}: ${word(value)}.${value === UNANSWERED ? "" : then}`);
}

function restBlank() {
  if (!editable()) return;
  const set = {};
  for (const number of visibleRows()) {
    if (answers[number] === UNANSWERED) {
      answers[number] = null;
      set[number] = null;
    }
  }
  const count = Object.keys(set).length;
  if (!count) return;
  outbox.add("answer", sheet.item, { set });
  draw();
  say(`${count} rows set blank.`);
}

function undo() {
  if (editable()) outbox.add("undo", sheet.item);
}

function submit() {
  if (!sheet || !editable()) {
    load(sheet && sheet.item < sheet.last ? sheet.item + 1 : null);
    return;
  }
  const missing = visibleRows().find((number) => answers[number] === UNANSWERED);
  if (missing !== undefined) {
    select(missing);
    const keys = settings.keys;
    lead(`No answer yet for ${sheet.labels[missing]}. Unanswered is not blank: ${keys.rest_blank[0]} sets the rest blank.`, "bad");
    return;
  }
  saveNote();
  outbox.add("submit", sheet.item);
}

function step(by) {
  const place = sheet ? sheet.item + by : null;
  if (!sheet && by > 0) return;
  if (sheet && by > 0 && sheet.item >= sheet.last) return lead("This is the newest report.");
  if (place !== null && place < 0) return lead("This is the first report.");
  load(place ?? settings.last ?? 0);
}

function toMark() {
  const marks = [...find("report").querySelectorAll("mark.mention")].filter((mark) => mark.classList.contains("here"));
  if (!marks.length) return;
  seenMark = (seenMark + 1) % marks.length;
  for (const mark of find("report").querySelectorAll("mark.at")) mark.classList.remove("at");
  marks[seenMark].classList.add("at");
  marks[seenMark].scrollIntoView({ block: "center" });
}

function writeNote() {
  if (!editable()) return lead("This report is submitted and stays as it is.");
  find("notes").hidden = false;
  note.focus();
}

function saveNote() {
  clearTimeout(noteTimer);
  if (!editable() || note.value === sheet.note) return;
  sheet.note = note.value;
  outbox.add("note", sheet.item, { text: note.value });
}

note.addEventListener("input", () => {
  tellSaved("saving");
  clearTimeout(noteTimer);
  noteTimer = setTimeout(saveNote, 800);
});
note.addEventListener("blur", () => {
  saveNote();
  if (outbox.empty) tellSaved("saved");
});

function theme() {
  const root = document.documentElement;
  const dark = getComputedStyle(root).colorScheme === "dark" || (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

function scroll(direction) {
  const text = find("left");
  text.scrollBy({ top: direction * text.clientHeight * 0.8 });
}

function toggleFilm() {
  if (!film.there) lead("There is no film of this study here.");
  else film.toggle();
}

async function saveKeys(action, keys) {
  const wanted = keys ?? settings.actions.find((each) => each.name === action).keys;
  const answer = await post(settings.session, "/api/keys", { keys: { ...settings.keys, [action]: wanted } });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.message);
  settings.keys = data.keys;
  if (sheet) {
    drawRows();
    draw();
    select(at);
  }
  return data.keys;
}

const acts = {
  down: () => move(1), up: () => move(-1), rest_blank: restBlank, undo, note: writeNote, submit,
  clear: () => answer(UNANSWERED), before: () => step(-1), after: () => step(1), evidence: toMark,
  text_down: () => scroll(1), text_up: () => scroll(-1), film: toggleFilm, help: () => help.toggle(), theme,
};
for (const choice of CHOICES) acts[choice.name] = () => answer(choice.value);

// ---- what comes back

function answered(act, data, last) {
  if (act === "submit") {
    settings.last = data.last;
    if (data.done) {
      const said = data.phase === "revealed" && !data.differences.length;
      load().then(() => said && sheet && !sheet.blind && lead("The machine said the same of the last report.", "good"));
    } else show(data);
    return;
  }
  // a later key may be under way: its answer is then shown here already
  if (!last || !sheet || data.item !== sheet.item) return;
  const changed = visibleRows().find((number) => answers[number] !== data.answers[number]);
  sheet = { ...sheet, ...data };
  answers = [...data.answers];
  if (document.activeElement !== note) {
    note.value = data.note;
    find("notes").hidden = !data.note;
  }
  if (find("lead").className === "bad") introduce();
  draw();
  if (act === "undo") {
    if (changed !== undefined) select(changed);
    say(changed === undefined ? "Undone." : `Undone. ${sheet.labels[changed]}: ${word(answers[changed])}.`);
  }
}

function refused(status, data, entry) {
  const lost = entry && entry.act !== "undo" && entry.act !== "submit";
  if (data.error === "nothing") return lead(data.message);
  if (data.error === "unanswered") {
    select(data.row);
    return lead(data.message, "bad");
  }
  outbox.drop();
  if (status === 401 || data.error === "other_session") {
    outbox.stop();
    find("saved").dataset.state = "failed";
    find("saved").textContent = lost ? "not saved" : "ended";
    stop(data.message, "Look whether the page can go on", () => location.reload());
    return;
  }
  stop(data.message, "Show it as it is now", () => load(data.error === "taken" ? null : entry?.body.item ?? null));
}

// ---- keys

// the name of a key: as the browser has it, Shift said for those that are no characters
function nameOf(event) {
  return event.shiftKey && event.key.length > 1 && event.key !== "Shift" ? `Shift+${event.key}` : event.key;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const name = nameOf(event);
  if (message.open) return;
  if (help.open) {
    help.press(event, name);
    return;
  }
  if (event.target === note) {
    if (name !== "Escape") return;
    event.preventDefault();
    note.blur();
    select(at);
    return;
  }
  const action = settings.actions.find((each) => settings.keys[each.name].includes(name));
  if (!action || (action.film && !film.shown)) return;
  event.preventDefault();
  if (action.film) film.act(action.name);
  else if (sheet || ["before", "help", "theme", "submit"].includes(action.name)) acts[action.name]();
});

find("rows").addEventListener("click", (event) => {
  const button = event.target.closest(".choice");
  const line = event.target.closest("[role=radiogroup]");
  if (line) select(Number(line.dataset.row));
  if (button) answer(CHOICES.find((choice) => choice.name === button.dataset.choice).value);
});
find("submit").addEventListener("click", submit);

// ---- the page itself

window.addEventListener("beforeunload", (event) => {
  saveNote();
  if (!outbox.empty && !outbox.stopped) event.preventDefault();
});
window.addEventListener("pagehide", () => {
  post(settings.session, "/api/leave", {}, { keepalive: true }).catch(() => {});
});
setInterval(() => {
  if (!outbox.stopped) post(settings.session, "/api/alive", {}).catch(() => {});
}, 15000);

const kept = localStorage.getItem("theme");
if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
load();

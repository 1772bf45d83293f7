// Builds the page from what the server sends. Text is only ever set as text.

export const CHOICES = [
  { name: "positive", value: 1, glyph: "+", word: "positive" },
  { name: "negative", value: 0, glyph: "\u2212", word: "negative" },
  { name: "uncertain", value: -1, glyph: "?", word: "uncertain" },
  { name: "blank", value: null, glyph: "\u25cb", word: "blank" },
  { name: "cannot_judge", value: "cannot_judge", glyph: "\u00d7", word: "cannot judge" },
];

export const UNANSWERED = "unanswered";

export function word(value) {
  return CHOICES.find((choice) => choice.value === value)?.word ?? "unanswered";
}

// the name of a key as it stands on a keyboard
export function keyName(key) {
  const named = { ArrowDown: "\u2193", ArrowUp: "\u2191", ArrowLeft: "\u2190", ArrowRight: "\u2192" };
  return key.split("Shift+").map((part) => named[part] ?? part).join("\u21e7");
}

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function report(blocks) {
  return blocks.map((block) => {
    const shown = element("div", { class: `block ${block.kind}` });
    if (block.kind !== "heading" && block.name) shown.setAttribute("aria-label", block.name);
    shown.setAttribute("role", block.kind === "heading" ? "heading" : "group");
    if (block.kind === "heading") shown.setAttribute("aria-level", "2");
    for (const piece of block.pieces) {
      if (!piece.rows.length) {
        shown.append(piece.text);
        continue;
      }
      const mark = element("mark", { class: piece.cue ? "cue" : "mention", data: { rows: piece.rows.join(" ") } });
      mark.append(piece.text);
      shown.append(mark);
    }
    return shown;
  });
}

export function columnHeads(keys) {
  const heads = CHOICES.map((choice) =>
    element("span", { class: "head" }, element("kbd", {}, keyName(keys[choice.name][0])), element("span", {}, choice.word)),
  );
  return element("div", { class: "row heads", "aria-hidden": "true" }, element("span", { class: "name" }), ...heads);
}

// one row: a group of radio buttons, with what is shown below it
export function row(number, label, below) {
  const buttons = CHOICES.map((choice) =>
    element(
      "button",
      { class: `choice ${choice.name}`, type: "button", role: "radio", tabIndex: -1, "aria-label": choice.word,
        title: choice.word, data: { row: number, choice: choice.name } },
      choice.glyph,
    ),
  );
  const line = element("div", { class: "row", role: "radiogroup", tabIndex: -1, data: { row: number } });
  line.append(element("span", { class: "name" }, label), ...buttons);
  if (below.length) line.append(element("div", { class: "below" }, ...below));
  return line;
}

export function fill(line, label, value, place) {
  line.classList.toggle("answered", value !== UNANSWERED);
  line.setAttribute("aria-label", `${label}: ${word(value)}. ${place}`);
  for (const button of line.querySelectorAll(".choice")) {
    const choice = CHOICES.find((each) => each.name === button.dataset.choice);
    button.setAttribute("aria-checked", String(choice.value === value));
  }
}

// what the readers said, without names
export function sides(given, row) {
  const chips = given.map((side, place) =>
    element("span", { class: `side ${className(side.answers[row])}` },
      `${String.fromCharCode(65 + place)}: ${word(side.answers[row])}`),
  );
  return [element("p", { class: "sides" }, ...chips)];
}

export function difference(blind, found) {
  const said = element("p", { class: "sides" },
    element("span", { class: `side ${className(blind)}` }, `You: ${word(blind)}`),
    element("span", { class: `side ${className(found.machine)}` }, `Machine: ${word(found.machine)}`),
  );
  const reasons = found.reasons.slice(0, 4).map((reason) =>
    element("li", {}, reason.words ? `\u201c${reason.words}\u201d ` : "", element("span", {}, reason.why)),
  );
  return reasons.length ? [said, element("ul", { class: "reasons" }, ...reasons)] : [said];
}

function className(value) {
  return CHOICES.find((choice) => choice.value === value)?.name ?? "";
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function progress({ done, left, seconds }) {
  const parts = [`${done} of ${done + left} submitted`];
  if (seconds !== null && seconds !== undefined) {
    parts.push(`${duration(seconds)} each`);
    if (left) parts.push(`about ${duration(seconds * left)} left`);
  }
  return parts.join(" \u00b7 ");
}

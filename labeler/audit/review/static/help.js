// The keys: shown, and changed without a mouse. Up and down choose an action, Enter waits for its new key.
import { element, keyName } from "./view.js";

const dialog = document.getElementById("help");

export class Help {
  // save: takes action -> keys, gives back all keys; throws with a sentence for people
  constructor(actions, keys, save) {
    this.actions = actions;
    this.keys = keys;
    this.save = save;
    this.at = 0;
    this.waiting = false;
    dialog.addEventListener("cancel", (event) => {
      if (this.waiting) {
        event.preventDefault();
        this.waiting = false;
        this.draw();
      }
    });
  }

  get open() {
    return dialog.open;
  }

  toggle() {
    if (dialog.open) {
      dialog.close();
      return;
    }
    this.waiting = false;
    this.draw("");
    dialog.showModal();
    this.focus();
  }

  draw(said = "") {
    const lines = this.actions.map((action, place) => {
      const keys = this.keys[action.name].map((key) => element("kbd", {}, keyName(key)));
      const shown = this.waiting && place === this.at ? [element("em", {}, "press a key")] : keys;
      const line = element("li", { role: "option", tabIndex: -1, "aria-selected": String(place === this.at) },
        element("span", { class: "keys" }, ...shown), element("span", {}, action.says));
      line.classList.toggle("film-key", action.film);
      line.addEventListener("click", () => {
        this.at = place;
        this.draw();
      });
      return line;
    });
    dialog.replaceChildren(
      element("h2", {}, "Keys"),
      element("p", { class: "quiet" }, "Up and down choose, Enter gives an action another key, Delete gives back its first ones, Escape closes."),
      element("p", { id: "help-said", role: "status" }, said),
      element("ul", { role: "listbox", "aria-label": "Keys" }, ...lines),
    );
    this.focus();
  }

  focus() {
    const line = dialog.querySelector('[aria-selected="true"]');
    line?.focus({ preventScroll: true });
    line?.scrollIntoView({ block: "nearest" });
  }

  // a key while the keys are shown; name as the page names keys
  async press(event, name) {
    if (name === "Escape" || name === "Tab") return;
    event.preventDefault();
    if (this.waiting) {
      await this.change([name]);
    } else if (name === "Enter") {
      this.waiting = true;
      this.draw();
    } else if (name === "Delete") {
      await this.change(null);
    } else if (name === "ArrowDown" || this.keys.down.includes(name)) {
      this.at = (this.at + 1) % this.actions.length;
      this.draw();
    } else if (name === "ArrowUp" || this.keys.up.includes(name)) {
      this.at = (this.at + this.actions.length - 1) % this.actions.length;
      this.draw();
    } else if (this.keys.help.includes(name)) {
      this.toggle();
    }
  }

  async change(keys) {
    const action = this.actions[this.at].name;
    this.waiting = false;
    try {
      this.keys = await this.save(action, keys);
      this.draw("Kept.");
    } catch (error) {
      this.draw(error.message);
    }
  }
}

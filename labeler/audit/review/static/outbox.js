// What is to be saved, one after the other. An entry stays until the server has said that it is on the disk; an entry
// that is sent again has the same name, by which the server knows it.

const WAITS = [300, 1000, 2000, 4000, 8000];

export class Outbox {
  // tell: "saving", "saved", "failed" and why; answered and refused: what becomes of what came back
  constructor(session, { tell, refused, answered }) {
    this.session = session;
    this.tell = tell;
    this.refused = refused;
    this.answered = answered;
    this.entries = [];
    this.version = 0;
    this.busy = false;
    this.stopped = false;
    this.idle = [];
  }

  get empty() {
    return this.entries.length === 0 && !this.busy;
  }

  // a promise of the time when all is saved
  settled() {
    return this.empty ? Promise.resolve() : new Promise((done) => this.idle.push(done));
  }

  add(act, item, body = {}) {
    if (this.stopped) return;
    this.entries.push({ act, body: { ...body, item, op: crypto.randomUUID ? crypto.randomUUID() : name() } });
    this.tell("saving");
    this.run();
  }

  stop() {
    this.stopped = true;
  }

  drop() {
    this.entries = [];
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    while (this.entries.length && !this.stopped) {
      const entry = this.entries[0];
      const { status, data } = await this.send(entry);
      this.entries.shift();
      if (status === 200) {
        if (data.version !== undefined) this.version = data.version;
        this.answered(entry.act, data, this.entries.length === 0);
      } else {
        this.refused(status, data, entry);
      }
    }
    this.busy = false;
    if (!this.stopped) this.tell("saved");
    for (const done of this.idle.splice(0)) done();
  }

  // sends until there is an answer
  async send(entry) {
    for (let tries = 0; ; tries += 1) {
      try {
        const answer = await post(this.session, `/api/${entry.act}`, { ...entry.body, version: this.version });
        const data = await answer.json();
        if (answer.status < 500) return { status: answer.status, data };
        this.tell("failed", data.message);
      } catch {
        this.tell("failed", "The program does not answer. Is it still running?");
      }
      await new Promise((done) => setTimeout(done, WAITS[Math.min(tries, WAITS.length - 1)]));
    }
  }
}

export function post(session, path, body, more = {}) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Session": session },
    body: JSON.stringify(body),
    ...more,
  });
}

// crypto.randomUUID is there on secure pages only
function name() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The film: 16-bit greys from the server, windowed, enlarged and moved here.

const canvas = document.getElementById("canvas");
const figure = document.getElementById("film");
const caption = document.getElementById("caption");

export class Film {
  constructor(session) {
    this.session = session;
    this.item = null;
    this.views = [];
    this.number = 0;
    this.shown = false;
    this.reset();
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
  }

  get there() {
    return this.views.length > 0;
  }

  reset() {
    this.center = 32768;
    this.width = 65536;
    this.zoom = 1;
    this.x = 0;
    this.y = 0;
    this.inverted = false;
  }

  // another report: its films are fetched when they are looked at
  use(item, views) {
    if (item === this.item) return;
    this.item = item;
    this.views = views;
    this.number = 0;
    this.greys = null;
    this.reset();
    if (!this.there) this.hide();
    else if (this.shown) this.load();
  }

  toggle() {
    if (this.shown) this.hide();
    else this.show();
  }

  show() {
    this.shown = true;
    figure.hidden = false;
    document.body.classList.add("with-film");
    if (!this.greys) this.load();
  }

  hide() {
    this.shown = false;
    figure.hidden = true;
    document.body.classList.remove("with-film");
  }

  async load() {
    const [item, number] = [this.item, this.number];
    caption.textContent = "loading the film \u2026";
    let greys = null;
    try {
      const answer = await fetch(`/api/film/${item}/${number}`, { headers: { "X-Session": this.session } });
      if (!answer.ok) throw new Error((await answer.json()).message);
      const bytes = await answer.arrayBuffer();
      const size = new DataView(bytes, 0, 8);
      greys = { rows: size.getUint32(0, true), columns: size.getUint32(4, true), values: new Uint16Array(bytes, 8) };
    } catch (error) {
      caption.textContent = `The film cannot be shown: ${error.message}`;
    }
    if (item !== this.item || number !== this.number || !greys) return;
    this.greys = greys;
    this.picture = new OffscreenCanvas(greys.columns, greys.rows);
    this.window();
  }

  next() {
    this.number = (this.number + 1) % this.views.length;
    this.greys = null;
    this.reset();
    this.load();
  }

  // every grey through the window, once
  window() {
    if (!this.greys) return;
    const { rows, columns, values } = this.greys;
    const table = new Uint8ClampedArray(65536);
    const low = this.center - this.width / 2;
    for (let grey = 0; grey < 65536; grey += 1) {
      const share = Math.min(1, Math.max(0, (grey - low) / this.width));
      table[grey] = 255 * (this.inverted ? 1 - share : share);
    }
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    for (let at = 0; at < values.length; at += 1) {
      const grey = table[values[at]];
      pixels[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    this.picture.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  draw() {
    if (!this.shown || !this.greys) return;
    const scale = window.devicePixelRatio;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
    const { rows, columns } = this.greys;
    const fit = Math.min(canvas.width / columns, canvas.height / rows) * this.zoom;
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.translate(canvas.width / 2 + this.x * scale, canvas.height / 2 + this.y * scale);
    context.drawImage(this.picture, (-columns * fit) / 2, (-rows * fit) / 2, columns * fit, rows * fit);
    const place = this.views.length > 1 ? ` (${this.number + 1} of ${this.views.length})` : "";
    caption.textContent = `${this.views[this.number]}${place} \u00b7 ${Math.round(this.zoom * 100)} %`;
  }

  wheel(event) {
    event.preventDefault();
    this.act(event.deltaY < 0 ? "zoom_in" : "zoom_out");
  }

  drag(event) {
    if (!event.buttons) return;
    if (event.buttons & 2 || event.shiftKey) {
      this.center = Math.min(65535, Math.max(0, this.center - event.movementY * 100));
      this.width = Math.min(131072, Math.max(1024, this.width + event.movementX * 100));
      this.window();
    } else {
      this.x += event.movementX;
      this.y += event.movementY;
      this.draw();
    }
  }

  act(action) {
    const step = 40;
    if (action === "film_next") return this.next();
    if (action === "film_reset") this.reset();
    if (action === "zoom_in") this.zoom = Math.min(16, this.zoom * 1.25);
    if (action === "zoom_out") this.zoom = Math.max(0.25, this.zoom / 1.25);
    if (action === "brighter") this.center = Math.max(0, this.center - this.width / 16);
    if (action === "darker") this.center = Math.min(65535, this.center + this.width / 16);
    if (action === "more_contrast") this.width = Math.max(1024, this.width / 1.2);
    if (action === "less_contrast") this.width = Math.min(131072, this.width * 1.2);
    if (action === "invert") this.inverted = !this.inverted;
    if (action === "pan_left") this.x += step;
    if (action === "pan_right") this.x -= step;
    if (action === "pan_up") this.y += step;
    if (action === "pan_down") this.y -= step;
    if (action.startsWith("pan") || action.startsWith("zoom")) this.draw();
    else this.window();
  }
}

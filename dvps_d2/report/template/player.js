// The player: one video at a time, decoded frame by frame when it is first shown.

const PLAY_MS = 250;

class Player {
  constructor(root, report) {
    this.report = report;
    this.el = (id) => root.querySelector(`#${id}`);
    this.picture = this.el("picture").getContext("2d");
    this.overlay = this.el("overlay").getContext("2d");
    this.state = { video: -1, frame: 0, layer: "segments", truth: false, opacity: 65, selected: 0 };
    this.listeners = [];
    this.timer = null;
    this.ticket = 0; // of the newest request to show something; older ones are dropped
    this.wanted = { video: 0, frame: 0 }; // what was asked for last, shown or not yet
    this.bind();
    this.width = 0;
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - this.width) < 2) return;
      this.width = entry.contentRect.width;
      this.draw();
    }).observe(this.el("stage"));
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  bind() {
    this.el("play").addEventListener("click", () => this.toggle());
    this.el("frame").addEventListener("input", (e) => this.seek(Number(e.target.value)));
    this.el("opacity").addEventListener("input", (e) => this.set({ opacity: Number(e.target.value) }));
    this.el("truth").addEventListener("click", () => this.set({ truth: !this.state.truth }));
    for (const button of this.el("layers").children) {
      button.addEventListener("click", () => this.set({ layer: button.dataset.layer }));
    }
    const canvas = this.el("overlay");
    canvas.addEventListener("pointermove", (e) => this.point(e));
    canvas.addEventListener("pointerleave", () => (this.el("tip").hidden = true));
    canvas.addEventListener("click", (e) => {
      const place = this.place(e);
      if (!place) return;
      const row = this.current.pred[place.index];
      this.select(this.video.pred[row][1] && row !== this.state.selected ? row : 0);
    });
  }

  // Open a video by its number on the page; seek to a frame of it.
  async open(number, frame = 0) {
    const count = this.report.videos.length;
    number = Math.max(0, Math.min(count - 1, number));
    this.wanted.video = number;
    const ticket = ++this.ticket;
    const element = document.getElementById(`video-${number}`);
    const video = await prepareVideo(JSON.parse(element.textContent));
    if (ticket !== this.ticket) return;
    this.video = video;
    this.state.video = number;
    this.state.selected = 0;
    this.el("video-name").textContent = video.id;
    this.el("frame").max = video.frames.length - 1;
    await this.seek(frame);
  }

  async seek(frame) {
    const ticket = ++this.ticket;
    frame = Math.max(0, Math.min(this.video.frames.length - 1, frame));
    const video = this.video;
    this.wanted.frame = frame;
    video.decoded[frame] ??= decodeFrame(video.frames[frame]);
    const current = await video.decoded[frame];
    if (ticket !== this.ticket) return;
    this.current = current;
    this.state.frame = frame;
    this.draw();
    const next = frame + 1;
    if (next < video.frames.length) video.decoded[next] ??= decodeFrame(video.frames[next]);
  }

  set(change) {
    Object.assign(this.state, change);
    this.draw();
  }

  select(row) {
    this.set({ selected: row });
  }

  toggle() {
    if (this.timer !== null) return this.pause();
    const last = this.video.frames.length - 1;
    const step = () => {
      if (this.wanted.frame !== this.state.frame) return; // still decoding
      this.seek(this.state.frame >= last ? 0 : this.state.frame + 1);
    };
    this.timer = setInterval(step, PLAY_MS);
    step();
    this.showPlaying();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.showPlaying();
  }

  showPlaying() {
    const playing = this.timer !== null;
    const button = this.el("play");
    button.textContent = playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    button.setAttribute("aria-pressed", playing);
  }

  draw() {
    const { current, state, video } = this;
    if (!current) return;
    const layer = LAYERS[state.layer];
    const there = layer.available(current, state.truth);
    const canvas = this.el("overlay");
    this.drawPicture(layer.muted && there);
    // The overlay has as many pixels as the screen, so that lines and letters are fine over small
    // maps, in whole multiples of the map's, so that its borders stay where they are.
    const shown = this.el("stage").clientWidth * (window.devicePixelRatio || 1);
    const scale = Math.max(1, Math.round(shown / current.width));
    canvas.width = current.width * scale;
    canvas.height = current.height * scale;
    if (layer.paint && there) {
      this.overlay.globalAlpha = state.opacity / 100;
      this.paint(layer.paint(current, video, this.report, state.truth), scale);
      this.overlay.globalAlpha = 1;
      if (layer.outlines) this.outline(scale);
      if (state.layer === "segments") this.label(scale);
    }
    if (state.selected) this.outlineSelected(scale);
    this.showState(there);
    for (const listener of this.listeners) listener();
  }

  drawPicture(muted) {
    const { current } = this;
    const canvas = this.el("picture");
    canvas.width = current.width;
    canvas.height = current.height;
    canvas.classList.toggle("muted", muted);
    this.picture.fillStyle = "#23272e";
    this.picture.fillRect(0, 0, canvas.width, canvas.height);
    if (current.image) this.picture.drawImage(current.image, 0, 0, canvas.width, canvas.height);
    const stage = this.el("stage");
    stage.style.aspectRatio = `${current.width} / ${current.height}`;
    stage.style.maxWidth = `min(100%, calc(72vh * ${current.width / current.height}))`;
  }

  paint(colorOf, scale) {
    const { width, height } = this.current;
    const small = new OffscreenCanvas(width, height);
    const image = new ImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    for (let i = 0; i < words.length; i++) words[i] = colorOf(i);
    small.getContext("2d").putImageData(image, 0, 0);
    this.overlay.imageSmoothingEnabled = false;
    this.overlay.drawImage(small, 0, 0, width * scale, height * scale);
  }

  // Lines between segments: light around things, dark between stuff.
  outline(scale) {
    const side = this.side();
    const stuff = new Path2D(), things = new Path2D();
    this.edges(side.rows, scale, (a, b) => (side.table[a][1] || side.table[b][1] ? things : stuff));
    this.overlay.fillStyle = "rgb(0 0 0 / 0.45)";
    this.overlay.fill(stuff);
    this.overlay.fillStyle = "rgb(255 255 255 / 0.9)";
    this.overlay.fill(things);
  }

  outlineSelected(scale) {
    const { selected } = this.state;
    const path = new Path2D();
    const thick = Math.max(2, Math.round(2 * (window.devicePixelRatio || 1)));
    this.edges(this.current.pred, scale, (a, b) => (a === selected || b === selected ? path : null), thick);
    this.overlay.fillStyle = "#ffe14d";
    this.overlay.fill(path);
  }

  edges(rows, scale, pathOf, thick = Math.max(1, Math.round(scale / 4))) {
    const { width, height } = this.current;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (x && rows[i] !== rows[i - 1]) pathOf(rows[i], rows[i - 1])?.rect(x * scale, y * scale, thick, scale);
        if (y && rows[i] !== rows[i - width]) pathOf(rows[i], rows[i - width])?.rect(x * scale, y * scale, scale, thick);
      }
    }
  }

  label(scale) {
    const { rows, table } = this.side();
    const { width } = this.current;
    const sums = new Map();
    for (let i = 0; i < rows.length; i++) {
      if (!table[rows[i]][1]) continue;
      const sum = sums.get(rows[i]) ?? sums.set(rows[i], { n: 0, x: 0, y: 0 }).get(rows[i]);
      sum.n++;
      sum.x += i % width;
      sum.y += Math.floor(i / width);
    }
    const context = this.overlay;
    const letters = 13 * (context.canvas.width / Math.max(1, this.el("stage").clientWidth));
    context.font = `600 ${letters}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    for (const [row, { n, x, y }] of sums) {
      if (n * scale * scale < letters * letters) continue; // no room
      const text = String(table[row][1]);
      const at = [(x / n + 0.5) * scale, (y / n + 0.5) * scale];
      context.lineWidth = letters / 3;
      context.strokeStyle = "rgb(0 0 0 / 0.75)";
      context.strokeText(text, ...at);
      context.fillStyle = "#fff";
      context.fillText(text, ...at);
    }
  }

  // Rows and their table on the side that is shown.
  side() {
    const truth = this.state.truth && this.current.truth !== null;
    return {
      truth,
      rows: truth ? this.current.truth : this.current.pred,
      table: truth ? this.video.truth : this.video.pred,
    };
  }

  nameOf(table, row) {
    const [classId, trackId] = table[row];
    if (classId < 0) return "nothing";
    const { name } = this.report.classes[classId];
    return trackId ? `${name} ${trackId}` : name;
  }

  showState(there) {
    const { state, current, video } = this;
    const count = video.frames.length;
    this.el("frame").value = state.frame;
    this.el("frame-name").textContent = `${state.frame + 1} / ${count}`;
    this.el("frame").setAttribute("aria-valuetext", `frame ${current.name}, ${state.frame + 1} of ${count}`);
    this.el("opacity").value = state.opacity;
    this.el("opacity").disabled = state.layer === "input";
    this.el("truth").setAttribute("aria-pressed", state.truth);
    this.el("truth").disabled = current.truth === null;
    for (const button of this.el("layers").children) {
      button.setAttribute("aria-pressed", button.dataset.layer === state.layer);
      button.disabled = !LAYERS[button.dataset.layer].available(current, false);
    }
    const side = state.truth && ["segments", "depth"].includes(state.layer) ? "ground truth" : "";
    this.el("badge").textContent = there ? side : "not there in this frame";
    const shown = { input: "the picture", segments: "segments", depth: "depth", errors: "errors", "depth-errors": "depth errors" };
    this.el("overlay").setAttribute(
      "aria-label",
      `Video ${video.id}, frame ${current.name}: ${side} ${shown[state.layer]}`,
    );
    showKey(this.el("key"), this);
    if (this.el("segments").open) this.listSegments();
  }

  place(event) {
    if (!this.current) return null;
    const box = this.el("overlay").getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.current.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.current.height);
    const inside = x >= 0 && y >= 0 && x < this.current.width && y < this.current.height;
    return inside ? { x, y, index: y * this.current.width + x } : null;
  }

  // What there is at a pixel, as lines of text: [words, whether it is an error].
  describe(index) {
    const { current, video, report } = this;
    const row = current.pred[index];
    const lines = [];
    const score = current.scores[row];
    if (score !== undefined) lines.push([`score ${score.toFixed(2)}`, false]);
    if (current.truth !== null) {
      const trueRow = current.truth[index];
      const match = current.match[row];
      if (trueRow) {
        const overlap = match && match[0] === trueRow ? `, IoU ${match[1].toFixed(2)}` : "";
        lines.push([`truth: ${this.nameOf(video.truth, trueRow)}${overlap}`, false]);
      }
      const error = video.errors[trueRow * video.pred.length + row];
      lines.push([ERRORS[error].name, error > NOT_JUDGED]);
    }
    if (current.depth !== null) {
      const metres = metresOf(current.depth[index], report.depth);
      const truth = current.trueDepth === null ? null : metresOf(current.trueDepth[index], report.depth);
      let text = metres === null ? "no depth" : `${metres.toFixed(1)} m`;
      if (truth !== null) text += `, true ${truth.toFixed(1)} m`;
      if (truth !== null && metres !== null) {
        const error = Math.round(100 * (metres / truth - 1));
        text += ` (${error > 0 ? "+" : error < 0 ? "−" : "±"}${Math.abs(error)} %)`;
      }
      lines.push([text, false]);
    }
    return lines;
  }

  point(event) {
    const place = this.place(event);
    const tip = this.el("tip");
    tip.hidden = place === null;
    if (!place) return;
    const row = this.current.pred[place.index];
    const title = document.createElement("b");
    title.append(swatch(this.video.pred[row].slice(2, 5)), this.nameOf(this.video.pred, row));
    tip.replaceChildren(title, ...this.describe(place.index).map(([text, bad]) => line(text, bad)));
    const stage = this.el("stage").getBoundingClientRect();
    const [x, y] = [event.clientX - stage.left, event.clientY - stage.top];
    tip.style.left = `${x + tip.offsetWidth + 24 < stage.width ? x + 16 : Math.max(4, x - tip.offsetWidth - 12)}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 14, stage.height - tip.offsetHeight - 6))}px`;
  }

  // The same that pointing shows, as a table.
  listSegments() {
    const { current, video, report } = this;
    const areas = new Map(), depths = new Map();
    current.pred.forEach((row, i) => {
      areas.set(row, (areas.get(row) ?? 0) + 1);
      if (current.depth?.[i]) (depths.get(row) ?? depths.set(row, []).get(row)).push(current.depth[i]);
    });
    const rows = [...areas].filter(([row]) => row).sort((a, b) => b[1] - a[1]);
    this.el("segment-rows").replaceChildren(
      ...rows.map(([row, area]) => {
        const codes = (depths.get(row) ?? []).sort((a, b) => a - b);
        const middle = codes.length ? metresOf(codes[codes.length >> 1], report.depth).toFixed(1) : null;
        const match = current.match[row];
        const cells = [
          `${((100 * area) / current.pred.length).toFixed(1)} %`,
          middle === null ? "–" : `${middle} m`,
          match ? this.nameOf(video.truth, match[0]) : "–",
          match ? match[1].toFixed(2) : "–",
        ];
        const line = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        head.append(swatch(video.pred[row].slice(2, 5)), ` ${this.nameOf(video.pred, row)}`);
        line.append(head, ...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
        return line;
      }),
    );
  }
}

function swatch([red, green, blue]) {
  const box = document.createElement("i");
  box.className = "swatch";
  box.style.background = `rgb(${red} ${green} ${blue})`;
  return box;
}

function line(text, bad) {
  const element = document.createElement("div");
  element.textContent = text;
  if (bad) element.className = "bad";
  return element;
}

// What the colours of the layer mean.
function showKey(host, player) {
  const { state, report, current } = player;
  const entry = (color, text) => {
    const span = document.createElement("span");
    span.append(swatch(color), text);
    return span;
  };
  if (state.layer === "errors") {
    const share = (i) => (current.shares ? ` ${(100 * current.shares[i]).toFixed(1)} %` : "");
    host.replaceChildren(...ERRORS.map((error, i) => entry(error.color, error.name + share(i))));
  } else if (state.layer === "depth") {
    const [near, far] = report.depth.range;
    const span = Math.log(far / near);
    const code = (part) => Math.round(Math.log((near * Math.exp(part * span)) / report.depth.nearest) / report.depth.step) + 1;
    const marks = report.depth.ticks.map((m) => [Math.log(m / near) / span, `${m} m`]);
    host.replaceChildren(ramp((part) => report.depthWords[code(part)], marks));
  } else if (state.layer === "depth-errors") {
    const marks = [[0, "−50 % too near"], [0.5, "right"], [1, "+50 % too far"]];
    host.replaceChildren(ramp((part) => word(depthErrorColor((2 * part - 1) * DEPTH_ERROR_SPAN)), marks));
  } else if (state.layer === "segments") {
    const { rows, table } = player.side();
    const shown = [...new Set([...new Set(rows)].map((row) => table[row][0]))].filter((c) => c >= 0);
    const names = shown.sort((a, b) => a - b).map((c) => report.classes[c]);
    host.replaceChildren(...names.map(({ color, name }) => entry(color, name)));
  } else {
    host.replaceChildren(current.image ? "" : "The picture was not found; see --images.");
  }
}

function ramp(wordOf, marks) {
  const host = document.createElement("div");
  host.className = "ramp";
  const canvas = document.createElement("canvas");
  canvas.width = 256;
  canvas.height = 1;
  const image = new ImageData(256, 1);
  new Uint32Array(image.data.buffer).forEach((_, i, words) => (words[i] = wordOf(i / 255)));
  canvas.getContext("2d").putImageData(image, 0, 0);
  host.append(canvas, ...marks.map(([part, text]) => {
    const mark = document.createElement("small");
    mark.style.left = `${100 * part}%`;
    mark.textContent = text;
    return mark;
  }));
  return host;
}

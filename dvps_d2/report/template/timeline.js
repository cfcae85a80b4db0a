// One lane per track: when it is there, where it is born and dies, where identities switch.

class Timeline {
  constructor(root, player) {
    this.root = root;
    this.player = player;
    this.mode = "tracks";
    this.shown = "";
    for (const button of root.querySelectorAll("[data-rows]")) {
      button.addEventListener("click", () => this.setMode(button.dataset.rows));
    }
    player.onChange(() => this.update());
  }

  setMode(mode) {
    this.mode = mode;
    this.update();
  }

  update() {
    const { video, state } = this.player;
    const wanted = `${state.video} ${this.mode}`;
    if (this.shown !== wanted) {
      this.shown = wanted;
      this.build(video);
    }
    const lanes = this.root.querySelector("#lanes");
    for (const now of lanes.querySelectorAll(".now")) now.style.left = this.percent(state.frame + 0.5);
    for (const button of lanes.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", state.selected > 0 && Number(button.dataset.track) === state.selected);
    }
  }

  percent(frame) {
    return `${(100 * frame) / this.player.video.length}%`;
  }

  build(video) {
    for (const button of this.root.querySelectorAll("[data-rows]")) {
      button.setAttribute("aria-pressed", button.dataset.rows === this.mode);
    }
    const lanes = this.root.querySelector("#lanes");
    const rows = this.mode === "tracks" ? this.trackLanes(video) : this.objectLanes(video);
    const corner = document.createElement("span");
    corner.className = "corner";
    corner.textContent = "frame";
    lanes.replaceChildren(corner, this.axis(video), ...this.errorLane(video), ...rows.flat());
    if (!rows.length) lanes.append(this.mode === "tracks" ? "No track in this video." : "No true object in this video.");
    this.showKey();
  }

  axis(video) {
    const lane = this.lane([], video.length);
    lane.classList.add("axis");
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((s) => video.length / s <= 16) ?? 2000;
    for (let frame = 0; frame < video.length; frame += step) {
      const mark = document.createElement("small");
      mark.textContent = frame + 1;
      mark.style.left = this.percent(frame + 0.5);
      lane.append(mark);
    }
    return lane;
  }

  // How much of each frame is wrong, and in which way; as high as the worst frame.
  errorLane(video) {
    const wrong = (shares) => shares.slice(MISSED).reduce((sum, share) => sum + share, 0);
    const worst = Math.max(0, ...video.frames.map(({ shares }) => (shares ? wrong(shares) : 0)));
    if (!worst) return [];
    const label = document.createElement("span");
    label.className = "lane-name";
    label.textContent = `wrong pixels, to ${(100 * worst).toFixed(0)} %`;
    const lane = this.lane([], video.length);
    lane.classList.add("wrong");
    video.frames.forEach(({ shares }, frame) => {
      let bottom = 0;
      for (const kind of shares ? [MISSED, FALSE, WRONG_CLASS, WRONG_TRACK] : []) {
        const height = (100 * shares[kind]) / worst;
        const bar = this.run(frame, frame, null);
        bar.style.bottom = `${bottom}%`;
        bar.style.height = `${height}%`;
        bar.style.background = `rgb(${ERRORS[kind].color.join(" ")})`;
        bar.title = `frame ${frame + 1}: ${ERRORS[kind].name} ${(100 * shares[kind]).toFixed(1)} %`;
        lane.prepend(bar);
        bottom += height;
      }
    });
    return [label, lane];
  }

  trackLanes(video) {
    const matched = new Set(video.objects.flatMap((object) => object.finders.filter((row) => row > 0)));
    const order = [...video.tracks].sort((a, b) => video.pred[a.row][0] - video.pred[b.row][0] || a.runs[0][0] - b.runs[0][0]);
    return order.map(({ row, runs }) => {
      const parts = runs.map(([first, last]) => this.run(first, last, video.pred[row], matched.has(row) || !video.objects.length ? "" : "false"));
      const [birth, death] = [runs[0][0], runs.at(-1)[1]];
      parts.push(this.mark("birth", birth, `born in frame ${birth + 1}`));
      if (death < video.length - 1) parts.push(this.mark("death", death + 1, `last seen in frame ${death + 1}`));
      for (const [frame, object, before, after] of video.switches) {
        if (after === row) parts.push(this.switchMark(video, frame, object, before, after));
      }
      return this.labelled(this.player.nameOf(video.pred, row), video.pred[row], row, birth, this.lane(parts, video.length));
    });
  }

  objectLanes(video) {
    return video.objects.map(({ row, holder, finders }) => {
      const parts = [];
      for (let first = 0; first < finders.length; ) {
        let last = first;
        while (last + 1 < finders.length && finders[last + 1] === finders[first]) last++;
        if (finders[first] > 0) parts.push(this.run(first, last, video.pred[finders[first]]));
        if (finders[first] === 0) parts.push(this.run(first, last, null, "missed"));
        first = last + 1;
      }
      for (const [frame, object, before, after] of video.switches) {
        if (object === row) parts.push(this.switchMark(video, frame, object, before, after));
      }
      const start = finders.findIndex((finder) => finder >= 0);
      return this.labelled(this.player.nameOf(video.truth, row), video.truth[row], holder, start, this.lane(parts, video.length));
    });
  }

  labelled(name, row, track, start, lane) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.track = track;
    button.append(swatch(row.slice(2, 5)), ` ${name}`);
    button.addEventListener("click", () => {
      this.player.state.selected = track;
      this.player.seek(start);
    });
    lane.addEventListener("click", () => {
      this.player.state.selected = track;
      this.player.draw();
    });
    return [button, lane];
  }

  lane(parts, length) {
    const lane = document.createElement("div");
    lane.className = "lane";
    const now = document.createElement("span");
    now.className = "now";
    lane.append(...parts, now);
    lane.addEventListener("click", (event) => {
      const box = lane.getBoundingClientRect();
      this.player.seek(Math.floor(((event.clientX - box.left) / box.width) * length));
    });
    return lane;
  }

  run(first, last, row, kind = "") {
    const bar = document.createElement("span");
    bar.className = kind;
    bar.style.left = this.percent(first);
    bar.style.width = this.percent(last + 1 - first);
    if (row) bar.style.background = `rgb(${row[2]} ${row[3]} ${row[4]})`;
    const frames = first === last ? `frame ${first + 1}` : `frames ${first + 1} to ${last + 1}`;
    const what = { missed: ": missed", false: ": matches no true object" }[kind] ?? "";
    bar.title = row ? `${this.player.nameOf([row], 0)}, ${frames}${what}` : `${frames}${what}`;
    return bar;
  }

  mark(kind, frame, title) {
    const mark = document.createElement("i");
    mark.className = kind;
    mark.style.left = this.percent(frame);
    mark.title = title;
    return mark;
  }

  switchMark(video, frame, object, before, after) {
    const name = (row) => this.player.nameOf(video.pred, row);
    const title = `frame ${frame + 1}: ${name(after)} takes over ${this.player.nameOf(video.truth, object)} (truth) from ${name(before)}`;
    return this.mark("switch", frame, title);
  }

  showKey() {
    const entries = [["switch", "identity switch"]];
    if (this.mode === "tracks") entries.unshift(["birth", "birth"], ["death", "end"]);
    else entries.unshift(["missed", "missed"]);
    this.root.querySelector("#timeline-key").replaceChildren(
      this.mode === "tracks" ? "Pale tracks match no true object." : "Bars have the colour of the track that finds the object.",
      ...entries.map(([kind, text]) => {
        const span = document.createElement("span");
        const mark = document.createElement("i");
        mark.className = `mark ${kind}`;
        span.append(mark, text);
        return span;
      }),
    );
  }
}

// Buttons, keys and the address of the page.

function setUpTheme() {
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  });
}

function setUpHelp() {
  const dialog = document.getElementById("help");
  document.getElementById("help-button").addEventListener("click", () => dialog.showModal());
  return dialog;
}

function setUpKeys(player, dialog) {
  const layers = Object.keys(LAYERS);
  const move = (step) => player && player.seek(player.wanted.frame + step);
  const actions = {
    " ": () => player?.toggle(),
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    Home: () => player?.seek(0),
    End: () => player?.seek(Infinity),
    "[": () => player?.open(player.wanted.video - 1),
    "]": () => player?.open(player.wanted.video + 1),
    t: () => player && !player.el("truth").disabled && player.set({ truth: !player.state.truth }),
    "-": () => player?.set({ opacity: Math.max(0, player.state.opacity - 10) }),
    "+": () => player?.set({ opacity: Math.min(100, player.state.opacity + 10) }),
    "?": () => (dialog.open ? dialog.close() : dialog.showModal()),
    Escape: () => player?.select(0),
  };
  actions["="] = actions["+"];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (dialog.open && event.key !== "?") return;
    const target = event.target;
    const own = { INPUT: ["Arrow", "Home", "End"], BUTTON: [" "], SUMMARY: [" "] }[target.tagName] ?? [];
    if (own.some((key) => event.key.startsWith(key))) return; // the element's own keys
    const layer = layers[Number(event.key) - 1];
    const button = layer && player?.el("layers").querySelector(`[data-layer="${layer}"]`);
    const action = layer ? button && !button.disabled && (() => player.set({ layer })) : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

// "#video=000003&frame=2" opens that video and frame, so that a link can point at a mistake.
function setUpAddress(report, player) {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const number = report.videos.findIndex((video) => video.id === wanted.get("video"));
  player.onChange(() => {
    const { video, frame } = player.state;
    const place = new URLSearchParams({ video: report.videos[video].id, frame: frame + 1 });
    history.replaceState(null, "", `#${place}`);
  });
  return [Math.max(0, number), Math.max(0, (Number(wanted.get("frame")) || 1) - 1)];
}

function setUpVideos(player) {
  const buttons = document.querySelectorAll("[data-video]");
  for (const button of buttons) {
    button.addEventListener("click", () => player.open(Number(button.dataset.video)));
  }
  player.onChange(() => {
    for (const button of buttons) {
      button.setAttribute("aria-current", Number(button.dataset.video) === player.state.video);
    }
  });
}

async function main() {
  const report = prepareReport(JSON.parse(document.getElementById("report-data").textContent));
  setUpTheme();
  const dialog = setUpHelp();
  if (!report.videos.length) return setUpKeys(null, dialog);
  const player = new Player(document.getElementById("player"), report);
  new Timeline(document.querySelector(".timeline"), player);
  setUpVideos(player);
  setUpKeys(player, dialog);
  document.getElementById("segments").addEventListener("toggle", () => player.draw());
  await player.open(...setUpAddress(report, player));
  document.documentElement.dataset.ready = "true";
}

main();

// What is painted over the picture: one function per layer, pixel -> colour.

const RIGHT = 0, NOT_JUDGED = 1, MISSED = 2, FALSE = 3, WRONG_CLASS = 4, WRONG_TRACK = 5;
const ERRORS = [
  { name: "right", color: [20, 24, 30] },
  { name: "not judged", color: [84, 89, 98] },
  { name: "missed", color: [240, 180, 40] },
  { name: "false object", color: [226, 61, 61] },
  { name: "wrong class", color: [190, 90, 230] },
  { name: "wrong track", color: [40, 190, 240] },
];
const RIGHT_ALPHA = 120; // what is right lets the picture through
const NOTHING = [46, 46, 51];
const DEPTH_ERROR_SPAN = 0.5; // relative error of the strongest colour

// 32-bit pixels for ImageData, red in the lowest byte.
const word = ([red, green, blue], alpha = 255) =>
  ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

// From blue (too near) over dark (right) to red (too far).
function depthErrorColor(relative) {
  const part = Math.max(-1, Math.min(1, relative / DEPTH_ERROR_SPAN));
  const strong = Math.abs(part) ** 0.7;
  const end = part < 0 ? [70, 150, 255] : [255, 90, 60];
  return end.map((value, i) => Math.round([26, 28, 32][i] * (1 - strong) + value * strong));
}

const segmentWords = (table) => table.map((row, i) => (i ? word(row.slice(2, 5)) : 0));

const LAYERS = {
  input: { available: () => true, paint: null, muted: false },
  segments: {
    available: (frame, truth) => (truth ? frame.truth : frame.pred) !== null,
    muted: true,
    outlines: true,
    paint(frame, video, report, truth) {
      const words = truth ? video.truthWords : video.predWords;
      const rows = truth ? frame.truth : frame.pred;
      return (i) => words[rows[i]];
    },
  },
  depth: {
    available: (frame, truth) => (truth ? frame.trueDepth : frame.depth) !== null,
    muted: true,
    paint(frame, video, report, truth) {
      const codes = truth ? frame.trueDepth : frame.depth;
      return (i) => report.depthWords[codes[i]];
    },
  },
  errors: {
    available: (frame) => frame.truth !== null,
    muted: true,
    outlines: true,
    paint(frame, video) {
      const words = ERRORS.map(({ color }, kind) => word(color, kind === RIGHT ? RIGHT_ALPHA : 255));
      const columns = video.pred.length;
      return (i) => words[video.errors[frame.truth[i] * columns + frame.pred[i]]];
    },
  },
  "depth-errors": {
    available: (frame) => frame.depth !== null && frame.trueDepth !== null,
    muted: true,
    paint(frame, video, report) {
      const { depth, trueDepth } = frame;
      const nothing = word(NOTHING);
      return (i) => {
        if (!trueDepth[i]) return nothing;
        if (!depth[i]) return report.depthErrorWords[0];
        const steps = depth[i] - trueDepth[i];
        const place = Math.max(0, Math.min(report.depthErrorWords.length - 1, steps + report.depthErrorMiddle));
        return report.depthErrorWords[place];
      };
    },
  },
};

// Colour tables that do not change with the video.
function prepareReport(report) {
  const bytes = Uint8Array.from(atob(report.depth.colors), (c) => c.charCodeAt(0));
  report.depthWords = new Uint32Array(bytes.length / 3);
  for (let i = 0; i < report.depthWords.length; i++) {
    report.depthWords[i] = word(bytes.subarray(3 * i, 3 * i + 3));
  }
  report.depthErrorMiddle = 200;
  report.depthErrorWords = new Uint32Array(401).map((_, i) =>
    word(depthErrorColor(Math.exp((i - report.depthErrorMiddle) * report.depth.step) - 1)),
  );
  return report;
}

async function prepareVideo(video) {
  video.predWords = segmentWords(video.pred);
  video.truthWords = segmentWords(video.truth);
  video.errors = new Uint8Array(await inflate(video.errors));
  video.decoded = video.frames.map(() => null);
  return video;
}

// Numbers that report/payload.py packed: base64 around zlib around little-endian bytes.

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function decodeRows(text) {
  return text === null ? null : new Uint16Array(await inflate(text));
}

// Codes of depth: differences along each row, all low bytes before all high bytes.
async function decodeDepth(text, width) {
  if (text === null) return null;
  const bytes = new Uint8Array(await inflate(text));
  const count = bytes.length / 2;
  const codes = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const before = i % width ? codes[i - 1] : 0;
    codes[i] = before + bytes[i] + (bytes[i + count] << 8);
  }
  return codes;
}

function decodeImage(url) {
  if (url === null) return Promise.resolve(null);
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image);
}

async function decodeFrame(frame) {
  const [width, height] = frame.size;
  const [image, pred, truth, depth, trueDepth] = await Promise.all([
    decodeImage(frame.image),
    decodeRows(frame.pred),
    decodeRows(frame.truth),
    decodeDepth(frame.depth, width),
    decodeDepth(frame.true_depth, width),
  ]);
  return { ...frame, width, height, image, pred, truth, depth, trueDepth };
}

function metresOf(code, depth) {
  return code ? depth.nearest * Math.exp((code - 1) * depth.step) : null;
}

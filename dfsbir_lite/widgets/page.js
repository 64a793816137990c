// The search of a page that needs neither Python nor a server; pad.js comes before it. The steps
// are those of strokes.render, SmallResNet and what a gallery reads with, to the same numbers.

const content = (id) => JSON.parse(document.getElementById(id).textContent);
const about = content("about"), net = content("net"), { look, names } = about;

// A tensor comes as its shape and floats of single or half precision.
for (const tensor of Object.values(net)) {
  const { buffer } = Uint8Array.from(atob(tensor.data), (each) => each.charCodeAt(0));
  const half = tensor.half && Array.from(new Uint16Array(buffer), single);
  tensor.data = new Float32Array(half || buffer);
}

function single(bits) {
  const power = (bits >> 10) & 31, rest = bits & 1023;
  return (bits >> 15 ? -1 : 1) * (power ? 1024 + rest : 2 * rest) * 2 ** (power - 25);
}

// What the network sees of a drawing, row by row, 1 for white.
function picture(strokes) {
  const ends = (end) => [0, 1].map((k) => strokes.flatMap((stroke) => stroke.points)
    .reduce((so, point) => end(so, point[k]), strokes[0].points[0][k]));
  const [low, high] = [ends(Math.min), ends(Math.max)];
  const scale = look.fill / Math.max(0.1, high[0] - low[0], high[1] - low[1]);
  const fine = Math.max(4, Math.round(256 / look.size)), side = look.size * fine;
  const fit = (point) => point.map((at, k) => (at - (low[k] + high[k]) / 2) * scale + 0.5);
  const clip = (width) => Math.min(look.thickest, Math.max(look.thinnest, width * scale));
  // OpenCV's lines are wider than they should be
  const wide = (width) => (2 * Math.ceil(Math.round(clip(width) * side) / 2) + 1.4) / side;
  const fitted = strokes.map((each) => ({ points: each.points.map(fit), width: wide(each.width) }));
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const grey = (level) => `rgb(${level}, ${level}, ${level})`;
  pen.canvas.width = pen.canvas.height = side;
  pen.fillStyle = grey(look.paper);
  pen.fillRect(0, 0, side, side);
  pen.scale(side, side);
  draw(pen, fitted, grey(look.ink));
  const { data } = pen.getImageData(0, 0, side, side), seen = new Float32Array(look.size ** 2);
  const cell = (n) => Math.floor(n / side / fine) * look.size + Math.floor((n % side) / fine);
  for (let n = 0; n < side * side; n++) seen[cell(n)] += data[4 * n];
  return seen.map((sum) => Math.round(sum / fine ** 2) / 255);
}

// A convolution, the batch norm after it, what is added, and a rectifier.
function conv({ maps, side }, name, norm, stride, added = null, least = 0) {
  const { shape: [outputs, inputs, reach], data: weights } = net[`${name}.weight`];
  const [scale, shift] = [net[`${norm}.scale`].data, net[`${norm}.shift`].data];
  const size = Math.ceil(side / stride), area = size * size, length = inputs * reach * reach;
  const out = new Float32Array(outputs * area), patch = new Float32Array(length);
  for (let at = 0; at < area; at++) {
    const [top, left] = [Math.floor(at / size), at % size].map((n) => n * stride - (reach >> 1));
    for (let k = 0, channel = 0; channel < inputs; channel++) {
      for (let y = top; y < top + reach; y++) for (let x = left; x < left + reach; x++, k++) {
        const inside = y >= 0 && y < side && x >= 0 && x < side;
        patch[k] = inside ? maps[(channel * side + y) * side + x] : 0;
      }
    }
    for (let o = 0, w = 0; o < outputs; w += 4 * length) {
      let a = 0, b = 0, c = 0, d = 0; // four sums at a time, as none has to wait for another
      for (let k = 0; k < length; k++) {
        a += patch[k] * weights[w + k];
        b += patch[k] * weights[w + length + k];
        c += patch[k] * weights[w + 2 * length + k];
        d += patch[k] * weights[w + 3 * length + k];
      }
      for (const sum of [a, b, c, d]) {
        const value = sum * scale[o] + shift[o] + (added ? added.maps[o * area + at] : 0);
        out[area * o++ + at] = Math.max(least, value);
      }
    }
  }
  return { maps: out, side: size };
}

function block(x, at, stride) {
  const inner = conv(x, `${at}.conv1`, `${at}.bn1`, stride), short = `${at}.shortcut`;
  const same = !(`${short}.0.weight` in net);
  const skip = same ? x : conv(x, `${short}.0`, `${short}.1`, stride, null, -Infinity);
  return conv(inner, `${at}.conv2`, `${at}.bn2`, 1, skip);
}

// The rows of a matrix times a vector.
const times = ({ shape: [count, length], data }, vector) => Array.from({ length: count },
  (_, n) => vector.reduce((sum, value, k) => sum + value * data[n * length + k], 0));

// The last layer's scores for a picture.
function read(seen) {
  const grey = Array.from(seen, (light) => (light - 0.5) / 0.25);
  const input = { maps: Float32Array.of(...grey, ...grey, ...grey), side: look.size };
  let x = conv(input, "stem", "bn", 2);
  for (const [at, stride] of about.blocks) x = block(x, at, stride);
  const area = x.side ** 2, shape = [x.maps.length / area, area];
  const means = times({ shape, data: x.maps }, new Array(area).fill(1 / area));
  return times(net["fc.weight"], means).map((value, n) => value + net["fc.bias"].data[n]);
}

function logSum(values) {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

// What is compared with the rows of the photos.
function embed(seen) {
  const scores = read(seen);
  const each = about.groups.map((group) => logSum(group.map((k) => scores[k]))), all = logSum(each);
  const row = each.map((score) => Math.exp(score - all));
  state.likely = row.map((share, n) => [share, n]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  return net.spread ? times(net.spread, row) : row;
}

function search(strokes) {
  const row = embed(picture(strokes)), length = Math.hypot(...row);
  const cosines = times(net.rows, row).map((cosine, place) => [place, cosine / length]);
  return cosines.sort((a, b) => b[1] - a[1]).slice(0, 10);
}

function answer() {
  const found = state.strokes.length ? search(state.strokes) : [];
  const [status, list] = document.querySelector(".dfsbir-found").children;
  list.innerHTML = found.map(([place, cosine], n) => `<li><img alt="photo ${n + 1}: ${names[place]}"
    src="data:image/webp;base64,${about.photos[place]}">${n + 1} ${names[place]}
    <br>${cosine.toFixed(2)}</li>`).join("");
  const percent = ([share, n]) => `${about.kinds[n]} ${(100 * share).toFixed()} %`;
  const said = about.kinds ? `read as ${(state.likely || []).map(percent).join(", ")}`
    : `closest: ${[...new Set(found.map(([place]) => names[place]))].join(", ")}`;
  status.innerHTML = found.length ? said : "blank paper";
}

const state = { strokes: about.strokes, width: about.pen }, set = (k, v) => { state[k] = v; };
const save_changes = () => setTimeout(answer); // the stroke shows first
const model = { get: (name) => state[name], set, save_changes, on() {}, off() {} };
render({ model, el: document.getElementById("pad") });
answer();

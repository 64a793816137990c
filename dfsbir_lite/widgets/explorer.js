// A scatter of pictures: circles are photos, crosses are sketches, a colour is a class.
// The maps come from Python; here they are drawn, moved between and asked about, which goes on
// while the kernel is busy.

const GREY = "#8a8a8a", PHOTO = "#d1652b", SKETCH = "#3a73c2";
const REACH = 14; // pixels: how far from a point one may click
const MOVE = 700, PAUSE = 500; // milliseconds

function make(tag, parent, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  // whatever takes the focus says itself that JupyterLab must leave it the arrow keys and Enter
  if (["button", "canvas", "input"].includes(tag)) element.dataset.lmSuppressShortcuts = "true";
  element.textContent = text;
  parent.append(element);
  return element;
}

function median(values) {
  const sorted = Float32Array.from(values).sort();
  return sorted[sorted.length >> 1];
}

// Towards black on light paper and towards white on dark, so that a name can be read.
function readable(colour, dark) {
  const parts = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const shift = (part) => Math.round(dark ? 255 - (255 - part) * 0.55 : part * 0.62);
  return `rgb(${parts.map(shift).join()})`;
}

function render({ model, el }) {
  const labels = model.get("labels"), sketches = model.get("sketches");
  const classes = model.get("classes"), colours = model.get("colours");
  const total = labels.length, numbers = [...labels.keys()];
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const chosen = { classes: new Set(), modality: null };
  const groups = classes.map((_, c) =>
    [false, true].map((s) => numbers.filter((i) => labels[i] === c && sketches[i] === s)));
  const sheet = URL.createObjectURL(new Blob([model.get("sprites")], { type: "image/png" }));
  const columns = Math.ceil(Math.sqrt(total)), rows = Math.ceil(total / columns);

  let frames = [], now, from, to, began = 0, request = 0, current = -1, timer = 0;
  let byModality = false, scale = 1, width = 0, height = 0;

  // --- what is on the page ---------------------------------------------------------------------

  const root = make("div", el, { class: "dfsbir-scatter" });
  const top = make("div", root, { class: "top" });
  const stage = make("div", top, { class: "stage" });
  const canvas = make("canvas", stage, {
    tabindex: "0", role: "application",
    "aria-label": `Map of ${total} pictures. Arrow keys go from picture to picture, Enter pins.`,
  });
  const card = make("div", stage, { class: "card", hidden: "" });
  const legend = make("div", top, { class: "legend", role: "group", "aria-label": "what to show" });
  const tray = make("div", root, { class: "tray" });
  const told = make("div", root, { class: "told", "aria-live": "polite" });
  const paper = canvas.getContext("2d");

  function toggle(parent, text, colour, mark, action) {
    const button = make("button", parent, { type: "button", "aria-pressed": "false" });
    make("span", button, { class: "mark", "aria-hidden": "true" }, mark).style.color = colour;
    make("span", button, {}, text);
    button.onclick = () => {
      action();
      update();
    };
    return button;
  }

  const marks = make("div", legend, { class: "marks" });
  const modalities = [["photos", "●"], ["sketches", "✕"]].map(([name, mark], n) =>
    toggle(marks, name, GREY, mark, () => {
      chosen.modality = chosen.modality === n ? null : n;
    }));
  const names = make("div", legend, { class: "names" });
  const swatches = classes.map((name, c) =>
    toggle(names, name, colours[c], "■", () => {
      if (!chosen.classes.delete(c)) chosen.classes.add(c);
    }));
  const hue = toggle(legend, "colour by modality", GREY, "◐", () => {
    byModality = !byModality;
  });

  function update() {
    modalities.forEach((button, n) => button.setAttribute("aria-pressed", chosen.modality === n));
    swatches.forEach((button, c) => {
      button.setAttribute("aria-pressed", chosen.classes.has(c));
      button.classList.toggle("off", chosen.classes.size > 0 && !chosen.classes.has(c));
      button.firstChild.style.color = byModality ? GREY : colours[c];
    });
    modalities.forEach((button, n) => {
      button.classList.toggle("off", chosen.modality !== null && chosen.modality !== n);
      button.firstChild.style.color = byModality ? [PHOTO, SKETCH][n] : GREY;
    });
    hue.setAttribute("aria-pressed", byModality);
    draw();
  }

  const shown = (i) =>
    (!chosen.classes.size || chosen.classes.has(labels[i])) &&
    (chosen.modality === null || chosen.modality === Number(sketches[i]));
  const hueOf = (i) => (byModality ? (sketches[i] ? SKETCH : PHOTO) : colours[labels[i]]);
  const place = (i) => [width / 2 + now[2 * i] * scale, height / 2 - now[2 * i + 1] * scale];
  const about = (i) => `${classes[labels[i]]}, ${sketches[i] ? "sketch" : "photo"}`;

  function picture(parent, i, size) {
    const image = make("div", parent, { class: "picture", role: "img", "aria-label": about(i) });
    image.style.cssText = `width:${size}px;height:${size}px;background-image:url(${sheet});
      background-size:${columns * size}px ${rows * size}px;
      background-position:${-(i % columns) * size}px ${-Math.floor(i / columns) * size}px`;
  }

  // --- drawing ---------------------------------------------------------------------------------

  function resize() {
    const box = stage.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (!box.width) return;
    [width, height] = [box.width, box.height];
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    scale = Math.min(width / 2 - 24, height / 2 - 14);
    draw();
  }

  function mark(i, size) {
    const [x, y] = place(i);
    paper.beginPath();
    if (sketches[i]) {
      paper.moveTo(x - size, y - size);
      paper.lineTo(x + size, y + size);
      paper.moveTo(x - size, y + size);
      paper.lineTo(x + size, y - size);
      paper.stroke();
    } else {
      paper.arc(x, y, size, 0, 7);
      paper.fill();
    }
  }

  function ring(i, ink, size, note) {
    const [x, y] = place(i);
    paper.strokeStyle = paper.fillStyle = ink;
    paper.lineWidth = 2;
    paper.beginPath();
    paper.arc(x, y, size, 0, 7);
    paper.stroke();
    if (note) write(note, x + size + 6, y - size, ink);
  }

  function write(text, x, y, ink) {
    paper.lineWidth = 4;
    paper.strokeStyle = getComputedStyle(root).getPropertyValue("--paper");
    paper.strokeText(text, x, y);
    paper.fillStyle = ink;
    paper.fillText(text, x, y);
  }

  // Where the median of some points is, and how far from it they lie.
  function middle(part) {
    if (!part.length) return null;
    const places = part.map(place);
    const [x, y] = [0, 1].map((axis) => median(places.map((p) => p[axis])));
    return { x, y, scatter: median(places.map((p) => Math.hypot(p[0] - x, p[1] - y))) };
  }

  // A class has its name over the middle of its photos and, where they lie elsewhere, over its
  // sketches too; none where they lie scattered among the others.
  function nameClass(c, dark, whole) {
    const middles = groups[c].map(middle);
    const ink = byModality ? getComputedStyle(root).color : readable(colours[c], dark);
    const written = [];
    middles.forEach((spot, n) => {
      if (!spot || (chosen.classes.size && !chosen.classes.has(c))) return;
      if (chosen.modality !== null && chosen.modality !== n) return;
      if (written.some((other) => Math.hypot(other.x - spot.x, other.y - spot.y) < 0.24 * scale)) return;
      const order = 1 - spot.scatter / whole[n].scatter; // 0 where the class is anywhere
      paper.globalAlpha = Math.max(0, Math.min(1, 6 * order - 1.4));
      if (!paper.globalAlpha) return;
      write(classes[c], spot.x, spot.y, ink);
      written.push(spot);
    });
  }

  function draw() {
    if (!now || !width) return;
    const style = getComputedStyle(root);
    const dark = style.getPropertyValue("--dark").trim() === "1";
    paper.clearRect(0, 0, width, height);
    paper.lineCap = "round";
    paper.font = "600 12px system-ui, sans-serif";
    paper.textAlign = "center";
    paper.textBaseline = "middle";
    paper.lineJoin = "round";
    for (const i of numbers) {
      paper.globalAlpha = shown(i) ? 0.75 : 0.09;
      paper.fillStyle = paper.strokeStyle = hueOf(i);
      paper.lineWidth = 1.6;
      mark(i, 3.2);
    }
    const whole = [false, true].map((s) => middle(numbers.filter((i) => sketches[i] === s)));
    classes.forEach((_, c) => nameClass(c, dark, whole));
    paper.globalAlpha = 1;
    model.get("pinned").forEach((i, n) => ring(i, style.color, 8, String(n + 1)));
    if (current >= 0) {
      paper.fillStyle = paper.strokeStyle = hueOf(current);
      paper.lineWidth = 2.6;
      mark(current, 5);
      ring(current, style.color, 9);
      moveCard();
    }
  }

  // --- moving from one map to another -------------------------------------------------------------

  function read() {
    const view = model.get("points");
    const values = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    frames = [];
    for (let k = 0; k < values.length; k += 2 * total) frames.push(values.subarray(k, k + 2 * total));
  }

  function go() {
    to = frames[Math.min(model.get("frame"), frames.length - 1)];
    cancelAnimationFrame(request);
    if (!now || still.matches) {
      now = Float32Array.from(to);
      return draw();
    }
    [from, began] = [Float32Array.from(now), performance.now()];
    request = requestAnimationFrame(tween);
  }

  function tween(time) {
    const done = Math.max(0, Math.min(1, (time - began) / MOVE));
    const share = done * done * (3 - 2 * done);
    for (let k = 0; k < now.length; k++) now[k] = from[k] + share * (to[k] - from[k]);
    draw();
    if (done < 1) request = requestAnimationFrame(tween);
  }

  // --- asking about a picture ------------------------------------------------------------------

  function look(i, speak = false) {
    if (i === current) return;
    current = i;
    card.hidden = i < 0;
    card.replaceChildren();
    if (i >= 0) {
      picture(card, i, 96);
      make("div", card, {}, about(i));
      if (speak) told.textContent = about(i);
    }
    draw();
  }

  function moveCard() {
    const [x, y] = place(current);
    const left = x + 16 + card.offsetWidth > width ? x - 16 - card.offsetWidth : x + 16;
    const up = Math.min(Math.max(4, y - card.offsetHeight / 2), height - card.offsetHeight - 4);
    card.style.transform = `translate(${Math.round(left)}px, ${Math.round(up)}px)`;
  }

  function nearest(x, y, far = REACH) {
    let best = -1;
    for (const i of numbers) {
      if (!shown(i)) continue;
      const [a, b] = place(i), distance = Math.hypot(a - x, b - y);
      if (distance < far) [best, far] = [i, distance];
    }
    return best;
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    return nearest(event.clientX - box.left, event.clientY - box.top);
  }

  function pin(i) {
    const pinned = model.get("pinned");
    model.set("pinned", pinned.includes(i) ? pinned.filter((p) => p !== i) : [...pinned, i]);
    model.save_changes();
  }

  function fillTray() {
    const focused = [...tray.children].indexOf(document.activeElement);
    tray.replaceChildren();
    model.get("pinned").forEach((i, n) => {
      const button = make("button", tray, { type: "button", title: "unpin", "aria-label": `unpin ${n + 1}, ${about(i)}` });
      picture(button, i, 64);
      make("span", button, {}, `${n + 1} ${about(i)}`);
      button.onclick = () => pin(i);
    });
    // whoever unpins by keyboard stays in the tray, or goes back to the map
    if (focused >= 0) (tray.children[Math.min(focused, tray.children.length - 1)] ?? canvas).focus();
    draw();
  }

  // The nearest picture in the direction of an arrow key; what lies off the line counts double.
  function towards(dx, dy) {
    if (current < 0) return nearest(width / 2, height / 2, Infinity);
    const [x, y] = place(current);
    let best = current, least = Infinity;
    for (const i of numbers) {
      const [a, b] = place(i), ahead = (a - x) * dx + (b - y) * dy;
      const aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
      if (!shown(i) || ahead <= 0.5 || aside > ahead) continue;
      if (ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside];
    }
    return best;
  }

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.onkeydown = (event) => {
    if (event.key in arrows) look(towards(...arrows[event.key]), true);
    else if ((event.key === "Enter" || event.key === " ") && current >= 0) pin(current);
    else if (event.key === "Escape") look(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  canvas.onpointermove = (event) => look(under(event));
  canvas.onpointerleave = () => look(-1);
  canvas.onblur = () => look(-1);
  canvas.onclick = (event) => {
    const i = under(event);
    look(i);
    if (i >= 0) pin(i);
  };

  // --- time ------------------------------------------------------------------------------------

  const time = make("div", root, { class: "time" });
  const play = make("button", time, { type: "button", class: "play" });
  const track = make("div", time, { class: "track" });
  const slider = make("input", track, { type: "range", min: "0", step: "1", "aria-label": "moment" });
  const plot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  plot.setAttribute("preserveAspectRatio", "none");
  plot.setAttribute("aria-hidden", "true"); // the values stand beside the caption
  track.append(plot);
  const caption = make("output", time, { class: "caption" });

  function svg(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    plot.append(element);
    return element;
  }

  function drawTime() {
    const frame = model.get("frame"), last = frames.length - 1;
    time.hidden = !last;
    if (!last) return;
    slider.max = last;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", model.get("captions")[frame]);
    play.textContent = timer ? "❚❚" : "▶";
    play.setAttribute("aria-label", timer ? "pause" : "play");
    caption.replaceChildren();
    make("strong", caption, {}, model.get("captions")[frame]);
    plot.replaceChildren();
    plot.setAttribute("viewBox", `0 0 ${last} 1`);
    Object.entries(model.get("readings")).forEach(([name, values], n) => {
      const points = values.map((value, k) => `${k},${1 - value}`).join(" ");
      svg("polyline", { points, class: `line line${n}` });
      const entry = make("span", caption, { class: "reading" });
      make("i", entry, { class: `key line${n}` });
      entry.append(`${name} ${values[frame].toFixed(2)}`);
    });
    svg("line", { x1: frame, x2: frame, y1: 0, y2: 1, class: "cursor" });
  }

  function seek(frame) {
    model.set("frame", frame);
    model.save_changes();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    drawTime();
  }

  function advance() {
    const next = model.get("frame") + 1;
    if (next < frames.length) seek(next);
    if (next >= frames.length - 1) stop();
  }

  play.onclick = () => {
    if (timer) return stop();
    if (model.get("frame") >= frames.length - 1) seek(0);
    timer = setInterval(advance, MOVE + PAUSE);
    drawTime();
  };
  slider.oninput = () => {
    if (timer) stop();
    seek(Number(slider.value));
  };

  // --- from Python, and from the page ----------------------------------------------------------

  const onFrames = () => {
    read();
    go();
    drawTime();
  };
  const onFrame = () => {
    go();
    drawTime();
  };
  const heard = { points: onFrames, frame: onFrame, pinned: fillTray };
  for (const [name, action] of Object.entries(heard)) model.on(`change:${name}`, action);
  const size = new ResizeObserver(resize);
  size.observe(stage);
  const theme = new MutationObserver(draw);
  theme.observe(document.body, { attributes: true });
  onFrames();
  fillTray();
  update();

  return () => {
    for (const [name, action] of Object.entries(heard)) model.off(`change:${name}`, action);
    size.disconnect();
    theme.disconnect();
    clearInterval(timer);
    cancelAnimationFrame(request);
    URL.revokeObjectURL(sheet);
  };
}

export default { render };

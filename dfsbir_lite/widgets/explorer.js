// A scatter of pictures: circles are photos, crosses are sketches, a colour is a class or, after
// those of the classes, a modality. Maps come from Python; here one moves between them and asks.

const REACH = 14, MOVE = 700; // pixels around a point; milliseconds from one map to another
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PAGE = `<div class="dfsbir-scatter"><div class="top"><div class="stage">
    <canvas tabindex="0" role="application"></canvas><div class="card" aria-live="polite"></div>
  </div><div class="legend" role="group" aria-label="what to show"></div></div>
  <div class="caption"></div><div class="tray"></div></div>`;

function make(tag, parent, attributes = {}, text = "") {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return parent.appendChild(element);
}

function render({ model, el }) {
  const { labels, sketches, classes, colours, captions } = model.get("about");
  const total = labels.length, numbers = [...labels.keys()], columns = Math.ceil(Math.sqrt(total));
  const sheet = URL.createObjectURL(new Blob([model.get("sprites")], { type: "image/png" }));
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let now, request = 0, current = -1, scale = 1, width = 0, height = 0;

  el.innerHTML = PAGE;
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves arrow keys and Enter to us
  const parts = ["div", "canvas", ".card", ".legend", ".caption", ".tray"];
  const [root, canvas, card, legend, caption, tray] = parts.map((part) => el.querySelector(part));
  const paper = canvas.getContext("2d");
  canvas.setAttribute("aria-label",
    `Map of ${total} pictures. Arrow keys go from picture to picture, Enter pins.`);

  // The legend: what is pressed is shown, and everything if nothing is.
  const kinds = ["photos", "sketches"], pressed = new Set();
  const among = (name, names) => pressed.has(name) || !names.some((each) => pressed.has(each));
  const shown = (i) => among(classes[labels[i]], classes) && among(kinds[sketches[i]], kinds);

  for (const [n, name] of [...classes, ...kinds].entries()) {
    const button = make("button", legend, { type: "button", "aria-pressed": "false" });
    const mark = "■●✕"[Math.max(0, n - classes.length + 1)];
    make("span", button, { class: "mark", "aria-hidden": "true" }, mark).style.color = colours[n];
    button.append(name);
    button.onclick = () => {
      if (!pressed.delete(name)) pressed.add(name);
      button.setAttribute("aria-pressed", pressed.has(name));
      draw();
    };
  }

  const about = (i) => `${classes[labels[i]]}, ${sketches[i] ? "sketch" : "photo"}`;
  const onPage = ([x, y]) => [width / 2 + x * scale, height / 2 - y * scale];
  const place = (i) => onPage(now.subarray(2 * i, 2 * i + 2));

  function draw(moving = false) {
    if (!width) return;
    const style = getComputedStyle(root), shade = style.getPropertyValue("--shade");
    paper.clearRect(0, 0, width, height);
    for (const i of numbers) mark(i, 3.2, shown(i) ? 0.75 : 0.09);
    for (const [c, ...middle] of moving ? [] : model.get("names")[model.get("frame")]) {
      const light = [1, 3, 5].map((k) => parseInt(colours[c].slice(k, k + 2), 16) * shade);
      if (among(classes[c], classes)) write(classes[c], onPage(middle), `rgb(${light.join(" ")})`);
    }
    model.get("pinned").forEach((i, n) => ring(i, style.color, String(n + 1)));
    if (current < 0) return;
    mark(current, 5, 1);
    ring(current, style.color);
    const [x, y] = place(current), side = card.offsetWidth + 16;
    card.style.left = `${x + side > width ? x - side : x + 16}px`;
    card.style.top = `${Math.max(0, Math.min(y - 60, height - card.offsetHeight))}px`;
  }

  function mark(i, size, strength) {
    const [x, y] = place(i), ink = colours[classes.length + sketches[i]] ?? colours[labels[i]];
    [paper.globalAlpha, paper.lineWidth] = [strength, size / 2];
    paper.fillStyle = paper.strokeStyle = ink;
    paper.beginPath();
    if (!sketches[i]) paper.arc(x, y, size, 0, 7);
    for (const slope of sketches[i] ? [-size, size] : []) {
      paper.moveTo(x - size, y - slope);
      paper.lineTo(x + size, y + slope);
    }
    paper[sketches[i] ? "stroke" : "fill"]();
    paper.globalAlpha = 1;
  }

  function write(text, [x, y], ink) {
    [paper.font, paper.textAlign] = ["600 12px system-ui, sans-serif", "center"];
    [paper.lineWidth, paper.fillStyle] = [4, ink];
    paper.strokeStyle = getComputedStyle(root).getPropertyValue("--paper");
    paper.strokeText(text, x, y);
    paper.fillText(text, x, y);
  }

  function ring(i, ink, note = "") {
    const [x, y] = place(i);
    [paper.strokeStyle, paper.lineWidth] = [ink, 2];
    paper.beginPath();
    paper.arc(x, y, 9, 0, 7);
    paper.stroke();
    write(note, [x + 15, y - 6], ink);
  }

  function resize() {
    const ratio = window.devicePixelRatio || 1;
    [width, height] = [canvas.clientWidth, canvas.clientHeight];
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    scale = Math.min(width / 2 - 24, height / 2 - 14);
    draw();
  }

  // Moves all points to the present map, slowly unless the reader wants no motion.
  function go() {
    const view = model.get("points"), frame = model.get("frame"), size = 8 * total;
    const start = view.byteOffset + size * frame;
    const to = new Float32Array(view.buffer.slice(start, start + size));
    const from = calm.matches ? to : now ?? to, began = performance.now();
    caption.textContent = captions.length > 1 ? captions[frame].replaceAll("\n", "   ") : "";
    cancelAnimationFrame(request);
    (function move(time) {
      const done = from === to ? 1 : Math.max(0, Math.min(1, (time - began) / MOVE));
      const share = done * done * (3 - 2 * done);
      now = to.map((end, k) => from[k] + share * (end - from[k]));
      draw(done < 1);
      if (done < 1) request = requestAnimationFrame(move);
    })(began);
  }

  function picture(parent, i, size, title) {
    const figure = make("figure", parent), image = make("div", figure, { class: "picture" });
    image.style.cssText = `width:${size}px; height:${size}px; background:url(${sheet})
      ${-(i % columns) * size}px ${-Math.floor(i / columns) * size}px / ${columns * size}px`;
    make("figcaption", figure, {}, title);
  }

  function look(i) {
    if (i === current) return;
    current = i;
    card.replaceChildren();
    if (i >= 0) picture(card, i, 96, about(i));
    draw();
  }

  // Of the pictures shown, the one with the least distance from a place, if less than `far`.
  function nearest([x, y], far = Infinity, distance = Math.hypot) {
    let best = -1;
    for (const i of numbers.filter(shown)) {
      const [a, b] = place(i), away = distance(a - x, b - y);
      if (away < far) [best, far] = [i, away];
    }
    return best;
  }

  // The nearest picture in the direction of an arrow key; what lies off the line counts double.
  function step([dx, dy]) {
    const distance = (x, y) => {
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
      return ahead > 0.5 && aside <= ahead ? ahead + 2 * aside : Infinity;
    };
    const next = current < 0 ? nearest(onPage([0, 0])) : nearest(place(current), 1e9, distance);
    if (next >= 0) look(next);
  }

  function pin() {
    const pinned = model.get("pinned"), others = pinned.filter((i) => i !== current);
    model.set("pinned", others.length < pinned.length ? others : [...pinned, current]);
    model.save_changes();
  }

  function fillTray() {
    tray.replaceChildren();
    model.get("pinned").forEach((i, n) => picture(tray, i, 64, `${n + 1} ${about(i)}`));
    draw();
  }

  canvas.onkeydown = (event) => {
    if (event.key in ARROWS) step(ARROWS[event.key]);
    else if (event.key === "Enter" && current >= 0) pin();
    else if (event.key === "Escape") look(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  canvas.onpointermove = (event) => look(nearest([event.offsetX, event.offsetY], REACH));
  canvas.onpointerleave = canvas.onblur = () => look(-1);
  canvas.onclick = () => current >= 0 && pin();

  const answers = { "change:points": go, "change:frame": go, "change:pinned": fillTray };
  for (const [event, answer] of Object.entries(answers)) model.on(event, answer);
  const sized = new ResizeObserver(resize);
  sized.observe(canvas);
  go();
  fillTray();
  return () => {
    for (const [event, answer] of Object.entries(answers)) model.off(event, answer);
    sized.disconnect();
    cancelAnimationFrame(request);
    URL.revokeObjectURL(sheet);
  };
}

export default { render };

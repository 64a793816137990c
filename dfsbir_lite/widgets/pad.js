// A sheet of paper for mouse, pen, finger and keyboard. Strokes live here while they are drawn, and
// go to Python as one list when a stroke ends; coordinates and widths are shares of the paper's side.

const INK = "#3c3c3c", TIP = "#0072b2";
const STEP = 0.02, LEAP = 0.1; // how far an arrow key moves the pen, without and with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// Whether a line from a over b to c turns by more than 45 degrees at b.
function corner([ax, ay], [bx, by], [cx, cy]) {
  const along = (bx - ax) * (cx - bx) + (by - ay) * (cy - by);
  return along < 0.7 * Math.hypot(bx - ax, by - ay) * Math.hypot(cx - bx, cy - by);
}

// Curves through the middles between points, so that a quick hand draws no polygons.
function trace(pen, points) {
  pen.moveTo(...points[0]);
  for (let i = 1; i < points.length - 1; i++) {
    const [x, y] = points[i];
    const [nextX, nextY] = points[i + 1];
    if (corner(points[i - 1], points[i], points[i + 1])) pen.lineTo(x, y);
    else pen.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  pen.lineTo(...points.at(-1)); // of a dot, its only point
}

function drawStroke(pen, { points, width }) {
  pen.lineWidth = width;
  pen.beginPath();
  trace(pen, points);
  pen.stroke();
}

function render({ model, el }) {
  el.classList.add("dfsbir-pad");
  el.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab leaves our keys to us
  const hint = element("div", { class: "hint", "aria-hidden": "true" }, "draw here");
  const canvas = element("canvas", {
    tabindex: "0",
    role: "application",
    "aria-label": "Sketch pad: draw with mouse, pen or finger. By keyboard, arrow keys move the pen, "
      + "Space puts it down and lifts it, Escape drops the stroke. U undoes, Delete clears.",
  });
  const sheet = element("div", { class: "sheet" });
  const told = element("div", { class: "told", "aria-live": "polite" }); // for screen readers
  sheet.append(canvas, hint, told);

  const undoButton = element("button", { type: "button", title: "take back (u)" }, "Undo");
  const clearButton = element("button", { type: "button", title: "new paper (Delete)" }, "Clear");
  const brush = element("input", {
    type: "range", min: "0.008", max: "0.06", step: "0.001", "aria-label": "brush width",
  });
  const label = element("label", { class: "brush" }, "brush");
  const sample = element("span", { class: "sample", "aria-hidden": "true" });
  label.append(brush, sample);
  const tools = element("div", { class: "tools" });
  tools.append(undoButton, clearButton, label);
  el.append(sheet, tools);

  const pen = canvas.getContext("2d");
  let current = null; // the stroke under the pen
  let cleared = []; // what Clear took away, for Undo
  let tip = [0.5, 0.5], keys = false; // where the keyboard's pen is, and whether it is in use

  function redraw() {
    const strokes = model.get("strokes");
    const side = Math.round((canvas.clientWidth || 280) * (window.devicePixelRatio || 1));
    canvas.width = canvas.height = side;
    pen.scale(side, side);
    pen.strokeStyle = INK;
    pen.lineCap = pen.lineJoin = "round";
    for (const stroke of strokes) drawStroke(pen, stroke);
    if (current) drawStroke(pen, current);
    if (keys) drawTip();
    hint.hidden = strokes.length > 0 || current !== null;
    undoButton.disabled = !strokes.length && !cleared.length;
    clearButton.disabled = !strokes.length;
  }

  // A ring where the keyboard's pen is, full when it is down.
  function drawTip() {
    pen.strokeStyle = pen.fillStyle = TIP;
    pen.lineWidth = 0.008;
    pen.beginPath();
    pen.arc(...tip, 0.022, 0, 7);
    pen.stroke();
    if (current) pen.fill();
  }

  function send(strokes) {
    model.set("strokes", strokes);
    model.save_changes();
  }

  function undo() {
    if (current) return drop();
    const strokes = model.get("strokes");
    send(strokes.length ? strokes.slice(0, -1) : cleared);
    cleared = [];
  }

  function clear() {
    if (current) drop();
    if (!model.get("strokes").length) return;
    cleared = model.get("strokes");
    send([]);
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const share = (at, start, length) => Math.min(1, Math.max(0, (at - start) / length));
    return [
      +share(event.clientX, box.left, box.width).toFixed(4),
      +share(event.clientY, box.top, box.height).toFixed(4),
    ];
  }

  function begin(event) {
    if (current?.pointer === "keys") lift();
    if (current || event.button !== 0) return; // a second finger draws nothing
    event.preventDefault();
    keys = false;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    current = { points: [place(event)], width: model.get("width"), pointer: event.pointerId };
    redraw();
  }

  function extend(event) {
    if (current?.pointer !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const [x, y] = place(each);
      const [lastX, lastY] = current.points.at(-1);
      if (Math.hypot(x - lastX, y - lastY) > 0.002) current.points.push([x, y]);
    }
    redraw();
  }

  function end(event) {
    if (current?.pointer === event.pointerId) lift();
  }

  function lift() {
    const { points, width } = current;
    current = null;
    cleared = [];
    send([...model.get("strokes"), { points, width }]);
  }

  function drop() {
    current = null;
    redraw();
    told.textContent = "stroke dropped";
  }

  function move([dx, dy], step) {
    const within = (at) => +Math.min(1, Math.max(0, at)).toFixed(4);
    tip = [within(tip[0] + dx * step), within(tip[1] + dy * step)];
    if (current) current.points.push(tip);
    redraw();
    const [right, down] = tip.map((at) => Math.round(100 * at));
    told.textContent = `${right} right, ${down} down`;
  }

  function toggle() {
    if (current) lift();
    else current = { points: [tip], width: model.get("width"), pointer: "keys" };
    redraw();
    told.textContent = current ? "pen down" : `pen up, ${model.get("strokes").length} strokes`;
  }

  // Keys that draw; false for all others.
  function draws(event) {
    if (event.target !== canvas || event.ctrlKey) return false;
    if (current && current.pointer !== "keys") return false; // a hand is drawing
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " " && !(event.key === "Escape" && current)) return false;
    keys = true;
    if (arrow) move(arrow, event.shiftKey ? LEAP : STEP);
    else if (event.key === " ") event.repeat || toggle(); // held down is pressed once
    else drop();
    return true;
  }

  function showBrush() {
    const width = model.get("width");
    brush.value = width;
    const size = `${Math.max(2, width * (canvas.clientWidth || 280))}px`;
    sample.style.width = sample.style.height = size;
  }

  function key(event) {
    if (event.target === brush || event.altKey || event.metaKey) return;
    if (draws(event)) return event.preventDefault();
    if (event.key === "u" || (event.ctrlKey && event.key === "z")) undo();
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
  }

  canvas.addEventListener("pointerdown", begin);
  canvas.addEventListener("pointermove", extend);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("blur", () => {
    if (current?.pointer === "keys") lift();
    keys = false;
    redraw();
  });
  undoButton.addEventListener("click", undo);
  clearButton.addEventListener("click", clear);
  el.addEventListener("keydown", key);
  brush.addEventListener("input", () => {
    model.set("width", Number(brush.value));
    model.save_changes();
  });
  model.on("change:strokes", redraw);
  model.on("change:width", showBrush);
  const resized = new ResizeObserver(() => { redraw(); showBrush(); });
  resized.observe(canvas);
  redraw();
  showBrush();
  return () => {
    resized.disconnect();
    model.off("change:strokes", redraw);
    model.off("change:width", showBrush);
  };
}

export default { render };

// A sheet of paper for mouse, pen, finger and keyboard. Strokes live here while they are drawn, and
// go to Python as one list when a stroke ends, coordinates and widths in shares of the paper's side.

const INK = "#3c3c3c", TIP = "#0072b2";
const STEP = 0.02, LEAP = 0.1; // how far an arrow key moves the pen, without and with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP = "Sketch pad: draw with mouse, pen or finger. By keyboard, arrow keys move the pen, "
  + "Space puts it down and lifts it, Escape drops the stroke. U undoes, Delete clears.";
const PAGE = `
  <div class="sheet"><canvas tabindex="0" role="application" aria-label="${HELP}"></canvas>
    <div class="hint" aria-hidden="true">draw here</div>
    <div class="spoken" aria-live="polite"></div></div>
  <button type="button" title="take back (u)">Undo</button>
  <button type="button" title="new paper (Delete)">Clear</button>`;

// Draws strokes in units of the paper's side, whatever the pen is scaled to.
function draw(pen, strokes, colour) {
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = colour;
  for (const { points, width } of strokes) {
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(points[0][0] + 1e-4, points[0][1]); // one point is a dot, and needs some length
    for (const point of points) pen.lineTo(...point);
    pen.stroke();
  }
}

function render({ model, el }) {
  el.classList.add("dfsbir-pad");
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves our keys to us
  el.innerHTML = PAGE;
  const [canvas, hint, spoken, ...buttons] = el.querySelectorAll("canvas, .hint, .spoken, button");
  const pen = canvas.getContext("2d");
  let current = null; // the stroke under the pen, and whose pen it is
  let cleared = []; // what Clear took away, for Undo
  let tip = [0.5, 0.5], keys = false; // where the keyboard's pen is, and whether it is in use

  const within = (at) => +Math.min(1, Math.max(0, at)).toFixed(4);

  function redraw() {
    const strokes = model.get("strokes");
    canvas.width = canvas.height = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    pen.scale(canvas.width, canvas.width);
    draw(pen, current ? [...strokes, current] : strokes, INK);
    if (keys) drawTip();
    hint.hidden = strokes.length > 0 || current !== null;
  }

  // A ring where the keyboard's pen is, full when it is down.
  function drawTip() {
    [pen.strokeStyle, pen.fillStyle, pen.lineWidth] = [TIP, TIP, 0.008];
    pen.beginPath();
    pen.arc(...tip, 0.022, 0, 7);
    pen.stroke();
    if (current) pen.fill();
  }

  function send(strokes, removed = []) {
    [current, cleared] = [null, removed];
    model.set("strokes", strokes);
    model.save_changes();
    redraw();
  }

  function undo() {
    const strokes = model.get("strokes");
    if (current) drop();
    else send(strokes.length ? strokes.slice(0, -1) : cleared);
  }

  function clear() {
    if (model.get("strokes").length || current) send([], model.get("strokes"));
  }

  function place(event) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [within((event.clientX - left) / width), within((event.clientY - top) / height)];
  }

  function begin(event) {
    if (current?.pointer === "keys") lift();
    if (current || event.button !== 0) return; // a second finger draws nothing
    event.preventDefault();
    keys = false;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    putDown(place(event), event.pointerId);
  }

  function extend(event) {
    if (current?.pointer !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const [x, y] = place(each), [lastX, lastY] = current.points.at(-1);
      if (Math.hypot(x - lastX, y - lastY) > 0.002) current.points.push([x, y]);
    }
    redraw();
  }

  function putDown(point, pointer) {
    current = { points: [point], width: model.get("width"), pointer };
    redraw();
  }

  function lift(event) {
    if (!current || (event && current.pointer !== event.pointerId)) return;
    send([...model.get("strokes"), { points: current.points, width: current.width }]);
  }

  function drop() {
    current = null;
    redraw();
    spoken.textContent = "stroke dropped";
  }

  function move([dx, dy], step) {
    tip = [within(tip[0] + dx * step), within(tip[1] + dy * step)];
    current?.points.push(tip);
    redraw();
    const [right, down] = tip.map((at) => Math.round(100 * at));
    spoken.textContent = `${right} right, ${down} down`;
  }

  function toggle() {
    if (current) lift();
    else putDown(tip, "keys");
    spoken.textContent = current ? "pen down" : `pen up, ${model.get("strokes").length} strokes`;
  }

  // Answers a key that draws; false for all others.
  function draws({ target, key, ctrlKey, shiftKey, repeat }) {
    if (target !== canvas || ctrlKey || (current && current.pointer !== "keys")) return false;
    if (!(key in ARROWS || key === " " || (key === "Escape" && current))) return false;
    keys = true;
    if (key in ARROWS) move(ARROWS[key], shiftKey ? LEAP : STEP);
    else if (key === "Escape") drop();
    else if (!repeat) toggle(); // held down is pressed once
    return true;
  }

  function press(event) {
    const { key, altKey, ctrlKey, metaKey } = event;
    if (altKey || metaKey) return;
    if (key === "u" || (ctrlKey && key === "z")) undo();
    else if (key === "Delete" || key === "Backspace") clear();
    else if (!draws(event)) return;
    event.preventDefault();
  }

  function leave() {
    if (current?.pointer === "keys") lift();
    keys = false;
    redraw();
  }

  canvas.onpointerdown = begin;
  canvas.onpointermove = extend;
  canvas.onpointerup = canvas.onpointercancel = lift;
  canvas.onblur = leave;
  [buttons[0].onclick, buttons[1].onclick] = [undo, clear];
  el.onkeydown = press;
  model.on("change:strokes", redraw);
  const resized = new ResizeObserver(redraw);
  resized.observe(canvas);
  return () => {
    resized.disconnect();
    model.off("change:strokes", redraw);
  };
}

export default { render };

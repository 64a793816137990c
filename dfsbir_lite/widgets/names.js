// Gives sliders the names that stand beside them, and pictures their descriptions.

function render({ model, el }) {
  let root = null, request = 0;

  function name() {
    for (const slider of root.querySelectorAll(".widget-slider, .widget-hslider")) {
      const label = slider.querySelector(".widget-label")?.textContent;
      slider.querySelector(".noUi-handle")?.setAttribute("aria-label", label);
      slider.querySelector(".widget-readout")?.setAttribute("aria-label", `${label}, as a number`);
    }
    root.querySelectorAll("img.widget-image").forEach((image, n) => {
      image.alt = model.get("alts")[n] ?? "";
    });
  }

  const watch = new MutationObserver(name);

  function begin() {
    root = el.closest(".dfsbir-controls");
    if (!root) return void (request = requestAnimationFrame(begin)); // not on the page yet
    name();
    watch.observe(root, { childList: true, subtree: true }); // parts may come later
  }

  const heard = () => root && name();
  model.on("change:alts", heard);
  begin();
  return () => {
    cancelAnimationFrame(request);
    watch.disconnect();
    model.off("change:alts", heard);
  };
}

export default { render };

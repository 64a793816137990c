// Gives sliders the names that stand beside them, buttons with icons alone those of their icons, and
// pictures their descriptions.

function render({ model, el }) {
  let box = null, request = 0;

  function label() {
    for (const slider of box?.querySelectorAll(".widget-slider, .widget-hslider") ?? []) {
      const name = slider.querySelector(".widget-label")?.textContent;
      slider.querySelector(".noUi-handle")?.setAttribute("aria-label", name);
      slider.querySelector(".widget-readout")?.setAttribute("aria-label", `${name}, as a number`);
    }
    for (const icon of box?.querySelectorAll(".widget-play i") ?? []) {
      icon.parentElement.setAttribute("aria-label", icon.className.match(/fa-([a-z]+)/)[1]);
    }
    box?.querySelectorAll("img.widget-image").forEach((image, n) => {
      image.alt = model.get("alts")[n] ?? "";
    });
  }

  const watch = new MutationObserver(label);

  function begin() {
    box = el.closest(".dfsbir-controls");
    if (!box) return void (request = requestAnimationFrame(begin)); // not on the page yet
    label();
    // parts may come later, and icons change
    watch.observe(box, { childList: true, subtree: true, attributeFilter: ["class"] });
  }

  model.on("change:alts", label);
  begin();
  return () => {
    cancelAnimationFrame(request);
    watch.disconnect();
    model.off("change:alts", label);
  };
}

export default { render };

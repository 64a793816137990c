"""A pad to draw on, and a search that answers each stroke."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from html import escape

import anywidget
import ipywidgets
import torch
import traitlets
from torch import Tensor

from dfsbir_lite import plots, retrieval
from dfsbir_lite.data import ImageSet
from dfsbir_lite.gallery import Gallery
from dfsbir_lite.strokes import EXAMPLES, PEN, TOYBOX, render
from dfsbir_lite.widgets.accessible import HERE, LabelledBox


class SketchPad(anywidget.AnyWidget):
    """Paper to draw on with mouse, pen, finger or keys; holds the strokes and nothing else.

    Attributes:
        strokes: what is on the paper, as `render` takes it; set them to draw by code.
            The browser sends them whenever a stroke ends, on Undo and on Clear.
        width: the pen's, as a share of the paper's side.
    """

    _esm, _css = HERE / "pad.js", HERE / "pad.css"
    strokes = traitlets.List(traitlets.Dict()).tag(sync=True)
    width = traitlets.Float(PEN).tag(sync=True)

    def __repr__(self) -> str:
        return f"SketchPad({len(self.strokes)} strokes)"


class DrawAndSearch(LabelledBox):
    """Draw, and see the photos of a gallery that an encoder takes for the closest.

    Args:
        readouts: encoders by name, each a read-out as `retrieval.embed` takes it.
        photos: the gallery.
        pictures: the photo at a place in the gallery as uint8 (3, S, S), for people to look at;
            by default the one that the encoders see.
        groups: names of parts of the gallery → their classes.
        rows: embeddings of the photos (N, E) by encoder, where they are known already. If all are,
            `photos` may be a `gallery.Gallery`, whose pictures stay on disk.

    Attributes:
        pad, examples, encoder, group: the controls.
        sketch: what the encoder sees, uint8 (3, H, H).
        found: cosines (10,) and places in the gallery (10,), best first; empty for blank paper.
    """

    def __init__(
        self,
        readouts: dict[str, Callable],
        photos: ImageSet | Gallery,
        pictures: Callable[[int], Tensor] | None = None,
        groups: dict[str, tuple[str, ...]] | None = None,
        rows: dict[str, Tensor] | None = None,
        device: torch.device | str = "cpu",
    ):
        self.readouts, self.photos, self.device = readouts, photos, device
        self.look = replace(TOYBOX, size=photos.images.shape[-1])
        if isinstance(photos, Gallery):
            self.look = photos.rendering
        self.picture = lru_cache(1000)(pictures or photos.images.__getitem__)
        self.groups = groups or {"all classes": photos.classes}
        self.rows = dict(rows or {})
        for name in readouts.keys() - self.rows.keys():
            self.rows[name] = retrieval.embed(readouts[name], photos.images, "photo", device=device)
        super().__init__(self._controls())
        self.update()
        self.pad.observe(self._drawn_on, "strokes")
        self.examples.observe(self._start_from, "value")
        for control in (self.encoder, self.group):
            control.observe(self.update, "value")

    def __repr__(self) -> str:
        best = self.names()[:1] or ["blank paper"]
        return f"DrawAndSearch({self.encoder.value}, {len(self.pad.strokes)} strokes: {best[0]})"

    def still(self) -> plots.Figure | None:
        """Return a picture of the first five photos found; None for blank paper."""
        if not self.names():
            return None
        sketch, *found = self.shown()
        return plots.found({self.encoder.value: (sketch, *(part[:5] for part in found))}, size=1.2)

    def names(self) -> list[str]:
        """Return the classes of the photos found, best first."""
        return [self.photos.classes[i] for i in self.photos.labels[self.found[1]].tolist()]

    def shown(self) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """Return sketch, photos, their classes and cosines, as `plots.found` draws them."""
        cosines, places = self.found
        photos = torch.stack([self.picture(place) for place in places.tolist()])
        return render(self.pad.strokes, self.look, size=96), photos, self.names(), cosines

    def update(self, change: dict | None = None) -> None:
        """Read the pad and all controls, search, and show what was found."""
        self.sketch = render(self.pad.strokes, self.look)
        nothing = torch.zeros(0), torch.zeros(0, dtype=torch.long)
        self.found = self._search() if self.pad.strokes else nothing
        photos = [self.picture(place) for place in self.found[1].tolist()]
        self.results.value = results_html(photos, self.names(), self.found[0].tolist())
        seen = f"the encoder sees{_img(self.sketch, 'what the encoder sees')}"
        self.seen.value = f'<div class="dfsbir-found views">{seen}</div>'

    def _search(self) -> tuple[Tensor, Tensor]:
        readout, rows = self.readouts[self.encoder.value], self.rows[self.encoder.value]
        self.query = retrieval.embed(readout, self.sketch[None], "sketch", device=self.device)
        wanted = {*self.groups[self.group.value]}
        among = torch.tensor([name in wanted for name in self.photos.classes])[self.photos.labels]
        cosines, places = retrieval.search(self.query, rows, among=among)
        return cosines[0], places[0]

    def _controls(self) -> list[ipywidgets.Widget]:
        paper = [("my own drawing", ""), *((name, name) for name in EXAMPLES)]
        self.pad = SketchPad(strokes=EXAMPLES["mug"])
        wide = {"layout": {"width": "280px"}}
        self.examples = ipywidgets.Dropdown(options=paper, description="on paper", **wide)
        self.examples.value = "mug"
        self.group = ipywidgets.Dropdown(options=[*self.groups], description="search in", **wide)
        self.encoder = ipywidgets.ToggleButtons(options=list(self.readouts), description="encoder")
        self.encoder.style.button_width, self.encoder.index = "auto", len(self.readouts) - 1
        rest = {"width": "auto", "flex": "1 1 300px", "min_width": "0"}
        self.seen, self.results = ipywidgets.HTML(), ipywidgets.HTML(layout=rest)
        fixed = {"flex": "0 0 auto"}
        row = {"flex_flow": "row wrap", "grid_gap": "8px 14px"}
        paper = ipywidgets.VBox([self.pad, self.examples], layout=fixed)
        seen = ipywidgets.VBox([self.seen], layout=fixed)
        questions = ipywidgets.HBox([self.encoder, self.group], layout=row)
        return [questions, ipywidgets.HBox([paper, seen, self.results], layout=row)]

    def _start_from(self, change: dict) -> None:
        self.pad.strokes = EXAMPLES.get(change["new"], self.pad.strokes)

    def _drawn_on(self, change: dict) -> None:
        self.examples.value = next((n for n, s in EXAMPLES.items() if s == change["new"]), "")
        self.update()


def results_html(photos: list[Tensor], classes: list[str], cosines: list[float]) -> str:
    """Return a numbered grid of `photos`, uint8 (3, S, S), each above its class and cosine."""
    votes = ", ".join(f"{name} {n}" for name, n in Counter(classes).most_common())
    head = f"among the closest {len(classes)}: {votes}" if classes else "blank paper"
    if classes and len({*classes}) == len(classes):  # as where each photo is a class of its own
        head = f"the closest {len(classes)}"
    items = "".join(
        f"<li>{_img(photo, f'photo {n}: {name}')}{n} {escape(name)}<br>{cosine:.2f}</li>"
        for n, (photo, name, cosine) in enumerate(zip(photos, classes, cosines), 1)
    )
    status = f'<div role="status">{escape(head)}</div>'
    return f'<div class="dfsbir-found">{status}<ol>{items}</ol></div>'


def _img(image: Tensor, alt: str) -> str:
    """Return an <img> that carries its pixels, uint8 (3, H, W), with it."""
    source = f"data:image/png;base64,{b64encode(plots.sprite_sheet(image[None])).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}">'

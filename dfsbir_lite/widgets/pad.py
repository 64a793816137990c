"""A pad to draw on, and a search that answers each stroke."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path

import anywidget
import cv2
import ipywidgets
import numpy as np
import torch
import traitlets
from torch import Tensor

from dfsbir_lite import plots, retrieval
from dfsbir_lite.data import ImageSet
from dfsbir_lite.gallery import Gallery
from dfsbir_lite.strokes import EXAMPLES, PEN, render
from dfsbir_lite.widgets.names import give_names
from dfsbir_lite.widgets.still import with_still

HERE = Path(__file__).parent
LEGEND = "orange: hide it, and the cosine falls; purple: it rises"


class SketchPad(anywidget.AnyWidget):
    """Paper to draw on with mouse, pen, finger or keys; holds the strokes and nothing else.

    Attributes:
        strokes: what is on the paper, as `render` takes it; set them to draw by code.
            The browser sends them whenever a stroke ends, on Undo and on Clear.
        width: the brush's, as a share of the paper's side.
    """

    _esm = HERE / "pad.js"
    _css = HERE / "pad.css"
    strokes = traitlets.List(traitlets.Dict()).tag(sync=True)
    width = traitlets.Float(PEN).tag(sync=True)

    def __repr__(self) -> str:
        return f"SketchPad({len(self.strokes)} strokes)"


class DrawAndSearch(ipywidgets.VBox):
    """Draw, and see the photos of a gallery that an encoder takes for the closest.

    Args:
        readouts: encoders by name, each a read-out as `retrieval.embed` takes it.
        photos: the gallery.
        pictures: the photo at a place in the gallery as uint8 (3, S, S), for people to look at;
            by default the one that the encoders see.
        groups: names of parts of the gallery → their classes.
        rows: embeddings of the photos (N, E) by encoder, where they are known already. If all are,
            `photos` may be an `export.Gallery`, whose pictures stay on disk.
        start: one of `EXAMPLES`, which lies on the paper at the beginning.
        k: photos shown.

    Attributes:
        pad, encoder, group, fit, explain: the controls.
        sketch: what the encoder sees, uint8 (3, H, H).
        found: cosines (k,) and places in the gallery (k,), best first; empty for blank paper.
    """

    def __init__(
        self,
        readouts: dict[str, Callable],
        photos: ImageSet | Gallery,
        pictures: Callable[[int], Tensor] | None = None,
        groups: dict[str, tuple[str, ...]] | None = None,
        rows: dict[str, Tensor] | None = None,
        start: str = "mug",
        k: int = 10,
        device="cpu",
    ):
        self.readouts, self.photos, self.k, self.device = readouts, photos, k, device
        self.pictures, self.drawn = pictures or photos.images.__getitem__, {}
        self.groups = groups or {"all classes": photos.classes}
        self.rows = dict(rows or {})
        for name, readout in readouts.items():
            if name not in self.rows:
                self.rows[name] = retrieval.embed(readout, photos.images, "photo", device=device)
        self._make_controls(start)
        super().__init__(self._lay_out())
        give_names(self)
        self.update()
        self.pad.observe(self._drawn_on, "strokes")
        self.examples.observe(self._start_from, "value")
        for control in (self.encoder, self.group, self.fit, self.explain):
            control.observe(lambda change: self.update(), "value")

    def __repr__(self) -> str:
        best = self.names()[:1] or ["blank paper"]
        return f"DrawAndSearch({self.encoder.value}, {len(self.pad.strokes)} strokes: {best[0]})"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        bundle = super()._repr_mimebundle_(**options)
        if len(self.found[1]):
            figure = plots.found({self.encoder.value: self.shown()})
            return with_still(bundle, plots.png(figure), figure.alt)
        return bundle

    def names(self) -> list[str]:
        """The classes of the photos found, best first."""
        return [self.photos.classes[i] for i in self.photos.labels[self.found[1]].tolist()]

    def shown(self, size: int = 96) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """Sketch, photos, their classes and cosines, as `plots.found` draws them."""
        cosines, places = self.found
        sketch = render(self.pad.strokes, size, self.fit.value)
        return (
            sketch,
            torch.stack([self.picture(p) for p in places.tolist()]),
            self.names(),
            cosines,
        )

    def picture(self, place: int) -> Tensor:
        """The photo at `place` as people see it; drawn once."""
        if place not in self.drawn:
            self.drawn[place] = self.pictures(place)
        return self.drawn[place]

    def update(self) -> None:
        """Reads the pad and all controls, searches, and shows what was found."""
        side = self.photos.images.shape[-1]
        self.sketch = render(self.pad.strokes, side, self.fit.value)
        self.found = torch.zeros(0), torch.zeros(0, dtype=torch.long)
        if self.pad.strokes:
            self.found = self._search()
        self._show_results()
        self._show_views()

    def _search(self) -> tuple[Tensor, Tensor]:
        readout, rows = self.readouts[self.encoder.value], self.rows[self.encoder.value]
        self.query = retrieval.embed(readout, self.sketch[None], "sketch", device=self.device)
        wanted = [self.photos.classes.index(name) for name in self.groups[self.group.value]]
        among = torch.isin(self.photos.labels, torch.tensor(wanted))
        cosines, places = retrieval.search(self.query, rows, self.k, among)
        return cosines[0], places[0]

    def _make_controls(self, start: str) -> None:
        wide = ipywidgets.Layout(width="auto")
        self.pad = SketchPad(strokes=EXAMPLES[start])
        self.examples = ipywidgets.Dropdown(
            options=[("my own drawing", ""), *((name, name) for name in EXAMPLES)],
            value=start,
            description="on paper",
            layout=ipywidgets.Layout(width="280px"),
        )
        self.encoder = ipywidgets.ToggleButtons(
            options=list(self.readouts),
            value=list(self.readouts)[-1],
            description="encoder",
            style={"button_width": "auto"},
        )
        self.group = ipywidgets.Dropdown(
            options=list(self.groups),
            description="search in",
            layout=ipywidgets.Layout(width="280px"),
        )
        self.fit = ipywidgets.Checkbox(True, description="fit to frame", indent=False, layout=wide)
        self.explain = ipywidgets.Checkbox(
            False, description="what did it look at?", indent=False, layout=wide
        )
        whole = ipywidgets.Layout(width="100%", min_width="0")
        self.views, self.results = ipywidgets.HTML(), ipywidgets.HTML(layout=whole)

    def _lay_out(self) -> list[ipywidgets.Widget]:
        fixed = ipywidgets.Layout(flex="0 0 auto")
        rest = ipywidgets.Layout(flex="1 1 300px", min_width="0")
        row = ipywidgets.Layout(flex_flow="row wrap", grid_gap="8px 14px", align_items="flex-start")
        paper = ipywidgets.VBox([self.pad, self.examples], layout=fixed)
        seen = ipywidgets.VBox([self.fit, self.explain, self.views], layout=fixed)
        answers = ipywidgets.VBox([self.results], layout=rest)
        questions = ipywidgets.HBox([self.encoder, self.group], layout=row)
        return [questions, ipywidgets.HBox([paper, seen, answers], layout=row)]

    def _start_from(self, change) -> None:
        if change["new"]:
            self.pad.strokes = EXAMPLES[change["new"]]

    def _drawn_on(self, change) -> None:
        names = [name for name, strokes in EXAMPLES.items() if strokes == change["new"]]
        self.examples.value = names[0] if names else ""
        self.update()

    def _show_results(self) -> None:
        photos = [self.picture(place) for place in self.found[1].tolist()]
        self.results.value = results_html(photos, self.names(), self.found[0].tolist())

    def _show_views(self) -> None:
        """What the encoder sees and, if wanted, what in sketch and best photo counted."""
        pictures = {"the encoder sees": _pixels(self.sketch)}
        if self.explain.value and len(self.found[1]):
            pictures = self._explained()
        self.views.value = views_html(pictures, LEGEND if len(pictures) > 1 else "")

    def _explained(self) -> dict[str, np.ndarray]:
        """Sketch and best photo, each tinted by what in it their cosine hangs on."""
        best, name = int(self.found[1][0]), self.encoder.value
        pairs = {
            "sketch": (self.sketch, "sketch", self.rows[name][best]),
            "photo 1": (self.photos.images[best], "photo", self.query[0]),
        }
        tinted = {}
        for title, (image, *about) in pairs.items():
            saliency = retrieval.occlusion(self.readouts[name], image, *about, self.device)
            most = float(saliency.abs().max())  # or the strongest tint would say too much
            tinted[f"{title}: up to {most:.2f}"] = plots.saliency_overlay(image, saliency)
        return tinted


def results_html(photos: list[Tensor], classes: list[str], cosines: list[float]) -> str:
    """A numbered grid of `photos`, uint8 (3, S, S), each above its class and cosine."""
    votes = ", ".join(f"{name} {n}" for name, n in Counter(classes).most_common())
    told = (
        f"among the closest {len(classes)}: {votes}" if classes else "blank paper: draw something"
    )
    items = "".join(
        f"<li>{_img(_pixels(photo), f'photo {n}: {name}')}"
        f'{n} {escape(name)}<div class="score">{cosine:.2f}</div></li>'
        for n, (photo, name, cosine) in enumerate(zip(photos, classes, cosines), 1)
    )
    head = f'<p class="told" role="status">{escape(told)}</p>'
    return f'<div class="dfsbir-found">{head}<ol>{items}</ol></div>'


def views_html(pictures: dict[str, np.ndarray], legend: str = "") -> str:
    """Titled pictures, uint8 (H, W, 3), below each other; the legend last."""
    parts = "".join(f"<div>{escape(t)}</div>{_img(pixels, t)}" for t, pixels in pictures.items())
    return (
        f'<div class="dfsbir-found"><div class="views">{parts}<small>{legend}</small></div></div>'
    )


def _pixels(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def _img(pixels: np.ndarray, alt: str) -> str:
    """An <img> that carries its pixels, uint8 (H, W, 3), with it."""
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
    source = f"data:image/png;base64,{b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}">'

"""Embedding maps that answer: what is this point, and what if UMAP were asked differently?"""

import threading
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets
from matplotlib.colors import to_hex

from dfsbir_lite import plots
from dfsbir_lite.lessons import projections
from dfsbir_lite.widgets.names import give_names
from dfsbir_lite.widgets.still import with_still

HERE = Path(__file__).parent
THREAD = "dfsbir-explorer"
STRIP = 5  # maps in the still picture of a course


class EmbeddingScatter(anywidget.AnyWidget):
    """Maps of N pictures to look into: circles are photos, crosses are sketches.

    Hovering, or the arrow keys, show a picture; a click, or Enter, pins it; the legend picks
    classes and modalities. With more than one map there is a slider over time, and a button that
    plays it. All of that happens in the browser, whatever the kernel is doing.

    Args:
        points: (N, 2), a map, or (T, N, 2), maps of the same pictures.
        labels: (N,), indices into `classes`. sketches: bool (N,).
        images: uint8 (N, 3, H, W), what the points are pictures of.
        captions: a line for each map.
        readings: name → T values in [0, 1], drawn as curves under the slider.

    Attributes:
        maps: (T, N, 2). frame: which of them is shown, from 0.
        pinned: the indices of the pinned pictures.
    """

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"
    points = traitlets.Bytes().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    sketches = traitlets.List().tag(sync=True)
    classes = traitlets.List().tag(sync=True)
    colours = traitlets.List().tag(sync=True)
    sprites = traitlets.Bytes().tag(sync=True)
    captions = traitlets.List().tag(sync=True)
    readings = traitlets.Dict().tag(sync=True)
    frame = traitlets.Int().tag(sync=True)
    pinned = traitlets.List().tag(sync=True)

    def __init__(self, points, labels, sketches, classes, images, captions=("map",), readings=None):
        self.about = (labels, sketches, classes)
        super().__init__(
            labels=[int(label) for label in labels],
            sketches=[bool(sketch) for sketch in sketches],
            classes=list(classes),
            colours=[to_hex(colour) for colour in plots.class_colours(len(classes))],
            sprites=plots.sprite_sheet(images),
            captions=list(captions),
            readings={
                name: [float(v) for v in values] for name, values in (readings or {}).items()
            },
        )
        self.show(points)

    def __repr__(self) -> str:
        return f"EmbeddingScatter({len(self.labels)} points, {len(self.captions)} projections)"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        figure = self.still()
        return with_still(super()._repr_mimebundle_(**options), plots.png(figure), figure.alt)

    def show(self, points: np.ndarray) -> None:
        """Moves the points to other maps of the same pictures, (N, 2) or (T, N, 2)."""
        self.maps = points.reshape(len(self.captions), len(self.labels), 2)
        self.points = fitted(self.maps).tobytes()

    def still(self) -> plots.Figure:
        """The map, or some of them side by side, on paper."""
        last = len(self.maps) - 1
        picked = sorted({round(last * n / (STRIP - 1)) for n in range(STRIP)})
        titles = {self._title(n): self.maps[n] for n in picked}
        return plots.embedding_map(titles, *self.about, size=2.8 if last else 5.5)

    def _title(self, n: int) -> str:
        readings = [f"{name} {values[n]:.2f}" for name, values in self.readings.items()]
        return "\n".join([self.captions[n], *readings])


def fitted(points: np.ndarray) -> np.ndarray:
    """Maps (T, N, 2), each moved and scaled to fill [-1, 1]: a map's size means nothing."""
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    return ((2 * points - low - high) / (high - low).max(2, keepdims=True)).astype("<f4")


class EmbeddingExplorer(ipywidgets.VBox):
    """An `EmbeddingScatter` with sliders for UMAP's two settings.

    A map takes a second or more, so one daemon thread computes it while the page stays alive. When
    the sliders have moved on meanwhile, it goes on with where they are, and leaves out what they
    passed. Maps are kept, and turned to lie as the first one lies.

    Args:
        rows: embeddings (N, E). labels, sketches, classes, images: see `EmbeddingScatter`.
        neighbours: where the sliders start, one of `NEIGHBOURS`. spread: one of `SPREADS`.
    """

    NEIGHBOURS = (3, 5, 10, 15, 30, 60, 120)
    SPREADS = (0.0, 0.1, 0.3, 0.5, 0.8, 1.0)

    def __init__(
        self, rows, labels, sketches, classes, images, neighbours: int = 15, spread: float = 0.3
    ):
        self.rows = rows
        self._first = projections.flatten(rows, neighbours, spread)
        self._known = {(neighbours, spread): self._first}
        self._worker: threading.Thread | None = None
        self._guard, self._closed = threading.Lock(), False
        self.neighbours = _choice("neighbours", self.NEIGHBOURS, neighbours)
        self.spread = _choice("minimum distance", self.SPREADS, spread)
        self.status = ipywidgets.Label()
        self.scatter = EmbeddingScatter(self._first, labels, sketches, classes, images, ("UMAP",))
        row = ipywidgets.HBox([self.neighbours, self.spread, self.status])
        super().__init__([row, self.scatter])
        give_names(self)
        for slider in (self.neighbours, self.spread):
            slider.observe(lambda change: self._ask(), "value")

    def __repr__(self) -> str:
        asked = "{} neighbours, minimum distance {}".format(*self.asked)
        return f"EmbeddingExplorer({len(self.rows)} points, {asked})"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        figure = self.scatter.still()
        return with_still(super()._repr_mimebundle_(**options), plots.png(figure), figure.alt)

    @property
    def asked(self) -> tuple[int, float]:
        """What the sliders say: neighbours and minimum distance."""
        return self.neighbours.value, self.spread.value

    def wait(self) -> None:
        """Returns when the map that the sliders ask for is there."""
        if worker := self._worker:
            worker.join()

    def close(self) -> None:
        """Ends the thread, after the map that it is at, and takes the explorer from the page."""
        self._closed = True
        self.wait()
        self.scatter.close()
        super().close()

    def _ask(self) -> None:
        with self._guard:
            if self._missing() and self._worker is None:
                self._worker = threading.Thread(target=self._work, daemon=True, name=THREAD)
                self._worker.start()

    def _missing(self) -> bool:
        """Whether there is a map to compute; if not, shows the one that is asked for."""
        if self._closed:
            return False
        if self.asked in self._known:
            self.scatter.show(self._known[self.asked])
            self.status.value = ""
            return False
        self.status.value = "computing…"
        return True

    def _work(self) -> None:
        try:
            while self._go_on():
                asked = self.asked
                points = projections.flatten(self.rows, *asked)
                self._known[asked] = projections.aligned(points, self._first)
        except Exception as reason:  # raised in a thread, it would be lost
            self._worker = None
            self.status.value = f"stopped by {type(reason).__name__}: {reason}"

    def _go_on(self) -> bool:
        with self._guard:
            if self._missing():
                return True
            self._worker = None
            return False


def _choice(name: str, options: tuple, value) -> ipywidgets.SelectionSlider:
    return ipywidgets.SelectionSlider(
        options=options,
        value=value,
        description=name,
        continuous_update=False,  # a map takes a second or more
        style={"description_width": "initial"},
    )

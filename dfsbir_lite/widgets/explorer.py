"""Maps of embeddings that answer: what is this point, and where does it go?"""

from io import BytesIO

import anywidget
import ipywidgets
import numpy as np
import traitlets
from matplotlib.colors import to_hex
from PIL import Image

from dfsbir_lite import plots
from dfsbir_lite.widgets.accessible import HERE, LabelledBox

STRIP = 3  # maps in the still picture of a time-lapse
BETWEEN, REST, MOVE = 3, 1500, 120  # of a film: pictures a move, milliseconds a map and a picture


class Map(anywidget.AnyWidget):
    """The part of an `EmbeddingScatter` that lives in the browser."""

    _esm, _css = HERE / "explorer.js", HERE / "explorer.css"
    points = traitlets.Bytes().tag(sync=True)  # of all maps, float32
    names = traitlets.List().tag(sync=True)  # for each map, where to write which class
    about = traitlets.Dict().tag(sync=True)  # lists: labels, sketches, classes, colours, captions
    sprites = traitlets.Bytes().tag(sync=True)
    frame = traitlets.Int().tag(sync=True)
    pinned = traitlets.List().tag(sync=True)


class EmbeddingScatter(LabelledBox):
    """Maps of N pictures to look into: circles are photos, crosses are sketches.

    Hovering, or the arrow keys, show a picture; a click, or Enter, pins it; the legend picks
    classes and modalities. With more than one map a slider leads from one to the next, a button
    plays them, and colours are those of the modalities. All of that happens in the browser,
    whatever the kernel is doing.

    Args:
        points: (N, 2), a map, or (T, N, 2), maps of the same pictures.
        labels: (N,), indices into `classes`. sketches: bool (N,).
        images: uint8 (N, 3, H, W), the pictures.
        captions: words for each map.

    Attributes:
        maps: (T, N, 2), scaled to [-1, 1]. map: what draws them; `map.pinned` are indices.
    """

    def __init__(self, points, labels, sketches, classes, images, captions=("map",)):
        self.labels, self.sketches, self.classes = np.asarray(labels), np.asarray(sketches), classes
        self.captions = list(captions)
        tints = (plots.PHOTO, plots.SKETCH) if len(self.captions) > 1 else ()
        colours = [*plots.class_colours(len(classes)), *tints]
        about = {
            "labels": self.labels.tolist(),
            "sketches": self.sketches.astype(int).tolist(),
            "classes": list(classes),
            "colours": [to_hex(colour) for colour in colours],
            "captions": self.captions,
        }
        self.maps = fitted(points.reshape(len(self.captions), len(self.labels), 2))
        places = [plots.class_places(frame, self.labels, self.sketches) for frame in self.maps]
        drawn = {"points": self.maps.tobytes(), "names": places}
        self.map = Map(about=about, sprites=plots.sprite_sheet(images), **drawn)
        super().__init__([self.map, *self._time()])

    def __repr__(self) -> str:
        return f"EmbeddingScatter({len(self.labels)} points, {len(self.maps)} maps)"

    def still(self) -> plots.Figure:
        """Return the map, or some of them side by side; what is pinned has a ring."""
        last = len(self.maps) - 1
        picked = sorted({round(last * n / (STRIP - 1)) for n in range(STRIP)})
        return self._drawn({self.captions[n]: self.maps[n] for n in picked}, 3.4 if last else 7.0)

    def film(self, kind: str = "png") -> bytes:
        """Return the time-lapse as a moving picture: "png" for browsers, "gif" for slides too."""
        last, frames = len(self.maps) - 1, []
        for step in range(BETWEEN * last + 1):
            n, share = step // BETWEEN, step % BETWEEN / BETWEEN
            share *= share * (3 - 2 * share)  # slow at both ends
            points = (1 - share) * self.maps[n] + share * self.maps[min(n + 1, last)]
            figure = self._drawn({self.captions[n]: points}, 6.0)
            figure.axes[0].set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
            frames.append(Image.open(BytesIO(plots.png(figure, 100))).convert("RGB"))
        colours = frames[-1].quantize(24)  # of all, or they would flicker
        first, *others = (frame.quantize(palette=colours, dither=0) for frame in frames)
        options = {"duration": [MOVE if n % BETWEEN else REST for n in range(len(frames))]}
        first.save(file := BytesIO(), kind, save_all=True, append_images=others, loop=3, **options)
        return file.getvalue()

    def _drawn(self, maps: dict[str, np.ndarray], size: float) -> plots.Figure:
        about = self.labels, self.sketches, self.classes
        return plots.embedding_map(maps, *about, size, len(self.maps) == 1, self.map.pinned)

    def _time(self) -> list[ipywidgets.Widget]:
        """Return the controls of a time-lapse, which the browser links without the kernel."""
        if not (last := len(self.maps) - 1):
            return []
        play = ipywidgets.Play(max=last, interval=1200)  # milliseconds
        slider = ipywidgets.IntSlider(max=last, description="moment", readout=False)
        ipywidgets.jslink((play, "value"), (slider, "value"))
        ipywidgets.jslink((slider, "value"), (self.map, "frame"))
        return [ipywidgets.HBox([play, slider])]


def fitted(points: np.ndarray) -> np.ndarray:
    """Move and scale each map (T, N, 2) to fill [-1, 1]: the size of a map means nothing."""
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    return ((2 * points - low - high) / (high - low).max(2, keepdims=True)).astype("<f4")

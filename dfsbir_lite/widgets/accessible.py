"""What ipywidgets leave out: names for screen readers, and a picture where no widget runs."""

from base64 import b64encode
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from dfsbir_lite import plots

HERE = Path(__file__).parent


class Descriptions(anywidget.AnyWidget):
    """Show nothing, but label the sliders of the box around it and describe its pictures.

    A screen reader then says which slider it is at and what is on a picture, and what has the
    focus wears a frame.

    Attributes:
        alts: descriptions of the box's pictures (`ipywidgets.Image`), in their order.
    """

    _esm, _css = HERE / "accessible.js", HERE / "accessible.css"
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)


class LabelledBox(ipywidgets.VBox):
    """A column of controls that have names; a notebook stores a still picture of them."""

    figure: plots.Figure | None = None  # the last that was drawn

    def __init__(self, children: list[ipywidgets.Widget]):
        self.descriptions = Descriptions(layout={"display": "none"})
        super().__init__([*children, self.descriptions])
        self.add_class("dfsbir-controls")

    def still(self) -> plots.Figure | None:
        """Return what to show where no kernel runs, if anything."""
        return self.figure

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        data = super()._repr_mimebundle_(**options)
        data["text/plain"] = repr(self)  # ipywidgets would cut it short
        if not (figure := self.still()):
            return data, {}
        data["image/png"] = b64encode(plots.png(figure, 100)).decode()
        return data, {"image/png": {"alt": figure.alt}}

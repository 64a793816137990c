"""What ipywidgets leave out: names for screen readers, and a picture where no widget runs."""

from base64 import b64encode
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from dfsbir_lite import plots

HERE = Path(__file__).parent


class Pictured:
    """A widget that stores a picture of itself, for places that show notebooks without a kernel."""

    def still(self) -> tuple[bytes, str] | None:
        """Return a PNG file and its description, or None for no picture."""

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        shown = super()._repr_mimebundle_(**options)
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        data = {**data, "text/plain": repr(self)}  # ipywidgets would cut it short
        if not (still := self.still()):
            return data, metadata
        picture = b64encode(plots.fewer_colours(still[0])).decode()
        return {**data, "image/png": picture}, {**metadata, "image/png": {"alt": still[1]}}


class Descriptions(anywidget.AnyWidget):
    """Show nothing, but label the sliders of the box around it and describe its pictures.

    A screen reader then says which slider it is at and what is on a picture, and what has the
    focus wears a frame.

    Attributes:
        alts: descriptions of the box's pictures (`ipywidgets.Image`), in their order.
    """

    _esm = HERE / "accessible.js"
    _css = HERE / "accessible.css"
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)


class LabelledBox(Pictured, ipywidgets.VBox):
    """A column of controls that have names; `descriptions.alts` are those of its pictures."""

    def __init__(self, children: list[ipywidgets.Widget]):
        self.descriptions = Descriptions(layout={"display": "none"})
        super().__init__([*children, self.descriptions])
        self.add_class("dfsbir-controls")

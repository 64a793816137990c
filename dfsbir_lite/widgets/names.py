"""Names for the parts of a control that ipywidgets leaves without one."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
CONTROLS = "dfsbir-controls"


class Names(anywidget.AnyWidget):
    """Shows nothing. Inside a box of the class `CONTROLS` it names sliders and describes pictures.

    A screen reader then says which slider it is at, and what is on a picture; whatever has the
    focus wears a frame.

    Attributes:
        alts: descriptions of the box's pictures (`ipywidgets.Image`), in their order.
    """

    _esm = HERE / "names.js"
    _css = HERE / "names.css"
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, alts=()):
        super().__init__(alts=list(alts), layout={"display": "none"})


def give_names(box) -> None:
    """Adds `Names` to `box`, as its attribute `words` and its last child."""
    box.words = Names()
    box.children = (*box.children, box.words)
    box.add_class(CONTROLS)

"""Controls for JupyterLab, all of them optional.

A slider writes one float, a panel calls `next()`: whatever they do, a plain `for` loop can do.
"""

from dfsbir_lite.widgets.explorer import EmbeddingScatter
from dfsbir_lite.widgets.pad import DrawAndSearch, SketchPad
from dfsbir_lite.widgets.panel import LivePanel
from dfsbir_lite.widgets.switches import Switches

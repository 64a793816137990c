"""Figures: every function takes arrays or tensors and returns a matplotlib Figure.

Nothing here touches pyplot's global state, so figures can be drawn from any thread.
"""

from dfsbir_lite.plots.base import (
    BAD,
    GOOD,
    GREY,
    MARKS,
    PHOTO,
    SERIES,
    SKETCH,
    Figure,
    fewer_colours,
    png,
)
from dfsbir_lite.plots.experiments import beside_paper, intervals, marks, overlap_curves, verdicts
from dfsbir_lite.plots.maps import class_colours, embedding_map
from dfsbir_lite.plots.pictures import (
    class_scores,
    class_sheet,
    found,
    hit_maps,
    image_rows,
    pointed_out,
    retrievals,
    saliency_overlay,
    sprite_sheet,
)
from dfsbir_lite.plots.scores import (
    bars,
    confusion,
    cosine_histograms,
    cosine_matrices,
    score_bars,
    switched,
)
from dfsbir_lite.plots.training import LIVE_COLUMNS, curves, lines, live

__all__ = [
    "BAD",
    "GOOD",
    "GREY",
    "LIVE_COLUMNS",
    "MARKS",
    "PHOTO",
    "SERIES",
    "SKETCH",
    "Figure",
    "bars",
    "beside_paper",
    "class_colours",
    "class_scores",
    "class_sheet",
    "confusion",
    "cosine_histograms",
    "cosine_matrices",
    "curves",
    "embedding_map",
    "fewer_colours",
    "found",
    "hit_maps",
    "image_rows",
    "intervals",
    "lines",
    "live",
    "marks",
    "overlap_curves",
    "png",
    "pointed_out",
    "retrievals",
    "saliency_overlay",
    "score_bars",
    "sprite_sheet",
    "switched",
    "verdicts",
]

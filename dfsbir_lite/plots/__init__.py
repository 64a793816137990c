"""Figures: every function takes arrays or tensors and returns a matplotlib Figure.

Nothing here touches pyplot's global state, so figures can be drawn from any thread.
"""

from dfsbir_lite.plots.base import BAD, GOOD, GREY, MARKS, PHOTO, SERIES, SKETCH, Figure, png
from dfsbir_lite.plots.embeddings import class_colours, class_places, embedding_map
from dfsbir_lite.plots.pictures import (
    class_scores,
    found,
    hit_maps,
    image_rows,
    retrievals,
    saliency_overlay,
    sprite_sheet,
)
from dfsbir_lite.plots.scores import (
    bars,
    confusion,
    cosine_histograms,
    cosine_matrices,
    intervals,
    marks,
    score_bars,
    verdicts,
)
from dfsbir_lite.plots.training import curves, lines, live

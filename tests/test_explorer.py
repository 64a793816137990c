"""The embedding explorer does what its labels say, without a browser."""

import numpy as np
import torch

from dfsbir_lite import widgets

PNG = b"\x89PNG\r\n"


def test_umap_explorer_draws_again_when_its_slider_moves(monkeypatch):
    asked = []

    def flatten(rows, neighbours):
        asked.append(neighbours)
        return np.random.default_rng(neighbours).normal(size=(len(rows), 2))

    monkeypatch.setattr("dfsbir_lite.maps.flatten", flatten)
    labels, sketches = torch.tensor([0, 1, 0, 1]), torch.tensor([False, False, True, True])
    explorer = widgets.UmapExplorer(torch.eye(4), labels, sketches, ("ant", "bee"))
    first = explorer.picture.value
    explorer.slider.value = 60
    assert bytes(explorer.picture.value).startswith(PNG) and explorer.picture.value != first
    explorer.slider.value = 15
    assert explorer.picture.value == first
    assert asked == [15, 60]  # the first map was kept
    assert repr(explorer) == "UmapExplorer(4 points, 15 neighbours)"
    assert explorer._repr_mimebundle_()["text/plain"] == repr(explorer)

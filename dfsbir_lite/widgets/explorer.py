"""Embedding maps that answer to their controls."""

from base64 import b64encode

import ipywidgets

from dfsbir_lite import maps, plots


class UmapExplorer(ipywidgets.VBox):
    """A UMAP that is drawn again with as many neighbours as its slider says.

    Args:
        rows: embeddings (N, E).
        labels: (N,), indices into `classes`. sketches: bool (N,).
        neighbours: where the slider starts; one of `CHOICES`.
    """

    CHOICES = (3, 5, 10, 15, 30, 60, 120)

    def __init__(self, rows, labels, sketches, classes, neighbours: int = 15):
        self.rows, self.known = rows, {}
        self.about = (labels, sketches, classes)
        self.picture = ipywidgets.Image(format="png")
        self.slider = ipywidgets.SelectionSlider(
            options=self.CHOICES,
            value=neighbours,
            description="neighbours",
            continuous_update=False,  # a map takes a second or more
        )
        super().__init__([self.slider, self.picture])
        self.slider.observe(lambda change: self.draw(), "value")
        self.draw()

    def __repr__(self) -> str:
        return f"UmapExplorer({len(self.rows)} points, {self.slider.value} neighbours)"

    def _repr_mimebundle_(self, **options):
        """Also a still picture, for places that show notebooks without running widgets."""
        still = {"image/png": b64encode(self.picture.value).decode()}
        return {**super()._repr_mimebundle_(**options), **still}

    def draw(self) -> None:
        """Shows the map for the slider's value; one drawn before is not computed again."""
        neighbours = self.slider.value
        if neighbours not in self.known:
            title = f"UMAP, {neighbours} neighbours"
            points = maps.flatten(self.rows, neighbours)
            self.known[neighbours] = plots.png(plots.embedding_map({title: points}, *self.about))
        self.picture.value = self.known[neighbours]

"""dfsbir_lite: data-free sketch-based image retrieval, small enough to read and to teach."""

__version__ = "0.1.0"

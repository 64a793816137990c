"""A gallery to keep, to send and to open again: photos, embeddings, and what reads sketches."""

from dfsbir_lite.gallery.folder import Gallery, Matched, export, export_gallery, open_gallery
from dfsbir_lite.gallery.photos import (
    THUMBNAIL,
    Photos,
    photos_below,
    photos_of_folder,
    photos_of_set,
)

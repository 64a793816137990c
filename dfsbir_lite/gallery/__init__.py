"""A gallery to keep, to send and to open again: photos, embeddings, and what reads sketches."""

from dfsbir_lite.gallery.folder import (
    THUMBNAIL,
    Gallery,
    Photos,
    export_gallery,
    open_gallery,
    photos_of_folder,
    photos_of_set,
)

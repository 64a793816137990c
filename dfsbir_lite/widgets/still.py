"""Still pictures of widgets, for places that show notebooks without running them."""

from base64 import b64encode


def with_still(shown, picture: bytes, alt: str) -> tuple[dict, dict]:
    """What a widget shows, and a PNG `picture` with its description, as data and metadata.

    Args:
        shown: the widget's own mimebundle, with or without metadata.
    """
    data, metadata = shown if isinstance(shown, tuple) else (shown, {})
    still = {"image/png": b64encode(picture).decode()}
    return {**data, **still}, {**metadata, "image/png": {"alt": alt}}

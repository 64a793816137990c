"""A gallery as one page: open the file in any browser, draw, and see photos; nothing is installed.

The sketch encoder is a small ResNet, whose forward pass page.js takes in plain JavaScript.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template

import cv2
import torch
from torch import Tensor, nn

from dfsbir_lite.files import write_atomically
from dfsbir_lite.gallery import Gallery, Matched
from dfsbir_lite.models import Block, Encoders, SmallResNet
from dfsbir_lite.runtime import UserError, progress
from dfsbir_lite.strokes import PEN, Stroke
from dfsbir_lite.widgets.accessible import HERE

QUALITY = [cv2.IMWRITE_WEBP_QUALITY, 75]  # of thumbnails: about 2 kB each


def write_page(path: str | Path, gallery: Gallery, strokes: Sequence[Stroke] = ()) -> None:
    """Write a gallery and its search as one HTML file, with `strokes` on the paper.

    Raises UserError for encoders that page.js cannot run, or not in good time.
    """
    network = gallery.encoders.sketch
    if getattr(network, "geometry", {}).get("stride") != 2:  # others than SmallResNets have none
        raise UserError(f"{path}: a page runs SmallResNets with a stem of stride 2")
    if getattr(gallery.encoders, "heads", None):
        raise UserError(f"{path}: a page does not run a student with a free embedding")
    network = network.expanded()
    net = _weights(network) | {"rows": _packed(gallery.embeddings)}
    blocks = [(k, m.conv1.stride[0]) for k, m in network.named_modules() if isinstance(m, Block)]
    about = {"look": asdict(gallery.rendering), "blocks": blocks, "pen": PEN, "strokes": [*strokes]}
    about |= {"names": [escape(gallery.classes[label]) for label in gallery.labels.tolist()]}
    about |= {"photos": _thumbnails(gallery)}
    if isinstance(gallery.encoders, Matched):
        about["groups"] = gallery.encoders.groups
        about["kinds"] = [*map(escape, gallery.encoders.names)]
    else:
        about["groups"] = [[k] for k in range(len(gallery.encoders.proxies))]
        net |= _last_layers(gallery.encoders)
    content = {"about": about, "net": net}
    # no name may end the script around it
    content = {k: json.dumps(v).replace("<", "\\u003c") for k, v in content.items()}
    pad = _read("pad.js").replace("export default { render };", "")
    content |= {"count": f"{len(gallery):,}", "style": _read("pad.css")}
    content["begin"] = "Press Clear, then draw" if strokes else "Draw"
    page = Template(_read("page.html")).substitute(content, script=pad + _read("page.js"))
    write_atomically(path, page.encode())


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _weights(network: SmallResNet) -> dict[str, dict]:
    """Return what a forward pass needs: layers by name, a batch norm as one scale and one shift."""
    net = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            scale = layer.weight / (layer.running_var + layer.eps).sqrt()
            net[f"{name}.scale"] = _packed(scale)
            net[f"{name}.shift"] = _packed(layer.bias - layer.running_mean * scale)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            net |= {f"{name}.{k}": _packed(v) for k, v in layer.named_parameters()}
    return net


def _last_layers(encoders: Encoders) -> dict[str, dict]:
    """Return scores of classes as the last layer, and the matrix from shares of classes to rows."""
    fc, proxies = encoders.sketch.fc, encoders.proxies
    spread = (proxies - proxies.mean(0)).T
    scores = proxies / encoders.temperature
    layers = {"fc.weight": scores @ fc.weight, "fc.bias": scores @ fc.bias, "spread": spread}
    return {name: _packed(value, half=False) for name, value in layers.items()}


def _packed(values: Tensor, half: bool | None = None) -> dict:
    """Return numbers as page.js reads them; by default matrices as `save_weights` rounds them."""
    half = values.dim() > 1 if half is None else half
    numbers = values.detach().cpu().contiguous().to(torch.half if half else torch.float)
    data = b64encode(numbers.numpy().tobytes()).decode()
    return {"shape": [*values.shape], "half": half, "data": data}


def _thumbnails(gallery: Gallery) -> list[str]:
    """Return all thumbnails as WebP, which has next to no header, in base64."""
    encoded = []
    for place in progress(range(len(gallery)), desc="writing the page", unit="photo"):
        pixels = gallery.thumbnails[place].permute(1, 2, 0).flip(2).contiguous().numpy()
        encoded.append(b64encode(cv2.imencode(".webp", pixels, QUALITY)[1]).decode())
    return encoded

"""doodleNet, a public classifier of 345 Quick, Draw! classes by Yining Shi (MIT licence).

Its weights lie in ml5's data and models as a TensorFlow.js file, which `data_scripts/doodlenet.py`
downloads and imports. https://github.com/yining1023/doodleNet
"""

from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from dfsbir_lite.files import fill
from dfsbir_lite.strokes import Rendering
from dfsbir_lite.teachers import Teacher

WIDTHS = (1, 16, 16, 32, 32, 64, 64)
SIZE = 28
# Lines 14 of 256 wide and a margin of a pixel: half as wide, and 17 % are right instead of 65 %.
LOOK = Rendering(SIZE, 26 / 28, 14 / 256, 14 / 256, paper=255, ink=0)


class DoodleNet(nn.Module):
    """Six convolutions and two linear layers over drawings (N, 3, H, W) in [0, 1].

    Drawings are dark on white paper, of any size; inside they become white on black, at 28 px.
    """

    def __init__(self, outputs: int = 345):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(WIDTHS))
        self.d = nn.Linear(WIDTHS[-1] * 9, 512)
        self.fc = nn.Linear(512, outputs)

    def forward(self, images: Tensor) -> Tensor:
        ink = 1 - images.mean(1, keepdim=True)
        x = F.interpolate(ink, (SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 1)
        for number, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            x = F.max_pool2d(x, 2) if number % 2 else x
        rows = x.movedim(1, -1).flatten(1)  # height, width, channel: as TensorFlow flattens
        return self.fc(torch.tanh(self.d(rows)))


def load_doodlenet(path: Path) -> Teacher:
    """Return the network with the weights at `path`; classes.txt beside it has the names."""
    classes = path.with_name("classes.txt").read_text(encoding="utf-8").split("\n")
    fill(network := DoodleNet(), load_file(path), path)
    return Teacher(network, tuple(filter(None, classes)), SIZE)

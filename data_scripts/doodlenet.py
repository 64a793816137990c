"""doodleNet as a sketch teacher, from its TensorFlow.js file and without TensorFlow.

`doodlenet.py download DIR` gets the three files (2 MB, MIT licence); `doodlenet.py import DIR OUT`
makes the teacher OUT, a .safetensors, of them.
"""

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from dfsbir_lite.adopt import adopt
from dfsbir_lite.adopt.doodlenet import LOOK
from dfsbir_lite.files import read_card, reading, write_json
from dfsbir_lite.runtime import UserError
from importers.download import Download, fetch

MODEL = "https://cdn.jsdelivr.net/gh/ml5js/ml5-data-and-models@master/models/doodlenet"
NAMES = "https://cdn.jsdelivr.net/gh/yining1023/doodleNet@master/runway/class_names.txt"
FILES = (f"{MODEL}/model.json", f"{MODEL}/group1-shard1of1.bin", NAMES)
CONVS = ("conv2d", *(f"conv2d_{n}" for n in range(1, 6)))
LAYERS = {name: f"convs.{n}" for n, name in enumerate(CONVS)} | {"dense": "d", "dense_1": "fc"}
AXES = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}  # PyTorch wants outputs, then inputs, then the kernel


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of `DoodleNet` in a TensorFlow.js model, `path` and what it names."""
    weights, at = {}, 0
    with reading(path, "doodleNet as a TensorFlow.js model"):
        (group,) = json.loads(path.read_text(encoding="utf-8"))["weightsManifest"]
        shards = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        values = np.frombuffer(shards, "<f4")
        for facts in group["weights"]:
            layer, kind = facts["name"].split("/")
            start, at = at, at + math.prod(facts["shape"])
            array = values[start:at].reshape(facts["shape"])
            array = array.transpose(AXES[array.ndim]).copy()
            weights[f"{LAYERS[layer]}.{kind.replace('kernel', 'weight')}"] = torch.from_numpy(array)
        if at != len(values):
            raise ValueError(f"{len(values)} numbers where {at} are described")
    return weights


def import_model(folder: Path, out: Path) -> None:
    """Save what `download` put into `folder` as the teacher `out`."""
    with reading(folder / "class_names.txt", "a list of classes, one a line"):
        classes = (folder / "class_names.txt").read_text(encoding="utf-8").replace("_", " ")
    with TemporaryDirectory() as scratch:
        file = Path(scratch, "doodlenet.safetensors")
        save_file(read_weights(folder / "model.json"), file)
        adopt("doodlenet", file, classes.splitlines(), LOOK.size, out, mean=(0,), std=(1,))
    facts = {"rendering": asdict(LOOK), "licence": "MIT", "from": MODEL}
    write_json(out.with_suffix(".json"), {**read_card(out), **facts})


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case "download", folder:
                print(*(fetch(Download(url), Path(folder)) for url in FILES), sep="\n")
            case "import", folder, out:
                import_model(Path(folder), Path(out))
            case _:
                sys.exit(__doc__)
    except UserError as mistake:
        sys.exit(f"error: {mistake}")

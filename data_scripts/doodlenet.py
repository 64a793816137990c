"""doodleNet as a sketch teacher, from its TensorFlow.js file and without TensorFlow.

`doodlenet.py download DIR` gets the three files (2 MB, MIT licence); `doodlenet.py import DIR OUT`
makes the teacher OUT.safetensors of them.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file

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


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a TensorFlow.js model by name; its shards lie beside `model.json`."""
    tensors, at = {}, 0
    with reading(path, "doodleNet as a TensorFlow.js model"):
        for group in json.loads(path.read_text(encoding="utf-8"))["weightsManifest"]:
            shards = b"".join((path.parent / name).read_bytes() for name in group["paths"])
            values, at = np.frombuffer(shards, "<f4"), 0
            for facts in group["weights"]:
                name, shape = facts["name"], facts["shape"]
                if name.split("/")[0] not in LAYERS or facts["dtype"] != "float32":
                    raise ValueError(f"{name} of {facts['dtype']} is no layer of it")
                tensors[name] = values[at : (at := at + int(np.prod(shape)))].reshape(shape)
            if at != len(values):
                raise ValueError(f"{len(values)} numbers where {at} are described")
    return tensors


def renamed(tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return the tensors as the weights of `DoodleNet`."""
    found = {}
    for name, values in tensors.items():
        layer, kind = name.split("/")
        weights = torch.from_numpy(values.transpose(AXES[values.ndim]).copy())
        found[f"{LAYERS[layer]}.{kind.replace('kernel', 'weight')}"] = weights
    return found


def import_model(folder: Path, out: Path) -> None:
    """Save what `download` put into `folder` as the teacher `out`."""
    with reading(folder / "class_names.txt", "a list of classes, one a line"):
        classes = (folder / "class_names.txt").read_text(encoding="utf-8").replace("_", " ")
    with TemporaryDirectory() as scratch:
        file = Path(scratch, "doodlenet.safetensors")
        save_file(renamed(read_tensors(folder / "model.json")), file)
        adopt("doodlenet", file, classes.splitlines(), LOOK.size, out, mean=(0,), std=(1,))
    facts = {"rendering": asdict(LOOK), "licence": "MIT", "from": MODEL}
    write_json(out.with_suffix(".json"), {**read_card(out), **facts})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("download", "import"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("out", type=Path, nargs="?", default="sketch.safetensors", metavar="OUT")
    options = parser.parse_args(arguments)
    try:
        if options.command == "import":
            import_model(options.folder, options.out)
        else:
            print(*(fetch(Download(url), options.folder) for url in FILES), sep="\n")
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

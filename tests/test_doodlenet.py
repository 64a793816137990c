"""doodleNet: read from a TensorFlow.js file that the test makes, adopted, and right on drawings."""

import json
import os
from itertools import pairwise
from pathlib import Path

import doodlenet as script
import numpy as np
import pytest
import torch
from scipy.signal import correlate

from dfsbir_lite.adopt import load
from dfsbir_lite.adopt.doodlenet import LOOK, WIDTHS, DoodleNet, load_doodlenet
from dfsbir_lite.data import class_key
from dfsbir_lite.files import read_card
from dfsbir_lite.runtime import UserError
from dfsbir_lite.strokes import EXAMPLES, Rendering, render

ROOT = os.environ.get("DFSBIR_DATA_ROOT")
SHAPES = {n: (3, 3, *pair) for n, pair in zip(script.CONVS, pairwise(WIDTHS))}
SHAPES |= {"dense": (576, 512), "dense_1": (512, 3)}


def tensors() -> dict[str, np.ndarray]:
    """Return weights by TensorFlow's names, with its axes; the same at each call."""
    rng = np.random.default_rng(0)
    shapes = {f"{n}/kernel": k for n, k in SHAPES.items()}
    shapes |= {f"{n}/bias": k[-1:] for n, k in SHAPES.items()}
    return {name: rng.normal(0, 0.1, shape).astype("<f4") for name, shape in shapes.items()}


@pytest.fixture
def files(tmp_path) -> Path:
    """Write a TensorFlow.js model of doodleNet's layers, of three classes and in two shards."""
    weights = [{"name": n, "shape": v.shape, "dtype": "float32"} for n, v in tensors().items()]
    data = b"".join(v.tobytes() for v in tensors().values())
    (tmp_path / "a.bin").write_bytes(data[:1001])
    (tmp_path / "b.bin").write_bytes(data[1001:])
    manifest = [{"paths": ["a.bin", "b.bin"], "weights": weights}]
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    (tmp_path / "class_names.txt").write_text("cat\nhot_dog\nsun")
    return tmp_path


def by_hand(x: np.ndarray) -> np.ndarray:
    """Return the logits of white lines on black, (28, 28, 1), by scipy, axes as TensorFlow's."""
    weights = tensors()
    for number, name in enumerate(script.CONVS):
        kernel = weights[f"{name}/kernel"]
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        maps = [correlate(padded, kernel[..., n], "valid")[..., 0] for n in range(kernel.shape[3])]
        x = np.maximum(np.stack(maps, -1) + weights[f"{name}/bias"], 0)
        if number % 2:
            side = x.shape[0] // 2
            x = x[: 2 * side, : 2 * side].reshape(side, 2, side, 2, -1).max((1, 3))
    hidden = np.tanh(x.reshape(-1) @ weights["dense/kernel"] + weights["dense/bias"])
    return hidden @ weights["dense_1/kernel"] + weights["dense_1/bias"]


def test_the_network_computes_what_tensorflow_would(files):
    network = DoodleNet(3)
    network.load_state_dict(script.read_weights(files / "model.json"))
    drawing = render(EXAMPLES["mug"], LOOK).float()[None] / 255
    expected = by_hand(1 - drawing[0, 0, :, :, None].numpy())
    assert np.allclose(network(drawing)[0].detach().numpy(), expected, atol=1e-4)


def test_an_imported_model_is_a_teacher_whose_card_says_how_to_draw(files, tmp_path):
    out = tmp_path / "sketch.safetensors"
    script.import_model(files, out)
    teacher = load(out)
    assert teacher.classes == ("cat", "hot dog", "sun") and teacher.size == 28
    assert Rendering(**read_card(out)["rendering"]) == LOOK
    grey, large = torch.full((1, 3, 28, 28), 0.4), torch.full((1, 3, 300, 300), 0.4)
    assert torch.allclose(teacher(large).logits, teacher(grey).logits, atol=1e-4)


@pytest.mark.parametrize(
    "why, spoil",
    [
        ("No such file", lambda file: file.with_name("b.bin").unlink()),
        ("numbers where", lambda file: file.with_name("b.bin").write_bytes(bytes(2**22 + 3))),
        ("gru", lambda file: file.write_text(file.read_text().replace("dense_1/", "gru/"))),
    ],
)
def test_a_bad_file_is_refused_in_one_line(files, why, spoil):
    spoil(files / "model.json")
    with pytest.raises(UserError, match=rf"model\.json: .*{why}.*\)$"):
        script.import_model(files, files / "out.safetensors")
    assert not (files / "out.safetensors").exists()


@pytest.mark.skipif(not ROOT, reason="needs DFSBIR_DATA_ROOT")
def test_the_published_weights_name_drawings():
    teacher = load_doodlenet(Path(ROOT, "doodlenet", "doodlenet.safetensors"))
    places, right = [class_key(c) for c in teacher.classes], []
    for path in sorted(Path(ROOT, "quickdraw_345").glob("*.ndjson"))[::5]:
        drawing = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["drawing"]
        lines = [{"points": np.array(s, float).T / 255, "width": 0.01} for s in drawing]
        guess = teacher.posteriors(render(lines, LOOK)[None].float() / 255).argmax()
        right.append(int(guess) == places.index(class_key(path.stem)))
    assert np.mean(right) > 0.5  # measured on all: 0.65

"""Training steps against their floor, and against the way the released code writes them."""

from collections.abc import Callable

import numpy as np
import torch

from dfsbir_lite import zoo
from dfsbir_lite.models import SmallResNet
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import Profile, autocast, full_precision, has_bfloat16
from dfsbir_lite.students import Distillation, distill, new_encoders
from dfsbir_lite.study.speed.measures import Measure, interleave, ratio
from dfsbir_lite.teachers import Reading, Teacher, Teachers
from dfsbir_lite.views import jitter, mix

Step = Callable[[], object]


def measure(sizes: Profile, device: str = "cpu", rounds: int = 20) -> list[Measure]:
    """Steps of both kinds, of the kit's recipe with all its terms and the shipped teachers."""
    teachers = zoo.load_teachers(sizes.name, device)
    ours, released = running(teachers, sizes, device), released_way(teachers, sizes, device)
    steps = {
        "synthesis step": (
            ours.synthesis.__next__,
            synthesis_floor(ours),
            released.synthesis.__next__,
        ),
        "encoder step": (ours.learn, encoder_floor(ours), released_encoder_step(released)),
    }
    table = []
    for part, (step, floor, other) in steps.items():
        tasks = {"ours, fp32": in_full_precision(step), "floor, fp32": in_full_precision(floor)}
        if has_bfloat16(torch.device(device)):
            tasks |= {"ours, bf16": step, "floor, bf16": floor}
        tasks["the released way, fp32"] = in_full_precision(other)
        table += _judged(part, interleave(tasks, rounds, device), device)
    return table


def _judged(part: str, seconds: dict[str, np.ndarray], device: str) -> list[Measure]:
    """Milliseconds of each task, and their ratios with the bars that they should reach."""
    on_gpu = torch.device(device).type == "cuda"
    most = 1.25 if on_gpu else 1.15
    bars = [
        ("ours, fp32", "floor, fp32", {"most": most}),
        ("ours, bf16", "floor, bf16", {"most": most}),
        ("the released way, fp32", "ours, fp32", {"least": 2.0 if on_gpu else 1.3}),
        ("the released way, fp32", "ours, bf16", {"least": 4.0 if on_gpu else 2.0}),
    ]
    return [
        *(Measure(part, name, 1e3 * float(np.median(s)), "ms") for name, s in seconds.items()),
        *(
            Measure(part, f"{mine} / {other}", ratio(seconds[mine], seconds[other]), "×", **bar)
            for mine, other, bar in bars
            if {mine, other} <= seconds.keys()
        ),
    ]


def running(teachers: Teachers, sizes: Profile, device: str = "cpu") -> Distillation:
    """A run of the kit's recipe after one iteration: without refreshes, the adversary on."""
    settings = recipe("kit", refresh_every=0, adv_after=0)
    encoders = new_encoders(sizes, len(teachers.classes))
    shape = {"steps": 10**6, "width": sizes.estimator_width, "device": device}
    loop = distill(teachers, settings, encoders, **shape)
    next(loop)
    return loop


def in_full_precision(step: Step) -> Step:
    """`step` without autocast."""

    def inside():
        with full_precision():
            return step()

    return inside


def synthesis_floor(loop: Distillation) -> Step:
    """Bare forward and backward of what an estimator step cannot do without: seven networks."""
    made, teachers, encoders = loop.synthesis, loop.teachers, loop.encoders

    def step():
        noise = made.noise()
        with autocast(loop.device):
            photos, sketches = made.paint(noise)
            outputs = (
                teachers.photo.network(photos),
                teachers.sketch.network(sketches),
                made.judges.guidance.network(torch.cat([photos, sketches])),
                encoders.photo(photos),
                encoders.sketch(sketches),
            )
        _descend(made.optimiser, outputs)

    return step


def encoder_floor(loop: Distillation) -> Step:
    """Bare forward of the teachers, forward and backward of the encoders, on one fixed batch."""
    photos, sketches = loop.pictures()
    sketches = sketches.expand(-1, 3, -1, -1).contiguous()
    learner, teachers = loop.learner, loop.synthesis.judges

    def step():
        with autocast(loop.device):
            with torch.no_grad():
                teachers.photo.network(photos), teachers.sketch.network(sketches)
            outputs = learner.encoders.photo(photos), learner.encoders.sketch(sketches)
        _descend(learner.optimiser, outputs)

    return step


def _descend(optimiser: torch.optim.Optimizer, outputs) -> None:
    """The way back from any loss at all, without the step."""
    optimiser.zero_grad()
    sum(out.float().square().mean() for out in outputs).backward()


class ReadTwice(Teacher):
    """A teacher that is asked for its class scores first, and then for all the rest."""

    def forward(self, images: torch.Tensor, moments: bool = False) -> Reading:
        logits = super().forward(images).logits
        return super().forward(images, moments)._replace(logits=logits)


def released_way(teachers: Teachers, sizes: Profile, device: str = "cpu") -> Distillation:
    """The same networks, losses and batch with the habits of the authors' code.

    Teachers are run twice on each image, frozen networks build gradients of their weights,
    memory is in the default layout and optimisers are not fused. Inner arithmetic is ours.
    """
    twice = Teachers(*map(_read_twice, (teachers.photo, teachers.sketch, teachers.guidance)))
    loop = running(twice, sizes, device)
    loop.synthesis.judges = twice
    frozen = (twice.photo, twice.sketch, twice.guidance, loop.encoders)
    for network in (*frozen, loop.learner.encoders, loop.synthesis.estimators):
        network.to(memory_format=torch.contiguous_format).requires_grad_(True)
    for part, kind in ((loop.synthesis, torch.optim.Adam), (loop.learner, torch.optim.AdamW)):
        (group,) = part.optimiser.param_groups
        part.optimiser = kind([{**group, "fused": False}], fused=False)
    return loop


def _read_twice(teacher: Teacher) -> ReadTwice:
    network = SmallResNet(outputs=len(teacher.classes), **teacher.network.geometry)
    network.load_state_dict(teacher.network.state_dict())
    return ReadTwice(network, teacher.classes, teacher.size)


def released_encoder_step(loop: Distillation) -> Step:
    """An encoder step whose teachers, in the graph for no reason, are run twice."""

    def step():
        pairs = (mix(jitter(x, loop.draw), loop.draw) for x in loop.pictures())
        photos, sketches = (x.expand(-1, 3, -1, -1) for x in pairs)
        p, s = loop.teachers.photo(photos), loop.teachers.sketch(sketches)
        maps = ([m.detach() for m in reading.maps] for reading in (p, s))
        loop.learner.step(photos, sketches, p.logits.detach(), s.logits.detach(), *maps)

    return step

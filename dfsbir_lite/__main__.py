"""The pipeline without a notebook: `python -m dfsbir_lite run`, `adopt`, `bench`, `export`."""

import argparse
from functools import partial
from pathlib import Path

from dfsbir_lite import adopt, pipeline, ranks, toybox, zoo
from dfsbir_lite.data import toybox_picture, toybox_set
from dfsbir_lite.files import load_weights
from dfsbir_lite.gallery import THUMBNAIL, Photos, export_gallery, photos_of_folder, photos_of_set
from dfsbir_lite.losses import Weights
from dfsbir_lite.models import geometry
from dfsbir_lite.recipes import RECIPES, recipe
from dfsbir_lite.runtime import PROFILES, Profile, UserError, pick_device, profile
from dfsbir_lite.students import load_encoders
from dfsbir_lite.study import bench
from dfsbir_lite.teachers import Teachers


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 after one line about what was wrong.

    All processes that `torchrun` started run this, and one of them tells what was wrong.
    """
    ranks.join()
    with ranks.only_first_complains():
        options = _parser().parse_args(arguments)
    try:
        if ranks.count() > 1 and options.command is not run_command:
            raise UserError("several processes can do nothing but run: leave out torchrun")
        options.device = ranks.own_device(pick_device(options.device))
        options.command(options)
    except (UserError, OSError) as mistake:
        ranks.tell(f"error: {mistake}")
        return 2
    except (KeyboardInterrupt, RuntimeError) as reason:
        if not (why := ranks.why_over(reason)):
            raise
        why = "interrupted" if why == "stopped" else why
        ranks.tell(f"{why}; the same command takes up what is finished")
        return 130
    return 0


def run_command(options) -> None:
    """Teachers, student, scores: on ToyBox, or on the user's folders."""
    sizes = profile(options.profile)
    settings = recipe(options.recipe, **_changes(options.set))
    ranks.part_of(settings.batch)  # refuses what cannot be shared, before teachers are trained
    folder = Path(options.out or _default_folder(options))
    # the other processes learn without data: they get the teachers, and see no image
    opened = _open(options, sizes, folder) if ranks.is_first() else (None, None)
    benchmark, teachers = opened[0], ranks.share(opened[1]).to(options.device)
    rows = pipeline.run(
        benchmark,
        teachers,
        sizes,
        settings,
        folder,
        start=options.start,
        steps=options.steps,
        minutes=options.minutes,
        device=options.device,
        seed=options.seed,
    )
    print(pipeline.table(rows).to_string(float_format="{:.3f}".format))
    print(f"everything is in {folder}")


def _open(options, sizes: Profile, folder: Path) -> tuple[pipeline.Benchmark, Teachers]:
    """The benchmark and its teachers, on the CPU; those that are missing are trained."""
    given = adopt.load_pair(options.teachers, options.device) if options.teachers else None
    if given:
        pipeline.check_size(given.teachers, sizes, options.teachers)
    elif not (options.photos or options.sketches):
        zoo.need_shipped(sizes.name)
    benchmark = pipeline.open_benchmark(
        options.photos,
        options.sketches,
        sizes,
        unseen=_names(options.unseen),
        known=given and given.teachers.classes,
        left_out=given.alone if given else (),
    )
    if given:
        print(given.report)
        return benchmark, given.teachers.to("cpu")
    where, train = (folder, True) if options.photos else (zoo.ASSETS / sizes.name, False)
    shared = {"device": options.device, "seed": options.seed}
    teachers = pipeline.get_teachers(benchmark, sizes, where, train=train, **shared)
    return benchmark, teachers.to("cpu")


def adopt_command(options) -> None:
    """Makes a teacher of a torchvision classifier and a file of its weights."""
    classes = _lines(Path(options.classes))
    path = Path(options.out) / f"{options.role}.safetensors"
    norms = adopt.IMAGENET if options.normalise == "imagenet" else {"mean": (0.0,), "std": (1.0,)}
    adopt.adopt(options.architecture, options.weights, classes, options.size, path, **norms)
    print(f"{path}: a {options.architecture} of {len(classes)} classes, {options.size} px")


def _lines(path: Path) -> tuple[str, ...]:
    """The names in a text file, one a line."""
    try:
        names = tuple(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))
    except UnicodeDecodeError as reason:
        raise UserError(f"{path}: not a list of names ({reason})") from None
    seen = set()
    for name in names:
        if name in seen:
            raise UserError(f"{path}: {name!r} is there twice")
        seen.add(name)
    return names


def export_command(options) -> None:
    """A student and its gallery to one folder."""
    sizes = profile(options.profile)
    student = Path(options.student or zoo.find("student", sizes.name))
    if not student.is_file() and not options.student:
        raise UserError(f"no student ships for profile {sizes.name}: give --student")
    encoders, card = load_encoders(student), load_weights(student)[1]
    if encoders.photo.geometry != geometry(vars(sizes)):
        raise UserError(f"{student}: not of the sizes of profile {sizes.name}; give its --profile")
    photos = photos_of_folder(options.photos, sizes.size) if options.photos else _toybox(sizes)
    try:
        export_gallery(
            options.out, encoders, card, photos, onnx=options.onnx, device=options.device
        )
    except KeyboardInterrupt:
        raise UserError("stopped; nothing was written") from None
    print(f"the student and {len(photos)} photos of {len(photos.classes)} classes: {options.out}")


def _toybox(sizes: Profile) -> Photos:
    """ToyBox's test photos of all sixteen classes."""
    which = {"modality": "photo", "split": "test", "classes": toybox.CLASSES}
    which["per_class"] = sizes.test_per_class
    pictures = partial(toybox_picture, **which, size=max(THUMBNAIL, sizes.size))
    return photos_of_set(toybox_set(profile=sizes, **which), pictures)


def _default_folder(options) -> str:
    """A place of its own for each kind of run, so that a second one does not meet the first."""
    source = "folders" if options.photos else "toybox"
    length = f"{options.minutes:g}min" if options.minutes else options.steps
    facts = (options.profile, options.recipe, options.start, length, f"seed{options.seed}")
    hidden = [f"without-{name}" for name in _names(options.unseen)]
    if options.teachers:
        hidden.append(f"teachers-{Path(options.teachers).resolve().name}")
    return "runs/" + "-".join(map(str, (source, *facts, *hidden, *options.set)))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _changes(pairs: list[str]) -> dict[str, float | int | str]:
    """`["align=0", "batch=64"]` as keyword arguments for `recipe`."""
    changes, truth = {}, {"true": True, "false": False}
    defaults = {**vars(recipe("kit")), **vars(Weights()), "weights": ""}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise UserError(f"--set {pair}: write it as name=value")
        kind = type(defaults.get(name, ""))
        try:
            changes[name] = truth[value.lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            raise UserError(f"--set {pair}: {value!r} is not of type {kind.__name__}") from None
    return changes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dfsbir_lite", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    machine = argparse.ArgumentParser(add_help=False)
    machine.add_argument(
        "--profile", default="laptop", choices=PROFILES, help="sizes (default: laptop)"
    )
    machine.add_argument("--device", help="cpu, cuda or cuda:N (default: the first GPU, else cpu)")

    shared = argparse.ArgumentParser(add_help=False, parents=[machine])
    shared.add_argument(
        "--photos", metavar="DIR", help="photos in DIR/train/<class>/ and DIR/test/<class>/"
    )
    shared.add_argument("--sketches", metavar="DIR", help="sketches, laid out alike")

    run = commands.add_parser(
        "run", parents=[shared], help="learn a student without data, print its scores"
    )
    run.set_defaults(command=run_command)
    run.add_argument(
        "--unseen", default="", metavar="A,B", help="classes kept from teachers and student"
    )
    run.add_argument(
        "--teachers",
        metavar="DIR",
        help="use photo, sketch and modality.safetensors in DIR, see adopt",
    )
    run.add_argument("--recipe", default="kit", choices=RECIPES, help="kit (default) or paper")
    run.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change the recipe"
    )
    run.add_argument(
        "--start", default="scratch", choices=pipeline.STARTS, help="where encoders begin"
    )
    length = run.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=_positive, default=pipeline.STEPS, help="iterations (%(default)s)"
    )
    length.add_argument(
        "--minutes",
        type=_duration,
        metavar="N",
        help="as many iterations as this machine makes in N minutes",
    )
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--out", metavar="DIR", help="results, and the state to resume from (runs/...)"
    )

    adopt = commands.add_parser("adopt", help="make a teacher of a torchvision classifier of yours")
    adopt.set_defaults(command=adopt_command, device="cpu")
    adopt.add_argument("architecture", help="as torchvision.models calls it: resnet18, ...")
    adopt.add_argument("weights", help="its state_dict, .pth or .safetensors")
    adopt.add_argument("--role", required=True, choices=("photo", "sketch"), help="what it reads")
    adopt.add_argument(
        "--classes", required=True, metavar="FILE", help="its classes in order, one a line"
    )
    adopt.add_argument("--size", type=_positive, default=224, help="pixels (%(default)s)")
    adopt.add_argument(
        "--normalise",
        choices=("imagenet", "none"),
        default="imagenet",
        help="how its training normalised images in [0, 1] (%(default)s)",
    )
    adopt.add_argument(
        "--out", required=True, metavar="DIR", help="where photo or sketch.safetensors goes"
    )

    others = ", ".join(f"{name}: {steps}" for name, steps in bench.STEPS.items())
    measure = commands.add_parser("bench", parents=[shared], help="measure what the README claims")
    measure.set_defaults(command=bench.command)
    measure.add_argument("name", choices=bench.BENCHES)
    measure.add_argument("--seeds", type=_positive, default=3)
    measure.add_argument("--first-seed", type=int, default=0, metavar="N", help="(%(default)s)")
    measure.add_argument(
        "--steps",
        type=_positive,
        help=f"iterations ({pipeline.STEPS}; {others})",
    )
    measure.add_argument(
        "--workers",
        type=_positive,
        help="processes that make the rows of quality and claims (one a core; on a GPU 1)",
    )
    measure.add_argument(
        "--rows", type=_names, default=(), metavar="A,B", help="only these rows of the table"
    )
    measure.add_argument("--out", default="runs/bench", metavar="DIR", help="where the JSON goes")

    export = commands.add_parser(
        "export", parents=[machine], help="a student and its gallery to one folder"
    )
    export.set_defaults(command=export_command)
    export.add_argument(
        "--student", metavar="FILE", help="a student.safetensors (default: the shipped one)"
    )
    export.add_argument(
        "--photos", metavar="DIR", help="the gallery, DIR/<class>/ (default: ToyBox's test photos)"
    )
    export.add_argument("--onnx", action="store_true", help="the encoders as ONNX files, too")
    export.add_argument("--out", default="runs/gallery", metavar="DIR", help="(%(default)s)")
    return parser


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def _duration(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return float(text)


if __name__ == "__main__":
    ranks.end(main)

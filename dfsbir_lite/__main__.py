"""The kit without a notebook: `python -m dfsbir_lite run`, `adopt`, `export`, `search`, `bench`."""

import csv
import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from pathlib import Path

import torch

from dfsbir_lite import adopt, gallery, pipeline, plots, retrieval, runtime, toybox, zoo
from dfsbir_lite.data import class_key, file_name, lone, open_image, toybox_picture, toybox_set
from dfsbir_lite.files import read_card, reading, write_atomically
from dfsbir_lite.losses import Weights
from dfsbir_lite.recipes import RECIPES, recipe
from dfsbir_lite.runtime import PROFILES, Profile, UserError, profile
from dfsbir_lite.strokes import EXAMPLES, redraw
from dfsbir_lite.study import bench
from dfsbir_lite.teachers import Teachers
from dfsbir_lite.widgets.page import write_page

KNOWN = 0.5  # of a photo's probabilities, the least share on classes that both classifiers know


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 2 after one line about a mistake, or 130 after Ctrl-C."""
    runtime.lossless_output()
    try:
        options = _parser().parse_args(arguments)
        if "out" in options:
            runtime.need_writable(Path(options.out or "runs"))
        options.device = runtime.pick_device(options.device)
        options.command(options)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what was saved last", file=sys.stderr)
        return 130
    except FloatingPointError as reason:
        print(f"error: {reason}; try a lower weight or learning rate", file=sys.stderr)
        return 2
    except (UserError, OSError) as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    return 0


def run_command(options: Namespace) -> None:
    """Teachers, student, scores: on ToyBox, or on the user's folders."""
    sizes, folder = profile(options.profile), Path(options.out or _default_folder(options))
    settings = recipe(options.recipe, **_changes(options.set))
    benchmark, teachers = _open(options, sizes, folder)
    names = ("start", "steps", "minutes", "device", "seed")
    chosen = {name: getattr(options, name) for name in names}
    rows = pipeline.run(benchmark, teachers, sizes, settings, folder, **chosen)
    print(pipeline.table(rows).to_string(float_format="{:.3f}".format))
    print(f"everything is in {folder}")


def _open(options: Namespace, sizes: Profile, folder: Path) -> tuple[pipeline.Benchmark, Teachers]:
    """Return the benchmark and its teachers; those that are missing are trained."""
    open_benchmark = partial(pipeline.open_benchmark, options.photos, options.sketches, sizes)
    if options.teachers:
        given = adopt.load_pair(options.teachers, options.device, sizes.size)
        known = given.teachers.classes
        if not options.photos and any(lone(known, toybox.SEEN)):
            raise UserError(f"the teachers know {', '.join(known)}: not the classes of ToyBox")
        benchmark = open_benchmark(options.unseen, known, given.alone)
        print(given.report, pipeline.verdicts(benchmark, given.teachers, options.device), sep="\n")
        return benchmark, given.teachers
    if not (options.photos or options.sketches):
        zoo.need_shipped(sizes.name)
    benchmark = open_benchmark(options.unseen)
    where, train = (folder, True) if options.photos else (zoo.ASSETS / sizes.name, False)
    job = {"device": options.device, "seed": options.seed}
    return benchmark, pipeline.get_teachers(benchmark, sizes, where, train=train, **job)


def adopt_command(options: Namespace) -> None:
    """A teacher off the shelf, or of its architecture and a file of weights."""
    name, path = options.architecture, Path(options.out) / f"{options.role}.safetensors"
    known = adopt.facts(name, options.weights)
    classes = known.classes
    if options.classes:
        with reading(options.classes, "a list of names"):
            lines = Path(options.classes).read_text(encoding="utf-8-sig").splitlines()
        classes = tuple(line.strip() for line in lines if class_key(line))
    if not classes:
        raise UserError(f"{name}: nobody says what its classes are called; give --classes")
    size = options.size or known.size
    norms = {"mean": known.mean, "std": known.std}
    if options.normalise:
        norms = adopt.IMAGENET if options.normalise == "imagenet" else {"mean": [0.0], "std": [1.0]}
    file = options.file or adopt.weights_file(name, options.weights)
    adopt.adopt(name, file, classes, size, path, **norms)
    print(f"{path}: {name} of {len(classes)} classes, {size} px")


def export_command(options: Namespace) -> None:
    """A gallery, and a student or two classifiers that search it, to one folder."""
    summary = (_export_classifiers if options.teachers else _export_student)(options)
    print(f"{summary.photos} photos: {options.out}")
    if names := summary.left_out:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        print(f"{len(names)} files are no pictures: {', '.join(names[:5])}{more}")
    if summary.unknown:
        print(f"{summary.unknown} photos show nothing that a drawing can mean; they are marked")
    if options.page:
        example = () if options.photos else EXAMPLES["mug"]
        write_page(options.page, gallery.open_gallery(options.out), example)
        print(f"{options.page}: open it in a browser")


def _export_classifiers(options: Namespace) -> gallery.Summary:
    if not options.photos:
        raise UserError("--teachers: say which photos, with --photos")
    if Path(options.photos).resolve() in Path(options.out).resolve().parents:
        raise UserError("--out lies in the folder of photos, so its thumbnails would be photos too")
    folder = Path(options.teachers)
    files = {role: folder / f"{role}.safetensors" for role in ("photo", "sketch")}
    if not files["sketch"].is_file():
        files["sketch"] = zoo.ASSETS / "real" / "sketch.safetensors"
    photo, sketch = (adopt.load(path).to(options.device) for path in files.values())
    photos = gallery.photos_below(options.photos, photo.size, sketch.size)
    matching = adopt.Matching(photo, sketch)
    print(matching.report)

    def embed(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = retrieval.embed(lambda x, _: photo(x).logits, images, "photo", 16, options.device)
        return matching.photo_rows(scores), matching.known(scores) >= KNOWN

    facts = {"groups": matching.sketch_groups, "photo": read_card(files["photo"])["sha256"]}
    reader = {"matching.json": json.dumps(facts).encode()}
    for path in (files["sketch"], files["sketch"].with_suffix(".json")):
        reader[path.name] = path.read_bytes()
    return gallery.export(options.out, reader, photos, embed)


def _export_student(options: Namespace) -> gallery.Summary:
    sizes = profile(options.profile)
    student = Path(options.student or zoo.find("student", sizes.name))
    encoders = pipeline.load_encoders(student)
    if encoders.photo.geometry["widths"] != [*sizes.widths]:
        raise UserError(f"{student}: not of the sizes of profile {sizes.name}; give its --profile")
    card = read_card(student)
    given, size = options.photos, sizes.size
    photos = gallery.photos_of_folder(given, size) if given else _toybox(sizes, options.per_class)
    return gallery.export_gallery(options.out, encoders, card, photos, device=options.device)


def search_command(options: Namespace) -> None:
    """The photos of a gallery that a drawing in an image file finds."""
    opened = gallery.open_gallery(options.gallery)
    drawing = open_image(options.drawing, mode="RGBA")
    try:
        sketch = redraw(drawing, opened.rendering)
    except UserError as reason:
        raise UserError(f"{options.drawing}: {reason}") from None
    query = retrieval.embed(opened.encoders.embed, sketch[None], "sketch")
    cosines, places = (each[0] for each in retrieval.search(query, opened.embeddings, options.k))
    names = [opened.files[place] for place in places]
    if isinstance(opened.encoders, gallery.Matched):
        likely = zip(query[0].tolist(), opened.encoders.names)
        best = sorted(likely, reverse=True)[:3]
        print("read as " + ", ".join(f"{kind} {share:.0%}" for share, kind in best if share))
    for cosine, name in zip(cosines.tolist(), names, strict=True):
        print(f"{cosine:.2f}  {name}")
    if options.show:
        photos = torch.stack([opened.thumbnails[place] for place in places.tolist()])
        short = [name if len(name) < 16 else f"…{name[-14:]}" for name in names]
        figure = plots.found({"": (sketch, photos, short, cosines)})
        write_atomically(options.show, plots.png(figure))


def _toybox(sizes: Profile, per_class: int | None) -> gallery.Photos:
    which = {"modality": "photo", "split": "test", "classes": toybox.CLASSES}
    which["per_class"] = per_class or sizes.test_per_class
    pictures = partial(toybox_picture, **which, size=max(gallery.THUMBNAIL, sizes.size))
    return gallery.photos_of_set(toybox_set(profile=sizes, **which), pictures)


def _default_folder(options: Namespace) -> str:
    """Return a place of its own for each kind of run, so that a second one finds it empty."""
    source = "folders" if options.photos else "toybox"
    length = f"{options.minutes}min" if options.minutes else options.steps
    facts = [source, options.profile, options.recipe, options.start, length, f"seed{options.seed}"]
    facts += [f"without-{name}" for name in options.unseen]
    if options.teachers:
        facts.append(f"teachers-{Path(options.teachers).resolve().name}")
    return "runs/" + file_name("-".join(map(str, [*facts, *options.set])))


def _changes(pairs: list[str]) -> dict[str, float | int | str]:
    """Return `["align=0", "batch=64"]` as keyword arguments for `recipe`."""
    changes, switches = {}, {"true": True, "false": False}
    defaults = {**vars(recipe("kit")), **vars(Weights()), "weights": ""}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise UserError(f"--set {pair}: write it as name=value")
        kind = type(defaults.get(name, ""))
        try:
            changes[name] = switches[value.lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            raise UserError(f"--set {pair}: {value!r} is not of type {kind.__name__}") from None
    return changes


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m dfsbir_lite", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    machine, folders = ArgumentParser(add_help=False), ArgumentParser(add_help=False)
    add = machine.add_argument
    add("--profile", default="laptop", choices=PROFILES, help="sizes (%(default)s)")
    add("--device", help="cpu, cuda or cuda:N (the first GPU, else the CPU)")
    layout = "photos in DIR/train/<class>/ and DIR/test/<class>/"
    folders.add_argument("--photos", metavar="DIR", help=layout)
    folders.add_argument("--sketches", metavar="DIR", help="sketches, laid out alike")

    def command(name: str, function, *parents: ArgumentParser, what: str) -> ArgumentParser:
        made = commands.add_parser(name, parents=parents, help=what, description=what)
        made.set_defaults(command=function, device=None)
        return made

    what = "learn a student without data, print its scores"
    run = command("run", run_command, machine, folders, what=what)
    add, length = run.add_argument, run.add_mutually_exclusive_group().add_argument
    what = """classes kept from all training; quote a name that has a comma: 'A,"B, C"'"""
    add("--unseen", type=_names, default=(), metavar="A,B", help=what)
    what = "teachers that are there: photo, sketch and modality.safetensors, see adopt"
    add("--teachers", metavar="DIR", help=what)
    add("--recipe", default="kit", choices=RECIPES, help="(%(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change the recipe")
    add("--start", default="scratch", choices=pipeline.STARTS, help="squeezed: a quarter the work")
    length("--steps", type=_positive, default=pipeline.STEPS, help="iterations (%(default)s)")
    length("--minutes", type=_positive, metavar="N", help="learn for N minutes by the clock")
    add("--seed", type=int, default=0)
    add("--out", metavar="DIR", help="results, and the state to resume from (runs/...)")

    what = "make a teacher of a classifier: off the shelf, or with weights of yours"
    adopted = command("adopt", adopt_command, what=what)
    add = adopted.add_argument
    add("architecture", help="efficientnet-lite0, torchvision's resnet18, ..., or timm/NAME")
    source = adopted.add_mutually_exclusive_group().add_argument
    source("file", nargs="?", help="a state_dict of yours, .pth or .safetensors (the published)")
    source("--weights", default="DEFAULT", metavar="NAME", help="which of those published")
    add("--role", required=True, choices=("photo", "sketch"), help="what it reads")
    add("--classes", metavar="FILE", help="its classes in order, one a line (those published)")
    add("--size", type=_positive, help="pixels (the published)")
    what = "how its training normalised images in [0, 1] (the published)"
    add("--normalise", choices=("imagenet", "none"), help=what)
    add("--out", required=True, metavar="DIR", help="where photo or sketch.safetensors goes")

    what = "measure what README and notebooks claim"
    add = command("bench", bench.command, machine, folders, what=what).add_argument
    add("name", choices=bench.BENCHES)
    add("--seeds", type=_positive, default=3)
    add("--first-seed", type=int, default=0, metavar="N", help="(%(default)s)")
    others = ", ".join(f"{name}: {steps}" for name, steps in bench.STEPS.items())
    add("--steps", type=_positive, help=f"iterations ({pipeline.STEPS}; {others})")
    add("--workers", type=_positive, help="processes for the rows (one a core; on a GPU 1)")
    add("--rows", type=_names, default=(), metavar="A,B", help="only these rows of the table")
    add("--out", default="runs/bench", metavar="DIR", help="where the JSON goes (%(default)s)")

    command("check", lambda _: runtime.check_setup(), what="say what the notebooks need and lack")

    what = "a gallery of photos, and what searches it by sketch, to one folder or page"
    made = command("export", export_command, machine, what=what)
    add, by = made.add_argument, made.add_mutually_exclusive_group().add_argument
    by("--student", metavar="FILE", help="a student.safetensors (the shipped one)")
    what = "photo and sketch.safetensors instead of a student, see adopt; a sketch teacher ships"
    by("--teachers", metavar="DIR", help=what)
    what = "the gallery, DIR/<class>/, or, with --teachers, any folder (ToyBox's test photos)"
    add("--photos", metavar="DIR", help=what)
    what = "without --photos, of each class (what the profile says)"
    add("--per-class", type=_positive, metavar="N", help=what)
    add("--out", default="runs/gallery", metavar="DIR", help="(%(default)s)")
    add("--page", metavar="FILE", help="one HTML file besides, to draw and search in any browser")

    what = "search an export by a drawing"
    add = command("search", search_command, what=what).add_argument
    add("gallery", help="the folder of an export")
    add("drawing", help="an image file: lines of any width and colour on plain paper")
    add("-k", type=_positive, default=10, help="how many photos (%(default)s)")
    add("--show", metavar="FILE", help="a PNG of the drawing and the photos")
    return parser


def _names(text: str) -> tuple[str, ...]:
    """Return the names between commas, or in lines; in `dog,"jar, glass"` there are two."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ArgumentTypeError("must be at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

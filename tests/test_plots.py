"""Figures have the parts that their callers count on, and leave pyplot alone."""

import sys
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from dfsbir_lite import plots

CLASSES = ("ant", "bee", "cat", "dog")
IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(4).repeat_interleave(2)
POSTERIORS = torch.full((8, 4), 0.25)
INTERVALS = pd.DataFrame(
    {"mean": [0.3, 0.6], "low": [0.2, np.nan], "high": [0.5, np.nan]}, index=["a", "b"]
)
PAPER = pd.DataFrame({"Sketchy": [0.5, 0.8], "TU-Berlin": [0.3, 0.7]}, index=["a", "b"])
JUDGED = pd.DataFrame(
    {
        "claim": ["a wins", "b wins"],
        "part": ["seen", "unseen"],
        "verdict": ["holds", "does not hold"],
        "difference": [0.2, -0.1],
        "low": [0.1, -0.3],
        "high": [0.4, 0.0],
    }
)
MARKED = pd.DataFrame({"mug": [True, False], "fish": [False, False]}, index=["photo", "sketch"])


def draw_all() -> dict[str, Figure]:
    """Every kind of figure, each from a small example."""
    points = np.random.default_rng(0).normal(size=(16, 2))
    marks = (LABELS.repeat(2), torch.arange(16) >= 8, CLASSES)
    return {
        "image_rows": plots.image_rows({"photo": IMAGES[:4], "sketch": IMAGES[4:]}, CLASSES),
        "curves": plots.curves({"bn": pd.Series([3.0, 2.0], [6, 7]), "align": [1.0, 0.5]}),
        "hit_maps": plots.hit_maps({"a": LABELS[:, None] == LABELS}, {"a": CLASSES}),
        "lines": plots.lines({"seen": pd.Series([0.1, 0.5], index=[10, 20])}, "steps", "mAP@all"),
        "bars": plots.bars({"chance": 0.1, "student": 0.6}, "mAP@all", line=0.1),
        "confusion": plots.confusion(torch.eye(4), CLASSES),
        "intervals": plots.intervals({"seen": INTERVALS}, line="b"),
        "verdicts": plots.verdicts(JUDGED),
        "marks": plots.marks(MARKED),
        "cosine_matrices": plots.cosine_matrices({"a": torch.eye(4)}, CLASSES, CLASSES),
        "retrievals": plots.retrievals(
            IMAGES[:2], IMAGES, torch.tensor([[0, 1], [5, 4]]), torch.eye(2).bool(), ["ant", "bee"]
        ),
        "found": plots.found({"one": (IMAGES[0], IMAGES[1:4], "abc", torch.tensor([0.9, 0.5, 0]))}),
        "class_scores": plots.class_scores(IMAGES[:3], {"teacher": POSTERIORS[:3]}, CLASSES),
        "embedding_map": plots.embedding_map({"features": points}, *marks),
        "live": plots.live(
            {"photo": IMAGES[:4], "sketch": IMAGES[4:]},
            CLASSES,
            {"bn": [30.0, 2.0], "align": [-1.0, 0.5], "adv": []},
            off=("align",),
            counts={"photo": torch.tensor([5, 0, 2, 1]), "sketch": torch.tensor([1, 2, 3, 2])},
        ),
        "cosine_histograms": plots.cosine_histograms(
            {"student": (torch.tensor([0.9, 0.8]), torch.tensor([0.0, 0.1]))}
        ),
    }


FIGURES = draw_all()
ALT = {
    "image_rows": "photo 4, sketch 4. Columns: ant, bee, cat, dog",
    "curves": "over step: bn from 3 to 2; align from 1 to 0.5",
    "lines": "Lines of mAP@all over steps: seen from 0.1 to 0.5",
    "bars": "Bars of mAP@all: chance 0.10, student 0.60; dashed line at 0.10",
    "confusion": "Right: ant 100%, bee 100%, cat 100%, dog 100%",
    "intervals": "seen: a 0.30, b 0.60",
    "cosine_matrices": "a: from 0.00 to 1.00, mean 1.00 on the diagonal",
    "retrievals": "2 photos closest to it. Right among them: ant 1, bee 1",
    "found": "one: a, b, c",
    "class_scores": "Picture 1, likeliest by teacher: ant 0.25",
    "embedding_map": "8 photos (circles) and 8 sketches (crosses), coloured by class: features",
    "live": "no photo was taken for: bee. Classes that no sketch was taken for: none",
    "hit_maps": "Hits among the first ten: a 0.25",
    "verdicts": "a wins (seen): holds 0.20, b wins (unseen): does not hold -0.10",
    "marks": "photo: mug; sketch: none",
    "cosine_histograms": "student: means same class 0.85, different class 0.05",
}


def test_pyplot_knows_of_no_figure():
    """Figures that pyplot holds are never freed, and are drawn by a backend of its choice."""
    pyplot = sys.modules.get("matplotlib.pyplot")  # seaborn imports it
    assert pyplot is None or pyplot.get_fignums() == []


def names(axis, of: str) -> list[str]:
    """The tick labels of an axis."""
    return [label.get_text() for label in getattr(axis, f"get_{of}ticklabels")()]


def test_images_lie_in_reading_order_and_keep_their_pixels():
    (axis,) = FIGURES["image_rows"].axes
    first, *_, last = axis.images
    assert np.array_equal(first.get_array(), IMAGES[0].permute(1, 2, 0))
    left, right, bottom, top = last.get_extent()
    assert 3 < left < right < 4 and 1 < top < bottom < 2  # fourth column, second row


def test_score_bars_has_a_panel_a_column_with_its_own_line():
    table = pd.DataFrame({"seen": [0.1, 0.5], "unseen": [0.3, 0.7]}, index=["features", "student"])
    axes = plots.score_bars(table, {"seen": 0.08, "unseen": 0.25}).axes
    assert [axis.get_title() for axis in axes] == ["seen", "unseen"]
    assert [axis.lines[0].get_xdata()[0] for axis in axes] == [0.08, 0.25]
    assert [bar.get_width() for bar in axes[1].patches] == [0.3, 0.7]


def test_curves_of_series_begin_where_their_index_does():
    first, second = FIGURES["curves"].axes
    assert first.lines[0].get_xdata().tolist() == [6, 7]
    assert second.lines[0].get_xdata().tolist() == [0, 1]


def whiskers(axis) -> list:
    """The ends of the horizontal whiskers, from top to bottom."""
    (container,) = axis.containers
    return [segment[:, 0].tolist() for segment in container[2][0].get_segments()]


def test_intervals_reach_from_low_to_high_and_compare_with_one_row():
    (axis,) = plots.intervals({"seen": INTERVALS}, line="b").axes
    assert names(axis, "y") == ["a", "b"]
    assert whiskers(axis)[0] == pytest.approx([0.2, 0.5])
    assert whiskers(axis)[1] == pytest.approx([0.6, 0.6])  # one seed has no interval
    assert list(axis.lines[-1].get_xdata()) == [0.6, 0.6]


def test_cosine_matrices_share_one_symmetric_scale():
    matrices = {"a": torch.eye(2), "b": -torch.eye(2)}
    first, second, bar = plots.cosine_matrices(matrices, "rs", "cd", limit=0.5).axes
    assert [axis.images[0].get_clim() for axis in (first, second)] == [(-0.5, 0.5)] * 2
    assert names(first, "x") == ["c", "d"] and names(first, "y") == ["r", "s"]
    assert names(bar, "y") == ["-0.5", "0", "0.5"]


def test_retrievals_marks_hits_and_misses_by_colour_line_and_sign():
    (axis,) = FIGURES["retrievals"].axes
    assert names(axis, "x") == ["sketch", "1", "2"]
    assert names(axis, "y") == ["ant", "bee"]
    frames = [frame for frame in axis.patches if frame.get_linewidth() > 1]  # not the sketches'
    colours = [to_hex(frame.get_edgecolor()) for frame in frames]
    assert colours == [plots.GOOD, plots.BAD, plots.BAD, plots.GOOD]
    assert [frame.get_linestyle() == "-" for frame in frames] == [True, False, False, True]
    assert [text.get_text() for text in axis.texts] == ["✓", "✗", "✗", "✓"]
    shown = [image.get_array() for image in axis.images]
    assert np.array_equal(shown[4], IMAGES[5].permute(1, 2, 0))  # second row, rank 1


def test_saliency_is_orange_for_and_purple_against_and_leaves_the_rest_grey():
    image = torch.full((3, 4, 4), 200, dtype=torch.uint8)
    saliency = torch.zeros(4, 4)
    saliency[0, 0], saliency[3, 3] = 0.2, -0.2
    tinted = plots.saliency_overlay(image, saliency, full=0.2, size=4).astype(int)
    assert tinted[1, 1].tolist() == [200, 200, 200]
    red, _, blue = tinted[0, 0]
    assert red > blue + 50
    red, green, blue = tinted[3, 3]
    assert blue > green + 30 and blue > red


def test_embedding_map_names_sketches_only_where_they_are_elsewhere():
    """One class whose sketches lie on its photos, one whose sketches are far away."""
    points = np.array([[0, 0], [0, 0.1], [10, 0], [0, 10]], float)
    about = np.array([0, 0, 1, 1]), np.array([False, True, False, True]), "ab"
    figure = plots.embedding_map({"map": points}, *about, ringed=[3])
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["a", "b", "b"]
    assert axis.collections[2].get_offsets().tolist() == [[0, 10]]  # the ring
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["photo", "sketch"]


def test_live_shows_pairs_coverage_and_a_curve_a_term():
    sheet, coverage, bn, align, adv = FIGURES["live"].axes
    assert names(sheet, "x") == list(CLASSES)
    assert names(sheet, "y") == ["painted\nphoto", "painted\nsketch"]
    pixels = sheet.images[0].get_array()
    assert pixels.shape == (32, 64, 3)
    assert np.array_equal(pixels[16:, 48:], IMAGES[7].permute(1, 2, 0))
    assert [bar.get_height() for bar in coverage.patches] == [5, 0, 2, 1, 1, 2, 3, 2]
    assert [(t.get_text(), t.get_color()) for t in coverage.texts] == [("×", plots.PHOTO)]
    assert [a.get_title("left") for a in (bn, align, adv)] == ["bn  2", "align  0.5  (off)", "adv"]
    assert (bn.get_yscale(), align.get_yscale()) == ("log", "linear")  # 30 is over 10 times 2
    assert bn.lines[0].get_color() != align.lines[0].get_color() and not adv.lines


def test_live_bridges_gaps_and_thins_long_histories():
    pairs = {"photo": IMAGES[:4], "sketch": IMAGES[4:]}
    history = {"adv": [np.nan, 3.0, 2.0], "bn": list(range(2000))}
    outcome = {0: 0.1, 5: 0.4}, 0.25, IMAGES[0], IMAGES[:2], torch.tensor([True, False])
    figure = plots.live(pairs, CLASSES, history, outcome=outcome)
    score, *_, adv, bn = figure.axes
    assert score.get_title("left") == "validation mAP@all  0.40" and "1 right" in figure.alt
    assert adv.get_title("left") == "adv  2" and len(bn.lines[0].get_xdata()) == 500


def test_sprites_lie_row_by_row_in_a_square():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 2, 2)
    sheet = np.asarray(Image.open(BytesIO(plots.sprite_sheet(images))))
    assert sheet.shape == (4, 6, 3)  # two rows of three, 2 × 2 pixels each
    assert sheet[::2, ::2, 0].tolist() == [[0, 1, 2], [3, 4, 0]]


def test_a_class_is_named_only_where_it_lies_together():
    near, far = np.random.default_rng(0).normal(size=(2, 40, 2)) * [[[0.1]], [[5]]]
    points = np.concatenate([near, far])
    labels, sketches = np.repeat([0, 1], 40), np.tile([False, True], 40)
    axis = plots.embedding_map({"m": points}, labels, sketches, ("tight", "loose")).axes[0]
    assert [text.get_text() for text in axis.texts] == ["tight"]
    ((_, *spot),) = plots.class_places(points, labels, sketches)
    assert spot in points.tolist()


@pytest.mark.parametrize("name", FIGURES)
def test_figures_say_what_they_show(name):
    figure = FIGURES[name]
    assert ALT[name] in figure.alt
    assert "\n" not in figure.alt and len(figure.alt) < 1500


def test_a_notebook_stores_the_words_with_the_picture_and_not_in_the_text():
    shell = InteractiveShell.instance()
    select_figure_formats(shell, ["jpeg"])
    figure = FIGURES["bars"]
    data, metadata = shell.display_formatter.format(figure)
    assert metadata["image/jpeg"]["alt"] == figure.alt
    assert {"text/plain", "image/jpeg"} == set(data)
    assert data["text/plain"].startswith("<Figure size ") and "0.6" not in data["text/plain"]


def test_lines_of_tables_lie_in_their_band():
    table = INTERVALS.fillna(0.6).set_axis([0.5, 1.0])
    (axis,) = plots.lines({"ours": table, "paper": PAPER["Sketchy"]}, "share", "mAP@all").axes
    assert axis.lines[0].get_xydata().tolist() == [[0.5, 0.3], [1.0, 0.6]]
    (band,) = axis.collections
    assert band.get_paths()[0].vertices[:, 1].min() == 0.2


def test_confusion_shows_per_cent_of_each_true_class():
    (axis,) = plots.confusion(torch.tensor([[3, 1], [0, 2]]), ("ant", "bee"), "teacher").axes
    assert [text.get_text() for text in axis.texts] == ["75", "25", "", "100"]
    assert (axis.get_title(), axis.get_xlabel()) == ("teacher", "predicted")

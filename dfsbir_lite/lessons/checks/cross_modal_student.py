"""Self-checks of notebook 03: places, losses and what the paper's recipe costs."""

import torch
from torch.nn import functional as F

from dfsbir_lite import losses
from dfsbir_lite.lessons.checks import Wrong, ask, exercise, explain, number
from dfsbir_lite.models import expected_proxy
from dfsbir_lite.recipes import recipe
from dfsbir_lite.runtime import approx

MARGIN = 0.01  # of mAP@all, by which a read-out has to beat the worse end


def _near(answer, truth, tolerance: float = 0.02) -> bool:
    return abs(answer - truth) <= tolerance * abs(truth)


@exercise
def cost_of_the_paper(hours, encoder_steps: int, seconds: float) -> str:
    """`hours`: a number, what the estimators take while the encoders make `encoder_steps`.

    An estimator step takes `seconds`; how many there are for an encoder step is in the recipe.
    """
    hours, paper = number(hours), recipe("paper")
    each = paper.estimator_steps / paper.encoder_steps
    truth = encoder_steps * each * seconds / 3600
    if _near(hours, 3600 * truth):
        raise Wrong("These are seconds. Hours are wanted.")
    if _near(hours, 60 * truth):
        raise Wrong("These are minutes. Hours are wanted.")
    if _near(hours, truth / each):
        raise Wrong("That is one estimator step for each encoder step. The recipe has many more.")
    if _near(hours, truth / each**2):
        raise Wrong("You divided by the recipe's number: who makes more steps, and for whom?")
    if _near(hours, seconds * each / 3600):
        raise Wrong("That is the cost of a single encoder step.")
    if not _near(hours, truth):
        raise Wrong("Multiply: encoder steps, estimator steps for each of them, time of one.")
    return (
        "The recipe of this kit turns it around, six encoder steps for one of the estimators, "
        "because samples are kept and every view of one is a new lesson."
    )


@exercise
def place_by_hand(place, scores, temperature: float) -> str:
    """`place`: three numbers, the expected proxy of `scores`, the proxies being the three axes."""
    scores = torch.as_tensor(scores, dtype=torch.float32)
    if not hasattr(place, "__len__"):
        raise Wrong(f"{len(scores)} coordinates are wanted, in brackets: (a, b, c).")
    place = torch.stack([torch.tensor(number(x)) for x in place])
    if len(place) != len(scores):
        raise Wrong(f"{len(scores)} coordinates are wanted, one for each axis.")
    axes = torch.eye(len(scores))

    def is_(other) -> bool:
        return torch.allclose(place, torch.as_tensor(other).float(), atol=0.011)

    share = (scores / temperature).softmax(0)
    truth = expected_proxy(scores[None], axes, temperature)[0]
    if is_(share):
        raise Wrong("These are the weights. The mean weight is still to be taken off each.")
    if is_(share - 1 / len(scores)):
        raise Wrong("Nearly: this vector is not of length 1.")
    if is_(F.normalize(share, dim=0)):
        raise Wrong(
            "An image that is equally like all classes should have no place at all: take 1/C off."
        )
    if is_(expected_proxy(scores[None], axes, 1.0)[0]):
        raise Wrong("Divide the scores by the temperature, before the softmax.")
    if is_(-truth):
        raise Wrong("The other way round: the likeliest class draws the image to its proxy.")
    if not is_(truth):
        raise Wrong("Softmax of scores / temperature, minus 1/C, times the axes, to length 1.")
    return (
        "The runner-up hardly moves the place, because it has about its fair third. "
        "Only what is above or below a fair share counts."
    )


def _supervised(queries, keys, query_labels, key_labels, temperature, count: int):
    """The package's loss, given one-hot posteriors."""
    rows = [F.one_hot(labels, count).float() for labels in (query_labels, key_labels)]
    return losses.contrastive(queries, keys, *rows, temperature)


def _contrastive_mistakes(queries, keys, query_labels, key_labels, temperature):
    """Loss of each typical mistake, with what to say of it."""
    same = (query_labels[:, None] == key_labels).float()
    cosines = queries @ keys.T
    likely = F.log_softmax(cosines / temperature, dim=1)
    each = (likely * same).sum(1)
    mean = each / same.sum(1)
    plain = (F.log_softmax(cosines, dim=1) * same).sum(1) / same.sum(1)
    other = (F.log_softmax(cosines / temperature, dim=0) * same).sum(1) / same.sum(1)
    return {
        "The sign: the more likely, the smaller a loss should be.": mean.mean(),
        "Mean over the keys of the query's class, not the sum.": -each.mean(),
        "Mean over the queries, not the sum.": -mean.sum(),
        "One mean over all pairs of a class: a query with many keys counts more there. Take the "
        "mean for each query, and then over the queries.": -likely[same > 0].mean(),
        "A mean over all keys: divide by those of the query's class only.": -(likely * same).mean(),
        "The temperature is missing.": -plain.mean(),
        "The softmax runs over the queries: every query should choose among the keys.": (
            -other.mean()
        ),
        "The logarithm of summed probabilities: here one near key of the class would be enough. "
        "Take the logarithm of each, then the mean.": -(likely.exp() * same).sum(1).log().mean(),
    }


@exercise
def supervised_contrastive(loss) -> str:
    """`loss(queries, keys, query_labels, key_labels, temperature)`: a scalar.

    Rows of unit length (N, E) and (M, E), whole labels (N,) and (M,); every query's class is
    among the keys'.
    """
    draw = torch.Generator().manual_seed(0)
    for queries, keys, temperature in ((6, 12, 0.1), (5, 9, 0.5)):
        rows = [F.normalize(torch.randn(n, 8, generator=draw), dim=1) for n in (queries, keys)]
        labels = [torch.arange(queries) % 3, (torch.arange(keys) ** 2) % 7 % 3]
        labels[1][:3] = torch.arange(3)  # every class has a key
        asked = (*rows, *labels, temperature)
        mine = number(ask(loss, *asked))
        if _near(mine, float(_supervised(*asked, 3)), 1e-3):
            continue
        explain(mine, _contrastive_mistakes(*asked), 0, 1e-3)
        raise Wrong("Cosines / temperature, log-softmax over keys, mean over those of the class.")
    return (
        "This is the supervised contrastive loss of Khosla et al. Soft posteriors only change how "
        "much each key counts, so that an unsure teacher asks for less."
    )


def _unexplained(mine, theirs):
    """Part of the variance of `theirs` that no affine map of each position's channels reaches."""
    x, y = (m.movedim(1, -1).flatten(0, -2).double() for m in (mine, theirs))
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    rest = y - x @ torch.linalg.lstsq(x, y).solution
    return rest.square().mean() / y.var()


def _flattened(maps):
    """Positions in rows, by the mistake of a bare reshape."""
    return maps.reshape(-1, maps.shape[1], 1, 1)


@exercise
def translated_hint(hint) -> str:
    """`hint(mine, theirs)`: a number, from maps (N, c, H, W) and (N, C, H, W).

    What is left of `losses.hints` if the best translation is made first: each channel of `theirs`
    as a weighted sum of the channels of `mine` plus a constant, the same at all positions.
    """
    draw = torch.Generator().manual_seed(0)
    for channels, wanted in ((3, 5), (6, 4)):
        mine = torch.randn(16, channels, 4, 4, generator=draw) + 1
        weights = torch.randn(wanted, channels, generator=draw)
        theirs = torch.einsum("dc,nchw->ndhw", weights, mine)
        noise = 1.4 * torch.randn(theirs.shape, generator=draw)
        theirs = theirs + noise + 2 * torch.arange(wanted).view(-1, 1, 1)
        answer = number(ask(hint, mine, theirs))
        truth = float(_unexplained(mine, theirs))
        if _near(answer, truth, 0.03):
            continue
        y, rows = theirs.movedim(1, -1).flatten(0, -2), mine.movedim(1, -1).flatten(0, -2)
        bare = (y - rows @ torch.linalg.lstsq(rows, y).solution).square().mean() / y.var()
        if _near(answer, float(bare), 0.03):
            raise Wrong("No constant: give the translation a column of ones to weigh, too.")
        if _near(answer, truth * float(theirs.var()), 0.03):
            raise Wrong("In units of the variance of `theirs`, as `losses.hints` has it.")
        if _near(answer, truth * float(theirs.var() / y.var(0).mean()), 0.03):
            raise Wrong("One variance, of all of `theirs` together, and not one for each channel.")
        if _near(answer, truth * theirs.numel(), 0.03):
            raise Wrong("The mean of the squared distances, not their sum.")
        if _near(answer, 1 - truth, 0.03):
            raise Wrong("That is the part that the translation reaches. What is left is the loss.")
        if _near(answer, float(_unexplained(_flattened(mine), _flattened(theirs))), 0.03):
            raise Wrong(
                "The rows mix positions with channels: move the channels to the end "
                "(`movedim(1, -1)`) before you flatten."
            )
        raise Wrong(
            "Positions in rows, channels and a one in columns; least squares; what is left."
        )
    return (
        "Romero et al. learn this translation along with the student, as a 1 × 1 convolution. "
        "The best one, computed at once, is what that convolution would come to on this batch."
    )


@exercise
def between_both_ends(rows, student, benchmark) -> str:
    """`rows(scores, proxies)`: from class scores (N, C) and proxies (C, E) to rows (N, any).

    Compared by cosine they should rank seen classes better than the scores themselves do, and
    unseen ones better than the posteriors.
    """

    def scored(function) -> dict[str, float]:
        def readout(images, modality):
            return function(student.class_logits(images, modality), student.proxies)

        return {part: s["map_all"] for part, s in benchmark.scores(readout).items()}

    blank = torch.zeros(2, student.proxies.shape[0])
    if tuple(ask(rows, blank, student.proxies).shape)[:1] != (2,):
        raise Wrong("A row for every image is wanted: (N, C) in, (N, any) out.")
    mine = scored(rows)
    logits, posteriors = scored(lambda s, _: s), scored(lambda s, _: s.softmax(1))
    told = (
        f"mAP@all {approx(mine['seen'], 3)} on seen classes, {approx(mine['unseen'], 3)} on unseen."
    )
    if not mine["seen"] > logits["seen"] + MARGIN:
        raise Wrong(
            f"{told} On seen classes the scores have {approx(logits['seen'], 3)}; beat them by "
            f"{MARGIN}. Do the unlikely classes weigh too much?"
        )
    if not mine["unseen"] > posteriors["unseen"] + MARGIN:
        raise Wrong(
            f"{told} On unseen classes posteriors have {approx(posteriors['unseen'], 3)}; beat "
            f"them by {MARGIN}. Do the unlikely classes say too little?"
        )
    return (
        "It beats each end where that end is weak. Test images have judged it: to call it better "
        "than the expected proxy, choose on validation images, and look at these once."
    )

"""The regimes: what the paper does, and what works best here. They differ in this file only."""

from dataclasses import dataclass, field, fields, replace

from dfsbir_lite.losses import Weights
from dfsbir_lite.runtime import UserError


@dataclass(frozen=True)
class Recipe:
    """All settings of synthesis and distillation. The weights alone may change during a run."""

    weights: Weights = field(default_factory=Weights)
    batch: int = 128  # images of each modality in a step
    noise_dim: int = 128  # length of the shared noise vector
    estimator_steps: int = 1  # in one iteration
    encoder_steps: int = 4
    estimator_lr: float = 3e-3  # Adam
    encoder_lr: float = 3e-3  # AdamW, cosine schedule
    labels: str = "noise"  # the wanted class: from the noise, or the "teacher"'s arg-max (paper)
    scene: bool = False  # one estimator for both images of a pair, see `models.SceneEstimator`
    views: bool = False  # in estimator steps, show all networks random views of the images
    adv_after: int = 0  # estimator steps before the adversarial term counts
    adv_masked: bool = False  # count only samples that the teacher sees as the wanted class
    refresh_every: int = 0  # estimator steps between new noise projections; 0: never
    catch_up: int = 0  # estimator steps after such a refresh whose samples are not kept
    replay: int = 1  # batches kept in memory; 1 is the newest only
    contours: float = 0.0  # the share of the encoders' sketches that `views.contours` replace
    relabel: bool = False  # jitter and mix samples before the teachers label them
    as_drawn: bool = False  # but leave sketches as they are
    ema: float = 0.0  # decay of the averaged encoders; 0 averages nothing
    queue: int = 0  # embeddings of each modality kept as further keys of contrastive and pairs
    mask_same: bool = False  # pairs: keys that the teachers see as the same class do not repel
    sharpness: float = 1.0  # a factor of the teachers' logits before they become soft labels
    temperature: float | None = 2.5  # of the embedding, see `models.Encoders`; None: free

    def __post_init__(self):
        sizes = ("batch", "noise_dim", "replay", "estimator_steps", "encoder_steps")
        for name in (*sizes, "estimator_lr", "encoder_lr"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}: it must be more than 0")
        if not 0 <= self.contours <= 1:
            raise UserError(f"contours is {self.contours}: it must be a share, 0 to 1")
        if self.labels not in ("noise", "teacher"):
            raise UserError(f"labels must be 'noise' or 'teacher', not {self.labels!r}")


def paper_proxies() -> Recipe:
    """Return the paper's terms and weights, nothing else, with class proxies.

    Weights of one-hot, entropy and activation are those of the authors' code, and DAFL's. There
    500 estimator steps go with one encoder step, for 2,000 epochs; here one goes with four.
    """
    return Recipe(
        weights=Weights(one_hot=3, entropy=5, activation=0.1, align=1, modal=1, adv=1, proxy=1),
        batch=64,
        labels="teacher",
        temperature=None,
    )


def kit() -> Recipe:
    """Return our best: with batch statistics, hints, contours, replay, relabelling and more."""
    return Recipe(
        weights=Weights(one_hot=1, bn=1, align=1, modal=1, adv=0.3, diversity=3, match=1, hint=3),
        encoder_steps=6,
        encoder_lr=1e-2,
        adv_after=60,
        adv_masked=True,
        refresh_every=25,
        catch_up=6,
        replay=200,
        contours=0.5,
        relabel=True,
        ema=0.97,
    )


def kit_without_hints() -> Recipe:
    """Return the kit without hints: teachers give answers only, and the embedding is free."""
    terms = {"hint": 0, "adv": 0, "proxy": 1, "contrastive": 1}
    settings = {"scene": True, "views": True, "contours": 0, "queue": 512, "sharpness": 2}
    return recipe("kit", **terms, **settings, temperature=None)


RECIPES = {
    "kit": kit,
    "kit-without-hints": kit_without_hints,
    # without class scores that an adversary could attack
    "paper-pairs": lambda: recipe("paper-proxies", proxy=0, pairs=1, adv=0, queue=128),
    "paper-pairs+bn": lambda: recipe("paper-pairs", bn=1),
    "paper-proxies": paper_proxies,
    "paper-proxies+bn": lambda: recipe("paper-proxies", bn=1),
}


def recipe(name: str = "kit", **changes) -> Recipe:
    """Return a fresh copy of the recipe `name` with `changes` to its settings or its weights.

    `recipe("kit", batch=64, adv=0)` changes one of each. Raises UserError for unknown names.
    """
    if name not in RECIPES:
        raise UserError(f"no recipe {name!r}: choose one of {', '.join(RECIPES)}")
    base = RECIPES[name]()
    terms = base.weights.snapshot()
    settings = {f.name for f in fields(Recipe)} - {"weights"}
    if unknown := set(changes) - set(terms) - settings:
        known = ", ".join(sorted(settings | set(terms)))
        raise UserError(f"a recipe has no {sorted(unknown)[0]!r}; it has {known}")
    weights = Weights(**{k: changes.get(k, v) for k, v in terms.items()})
    return replace(base, weights=weights, **{k: changes[k] for k in settings & set(changes)})

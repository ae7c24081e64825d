"""The two scores that hold one factor fixed and ask which it was."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.evaluation.disentanglement.rows import Mates, at_least, own_generator, rows_of, split


@dataclass(frozen=True, eq=False)
class BetaVAEScore:
    """`float(score)` is the accuracy.

    Attributes:
        accuracy: held-out, of telling which factor was fixed.
        per_factor: (K,), the accuracy where this factor was fixed.
        chance: 1 / K, the accuracy of guessing.
        differences: (K, D), the mean |difference| of each latent when this factor is fixed, in standard deviations of
            the latent.
    """

    accuracy: float
    per_factor: Tensor
    chance: float
    differences: Tensor

    def __float__(self) -> float:
        return self.accuracy


@dataclass(frozen=True, eq=False)
class FactorVAEScore:
    """`float(score)` is the accuracy.

    Attributes:
        accuracy: held-out, of telling which factor was fixed from the latent that varied least.
        per_factor: (K,), the accuracy where this factor was fixed.
        chance: 1 / K, the accuracy of guessing.
        votes: (D, K), in how many of the groups that the classifier learned from this latent varied least while this
            factor was fixed.
        used: (D,) bool, the latents that had not collapsed and could be voted for.
    """

    accuracy: float
    per_factor: Tensor
    chance: float
    votes: Tensor
    used: Tensor

    def __float__(self) -> float:
        return self.accuracy


def beta_vae_score(
    codes: Tensor,
    factors: Tensor,
    *,
    generator: torch.Generator | None = None,
    pairs: int = 64,
    points: int = 10000,
    test_share: float = 0.5,
) -> BetaVAEScore:
    """Can a linear classifier tell which factor two images share, from how much each latent differs?

    For each point, a factor is chosen; in each of `pairs` pairs of different rows, both have the same value of it. The
    mean of |z₁ − z₂| over the pairs is the point, the factor its label. Source: Higgins et al. 2017, section 3 and
    appendix A.4. Theirs drew fresh images for each pair; ours come from the rows given, and each latent is divided by
    its standard deviation, lest the classifier's penalty see its unit.

    Range: 0 to 1, chance 1 / K (each factor is fixed equally often). Known weaknesses: it is the most lenient score. A
    latent may hold many factors: K different patterns of differences suffice for K factors. So two factors rotated by
    40° still score 1, and so does a code that never learned one of the factors (Kim & Mnih 2018, section 4). It
    saturates near 1 for most models. Factors that go together in the data stand still together and are confused.

    Samples: spread and bias are below 0.01 from 2,000 rows on; at 500, codes that know nothing score 0.25 for 0.20.

    Args:
        codes: (N, D) floats.
        factors: (N, K) integers, K ≥ 2.
        generator: of the pairs; without one, a fresh one of seed 0.
        pairs: averaged for each point.
        points: in all, for learning and testing; rounded down to as many for each factor.
        test_share: of the points.
    Raises:
        ValueError: tables that do not fit, NaN, a constant factor, one latent or factor, fewer than two rows a class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, own = rows_of(codes, factors, fewest_factors=2), own_generator(generator)
    at_least(pairs, 1, "pairs")
    scaled, each = rows.standardised(), _for_each_factor(points, len(rows.sizes))
    differences = []
    for classes in rows.classes.T:
        first, second = Mates(classes, own).pairs(each, pairs)
        differences.append((scaled[first] - scaled[second]).abs().mean(1))
    learning, testing = split(each, test_share, own)
    learn = torch.cat([some[learning] for some in differences])
    test = torch.cat([some[testing] for some in differences])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    classifier.fit(learn.numpy(), _labels(len(learning), len(differences)).numpy())
    return BetaVAEScore(
        *_accuracies(torch.from_numpy(classifier.predict(test.numpy())), len(differences)),
        chance=1 / len(differences),
        differences=torch.stack([some.mean(0) for some in differences]),
    )


def factor_vae_score(
    codes: Tensor,
    factors: Tensor,
    *,
    generator: torch.Generator | None = None,
    group: int = 64,
    votes: int = 10000,
    test_share: float = 0.5,
    collapsed: float = 1e-4,
) -> FactorVAEScore:
    """When a factor is held fixed, does always the same latent stand still?

    For each vote, a factor is chosen and a group of rows drawn that share its value. The latent whose variance in the
    group is the smallest share of its variance in all rows votes for the factor. Each latent is given the factor it
    voted for most; other votes test that. Source: Kim & Mnih 2018, section 4, with rows drawn from those given.

    A latent that the model has collapsed onto its prior has nearly no variance, and that little is chance: divided by
    itself it would take part as if it were a code. Left out are latents whose variance is below `collapsed` times that
    of the widest; if none varies, the accuracy is chance.

    Range: 0 to 1, chance 1 / K (each factor is fixed equally often). Known weaknesses: only the quietest latent counts,
    so it is blind to factors spread over several latents (duplicates still score 1) and to a second factor that leaks
    into a latent, until that takes over: without noise, two factors rotated by 40° still score 1, and by 45° it is a
    coin toss. A factor with little effect on its latent loses to a latent that happens to be quiet. Correlated factors
    are confused.

    Samples: codes that are clear, or know nothing, have stable values (spread and bias below 0.01) from 5,000 rows on.
    An entangled code rose from 0.68 at 500 rows through 0.83 at 5,000 to 0.85 at 20,000: classes of fewer rows than a
    group give noisier variances. Compare at equal numbers of rows only.

    Args:
        codes: (N, D) floats.
        factors: (N, K) integers, K ≥ 2.
        generator: of the groups; without one, a fresh one of seed 0.
        group: rows for each vote.
        votes: in all, for learning and testing; rounded down to as many for each factor.
        test_share: of the votes.
        collapsed: a share of the largest variance.
    Raises:
        ValueError: tables that do not fit, NaN, a constant factor, one latent or factor, fewer than two rows a class.
    """
    rows, own = rows_of(codes, factors, fewest_factors=2), own_generator(generator)
    at_least(group, 2, "group")
    number, each = len(rows.sizes), _for_each_factor(votes, len(rows.sizes))
    learning, testing = split(each, test_share, own)
    scaled, variances = rows.standardised(), rows.codes.var(0)
    used = (variances > 0) & (variances >= collapsed * variances.max()) & (scaled != 0).any(0)
    ballots = torch.zeros(codes.shape[1], number, dtype=torch.long)
    if not used.any():
        return FactorVAEScore(1 / number, torch.full((number,), 1 / number), 1 / number, ballots, used)
    quietest = []
    for classes in rows.classes.T:
        in_groups = scaled[:, used][Mates(classes, own).groups(each, group)].var(1)
        quietest.append(used.nonzero().squeeze(1)[in_groups.argmin(1)])
    for factor, latents in enumerate(quietest):
        ballots[:, factor] = latents[learning].bincount(minlength=len(ballots))
    guesses = ballots.argmax(1)[torch.cat([latents[testing] for latents in quietest])]
    return FactorVAEScore(*_accuracies(guesses, number), chance=1 / number, votes=ballots, used=used)


def _labels(each: int, number: int) -> Tensor:
    return torch.arange(number).repeat_interleave(each)


def _accuracies(guesses: Tensor, number: int) -> tuple[float, Tensor]:
    """The accuracy, and that of each factor, for guesses that are sorted by factor, as many for each."""
    right = (guesses == _labels(len(guesses) // number, number)).double().view(number, -1).mean(1)
    return right.mean().item(), right


def _for_each_factor(total: int, number: int) -> int:
    """With as many for each factor, guessing is right in exactly 1 / K."""
    at_least(total, 2 * number, "points or votes")
    return total // number

"""The two scores that predict each factor: from all latents (DCI), and from each latent alone (SAP)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelib.evaluation.disentanglement.rows import at_least, own_generator, rows_of, seed_from, split

NOISE, PREDICTED = 2, 4
"""In standard errors: a smaller loss counts as none, and a factor with no loss as large as the second as not predicted.

Without the first, many latents that matter by chance weigh heavily in an entropy. Without the second, codes that know
nothing are perfectly disentangled whenever one of the D · K losses gets past the first.
"""


@dataclass(frozen=True, eq=False)
class DCI:
    """`float(score)` is the disentanglement.

    Attributes:
        disentanglement: 1 where each latent matters for one factor only; the mean of `per_latent`, weighted by how
            much each latent matters.
        completeness: 1 where each factor takes one latent only; the mean of `per_factor` over the factors that the
            codes predict at all.
        informativeness: the mean of `accuracies`.
        importance: (D, K), how much each latent matters for each factor; a column sums to 1, or to 0 where no latent
            was found to matter.
        per_latent: (D,), the disentanglement of each latent; 0 for one that matters for nothing.
        per_factor: (K,), the completeness of each factor; 0 for one that nothing predicts.
        accuracies: (K,), held-out, of predicting each factor from all latents.
        chance: (K,), the share of each factor's largest class: what the accuracy is without any knowledge.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Tensor
    per_latent: Tensor
    per_factor: Tensor
    accuracies: Tensor
    chance: Tensor

    def __float__(self) -> float:
        return self.disentanglement


@dataclass(frozen=True, eq=False)
class SAPScore:
    """`float(score)` is the mean gap.

    Attributes:
        gap: the mean of `gaps`.
        gaps: (K,), for each factor, the best accuracy less the second best.
        accuracies: (D, K), held-out and balanced, of predicting each factor from each latent alone.
        chance: (K,), 1 / the number of classes: the balanced accuracy without any knowledge.
    """

    gap: float
    gaps: Tensor
    accuracies: Tensor
    chance: Tensor

    def __float__(self) -> float:
        return self.gap


def dci(
    codes: Tensor,
    factors: Tensor,
    *,
    generator: torch.Generator | None = None,
    trees: int = 30,
    test_share: float = 0.3,
) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018, section 2).

    A classifier predicts each factor from all latents. The importance of a latent is how much of the probability that
    held-out rows give to their true class is lost when its values are shuffled among them (Breiman 2001). A loss within
    two standard errors of zero counts as none, and a factor on which no latent has a loss of four as not predicted.
    Each column is divided by its sum. Then, with entropies H to the base that makes a uniform one 1:

        disentanglement of latent d = 1 − H(row d of the importance, normalised)
        completeness of factor k = 1 − H(column k of the importance)

    Two things differ from the usual code, on purpose. The classifier is a forest of extremely randomised trees (Geurts
    et al. 2006) that weigh all latents at each cut; boosting grows a tree for each class and step. Importance is not
    how much a latent was used in growing the trees. That is measured on the rows they learned from, so deep cuts at
    noise add up: on perfectly separate latents, a noise of 0.3 standard deviations took disentanglement down to 0.4.
    It also always sums to 1, even for a factor that nothing predicts.

    Range: 0 to 1 each; codes that know nothing score 0 in the first two and chance in the third. Known weaknesses:
    numbers of different classifiers, papers' among them, do not compare. The entropy is steep: a leak of 1 % costs more
    than 1 %. With more rows the trees find weaker dependences, which lowers the first two numbers of entangled codes.
    Importance by shuffling makes up rows that no data contain where latents depend on each other, and of two latents
    that say the same, each looks half as important as it is, or less. Cuts follow the axes, so informativeness too
    falls a little under rotation. Correlated factors lower the disentanglement of a perfect code.

    Samples: codes that are disentangled or know nothing have stable values (spread and bias below 0.01) from 2,000 rows
    on. Entangled ones do not: from 500 to 20,000 rows, one code fell from 0.53 to 0.16 in disentanglement and from 0.62
    to 0.41 in completeness, and rose from 0.30 to 0.38 in informativeness. Compare at equal numbers of rows only.

    Args:
        codes: (N, D) floats.
        factors: (N, K) integers, K ≥ 2.
        generator: of the split, trees and shuffles; without one, a fresh one of seed 0.
        trees: in each forest.
        test_share: of the rows.
    Raises:
        ValueError: tables that do not fit, NaN, a constant factor, one latent or factor, fewer than two rows a class.
    """
    rows, own = rows_of(codes, factors, fewest_factors=2), own_generator(generator)
    at_least(trees, 1, "trees")
    learning, testing = split(len(codes), test_share, own)
    columns, accuracies = [], []
    for classes in rows.classes.T:
        accuracy, lost = _importance(rows.standardised(), classes, learning, testing, trees, own)
        columns.append(lost / lost.sum() if lost.sum() > 0 else lost)
        accuracies.append(accuracy)
    importance = torch.stack(columns, dim=1)
    per_latent, weights = _concentration(importance), importance.sum(1)
    per_factor, predicted = _concentration(importance.T), importance.sum(0)
    return DCI(
        disentanglement=_weighted_mean(per_latent, weights),
        completeness=_weighted_mean(per_factor, predicted),
        informativeness=sum(accuracies) / len(accuracies),
        importance=importance,
        per_latent=per_latent,
        per_factor=per_factor,
        accuracies=torch.tensor(accuracies, dtype=torch.float64),
        chance=rows.largest_shares,
    )


def sap_score(
    codes: Tensor,
    factors: Tensor,
    *,
    generator: torch.Generator | None = None,
    test_share: float = 0.3,
) -> SAPScore:
    """Separated attribute predictability: how much better the best single latent predicts a factor than the second.

    From each latent alone, thresholds predict each factor: a decision tree with a leaf for each class of the factor,
    all classes weighted alike. The score of a latent and a factor is the balanced accuracy (the mean over classes of
    the share told right) on held-out rows. Source: Kumar et al. 2018, section 3. Much public code uses a linear support
    vector machine in the place of thresholds; of one latent, that finds little but the first and last of many classes.

    Range: 0 to 1 − 1/C for a factor of C classes, since a latent that knows nothing is still right in 1/C. A perfect
    code of the factors of `sprites` (3, 6, 40, 32, 32 classes) has 0.88; knowing nothing is 0, up to the noise of the
    test rows. Known weaknesses: like the mutual information gap, it is 0 where two latents know a factor equally well,
    and is blind to a latent that knows two factors. It compares badly between factors of few and of many classes. A
    latent that goes up and down with a factor needs more thresholds than it gets. Being the difference of the largest
    two of many noisy numbers, it is uncertain where all are near chance.

    Samples: spread and bias are below 0.01 from 10,000 rows on; at 1,000 rows it is up to 0.03 too low.

    Args:
        codes: (N, D) floats.
        factors: (N, K) integers.
        generator: of the split; without one, a fresh one of seed 0.
        test_share: of the rows.
    Raises:
        ValueError: tables that do not fit, NaN, a constant factor, one latent, fewer than two rows a class.
    """
    from sklearn.tree import DecisionTreeClassifier

    rows, own = rows_of(codes, factors), own_generator(generator)
    learning, testing = split(len(codes), test_share, own)
    scaled, seed = rows.standardised().float(), seed_from(own)
    columns = []
    for classes, size in zip(rows.classes.T, rows.sizes, strict=True):
        column = []
        for latent in scaled.T:
            tree = DecisionTreeClassifier(max_leaf_nodes=size, class_weight="balanced", random_state=seed)
            tree.fit(latent[learning, None].numpy(), classes[learning].numpy())
            guesses = torch.from_numpy(tree.predict(latent[testing, None].numpy()))
            column.append(_balanced_accuracy(guesses, classes[testing]))
        columns.append(column)
    accuracies = torch.tensor(columns, dtype=torch.float64).T
    best = accuracies.topk(2, dim=0).values
    gaps = best[0] - best[1]
    return SAPScore(gaps.mean().item(), gaps, accuracies, 1 / torch.tensor(rows.sizes, dtype=torch.float64))


def _importance(
    codes: Tensor, classes: Tensor, learning: Tensor, testing: Tensor, trees: int, generator: torch.Generator
) -> tuple[float, Tensor]:
    """The held-out accuracy for one factor, and how much probability of the truth each shuffled latent costs, (D,)."""
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(
        trees, max_features=None, min_samples_leaf=min(5, len(learning) // 20 + 1), random_state=seed_from(generator)
    ).fit(codes[learning].numpy(), classes[learning].numpy())
    test = codes[testing]

    # A class that is not among the rows to learn from has no column of probabilities.
    place = torch.full((int(classes.max()) + 1,), -1)
    place[torch.from_numpy(forest.classes_)] = torch.arange(len(forest.classes_))
    truth = place[classes[testing]]

    def probabilities(rows: Tensor) -> Tensor:
        return torch.from_numpy(forest.predict_proba(rows.numpy()))

    def of_truth(table: Tensor) -> Tensor:
        return torch.where(truth >= 0, table.gather(1, truth.clamp(min=0)[:, None]).squeeze(1), 0.0)

    before, lost, errors = probabilities(test), [], []
    for latent in range(codes.shape[1]):
        shuffled = test.clone()
        shuffled[:, latent] = test[torch.randperm(len(test), generator=generator), latent]
        loss = of_truth(before) - of_truth(probabilities(shuffled))
        lost.append(loss.mean())
        errors.append(loss.std(correction=0) / math.sqrt(len(loss)))
    losses, error = torch.stack(lost), torch.stack(errors)
    counts = (losses > NOISE * error) & (losses > PREDICTED * error).any()
    return (before.argmax(1) == truth).double().mean().item(), losses.where(counts, torch.zeros_like(losses))


def _concentration(importance: Tensor) -> Tensor:
    """1 − the entropy of each row to the base of its length: 1 for one entry, 0 for equal ones or none."""
    shares = importance / importance.sum(1, keepdim=True).clamp(min=torch.finfo(importance.dtype).tiny)
    entropy = -torch.special.xlogy(shares, shares).sum(1) / math.log(importance.shape[1])
    return torch.where(importance.sum(1) > 0, (1 - entropy).clamp(min=0.0), 0.0)


def _weighted_mean(values: Tensor, weights: Tensor) -> float:
    return ((values * weights).sum() / weights.sum()).item() if weights.sum() > 0 else 0.0


def _balanced_accuracy(guesses: Tensor, truth: Tensor) -> float:
    """The mean over the classes that occur of the share of each that is told right."""
    total = truth.bincount()
    right = truth[guesses == truth].bincount(minlength=len(total))
    return (right[total > 0] / total[total > 0]).mean().item()

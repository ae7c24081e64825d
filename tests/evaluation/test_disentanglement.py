"""Disentanglement scores on codes whose score can be derived, and their parts against closed forms and scikit-learn.

Factors come as whole grids, every combination equally often, wherever exact values are checked: then factors are
independent in the sample too, and mutual information has no bias from chance.
"""

import math
import warnings

import pytest
import torch
from sklearn.metrics import mutual_info_score

from vaelib.evaluation import beta_vae_score, dci, factor_vae_score, mutual_information_gap, sap_score

SCORES = [beta_vae_score, factor_vae_score, mutual_information_gap, dci, sap_score]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(*sizes: int, times: int = 1) -> torch.Tensor:
    """Every combination of classes, (N, K), `times` over."""
    return torch.cartesian_prod(*[torch.arange(size) for size in sizes]).repeat(times, 1)


def rotated(codes: torch.Tensor, degrees: float) -> torch.Tensor:
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    return (codes.double() - codes.double().mean(0)) @ turn.T


def entangled(rows: int = 3000) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy codes that are neither perfect nor useless."""
    random = seeded(11)
    factors = torch.stack([torch.randint(size, (rows,), generator=random) for size in (4, 5, 6)], dim=1)
    scaled = factors.double() / torch.tensor([4.0, 5.0, 6.0])
    mixing = torch.tensor([[1.0, 0.6, 0.0, 0.0], [0.8, 0.7, 0.0, 0.5], [0.0, 0.0, 1.0, 0.9]]).double()
    return scaled @ mixing + 0.1 * torch.randn(rows, 4, generator=random, dtype=torch.float64), factors


# Perfect codes: one latent for each factor, nothing else.


def test_perfect_codes_have_the_largest_value_of_every_score():
    factors = grid(4, 5, 6, times=25)
    codes = factors.float()
    assert float(beta_vae_score(codes, factors)) == 1
    assert float(factor_vae_score(codes, factors)) == 1
    # I(z; v) = H(v) for its own latent, and 0 for every other: the grid makes them exactly independent.
    assert float(mutual_information_gap(codes, factors)) == pytest.approx(1, abs=1e-12)
    result = dci(codes, factors)
    assert (result.disentanglement, result.completeness, result.informativeness) == (1, 1, 1)
    assert torch.equal(result.importance, torch.eye(3, dtype=torch.float64))
    # The best latent is always right, the second best right in 1/C, give or take the noise of 900 test rows.
    assert float(sap_score(codes, factors)) == pytest.approx((3 / 4 + 4 / 5 + 5 / 6) / 3, abs=0.03)


def test_noise_on_separate_latents_costs_information_but_no_disentanglement():
    """Each latent still depends on one factor only, which is all that DCI's first two numbers ask."""
    factors = grid(4, 5, 6, times=25)
    codes = factors + 0.6 * torch.randn(factors.shape, generator=seeded(0))
    result = dci(codes, factors)
    assert (result.disentanglement, result.completeness) == (1, 1)
    assert 0.4 < result.informativeness < 0.8
    assert float(factor_vae_score(codes, factors)) == pytest.approx(1, abs=0.01)
    assert 0.2 < float(mutual_information_gap(codes, factors)) < 0.7


def test_twenty_bins_cap_the_gap_of_the_perfect_code_of_the_sprites():
    """All 737,280 combinations, coded by themselves.

    40 classes fall into 20 bins two by two: I = log 20 of H = log 40. Of 32 classes, 12 bins get two and 8 get one:
    I = log 32 − 24/32 · log 2. The 3 and 6 classes stay apart.
    """
    factors = grid(3, 6, 40, 32, 32)
    found = mutual_information_gap(factors.float(), factors)
    of_32 = (math.log(32) - 24 / 32 * math.log(2)) / math.log(32)
    expected = torch.tensor([1, 1, math.log(20) / math.log(40), of_32, of_32]).double()
    torch.testing.assert_close(found.gaps, expected, rtol=0, atol=1e-6)
    assert found.gap == pytest.approx(0.902, abs=0.001)
    torch.testing.assert_close(found.entropies, torch.tensor([3.0, 6, 40, 32, 32]).double().log())


def test_bins_as_many_as_classes_give_the_perfect_code_its_1():
    factors = grid(3, 40, times=2)
    assert float(mutual_information_gap(factors.float(), factors, bins=40)) == pytest.approx(1, abs=1e-12)


# Rotated codes: (a − b, a + b) / √2 of two alike factors.


def test_a_rotation_by_45_degrees_brings_every_score_to_its_chance_level():
    """Both latents then stand in the same relation to both factors, up to a sign.

    Fixing either factor leaves the same variation in both latents, so which was fixed is a coin toss (beta-VAE score,
    FactorVAE score). Each knows a factor as well as the other (gaps 0) and matters as much for it (entropies 1).
    """
    factors = grid(10, 10, times=30)
    codes = rotated(factors, 45)
    # 5,000 tosses: a standard error of 0.007.
    assert float(beta_vae_score(codes, factors)) == pytest.approx(0.5, abs=0.04)
    assert float(factor_vae_score(codes, factors)) == pytest.approx(0.5, abs=0.03)
    assert float(mutual_information_gap(codes, factors)) == pytest.approx(0, abs=1e-9)
    assert float(sap_score(codes, factors)) < 0.03
    result = dci(codes, factors)
    assert result.disentanglement < 0.01
    assert result.completeness < 0.01
    # The pair of latents has lost nothing.
    assert result.informativeness > 0.95


@pytest.mark.parametrize("degrees", [20, 40])
def test_the_scores_that_fix_a_factor_are_blind_to_smaller_rotations(degrees):
    """Their documented weakness.

    With a fixed, b moves the latents by sin : cos of the angle; with b fixed, a moves them by cos : sin. Two different
    patterns are enough for a classifier, and the quieter latent is always the same one.
    """
    factors = grid(10, 10, times=30)
    codes = rotated(factors, degrees)
    assert float(beta_vae_score(codes, factors)) == 1
    assert float(factor_vae_score(codes, factors)) == 1
    assert float(dci(codes, factors)) < 0.8
    # 1 without the rotation.
    assert float(mutual_information_gap(codes, factors)) < 0.5


def test_a_factor_that_was_never_learned_escapes_the_beta_vae_score_but_not_the_others():
    """Three factors, latents for two of them.

    No latent stands still when the third is fixed, and that too is a pattern. For the FactorVAE score, either latent is
    then the quieter one as often, and each belongs to its own factor: ⅔. The gaps lose the third factor's share.
    """
    factors = grid(6, 6, 6, times=15)
    codes = factors[:, :2].float()
    assert float(beta_vae_score(codes, factors)) == 1
    found = factor_vae_score(codes, factors)
    assert found.per_factor.tolist() == [1, 1, 0]
    assert float(found) == pytest.approx(2 / 3)
    assert float(mutual_information_gap(codes, factors)) == pytest.approx(2 / 3, abs=1e-12)
    # DCI's first two numbers do not ask about it; the third does.
    result = dci(codes, factors)
    assert (result.disentanglement, result.completeness) == (1, 1)
    assert result.importance[:, 2].tolist() == [0, 0]
    assert result.informativeness == pytest.approx((1 + 1 + 1 / 6) / 3, abs=0.03)


# Duplicated, permuted, constant and useless latents.


def test_duplicates_are_invisible_to_some_scores_and_fatal_to_others():
    factors = grid(5, 6, times=100)
    codes = torch.cat([factors, factors], dim=1).float()
    # Whatever is fixed, some latent stands still, and it is always one of that factor's two.
    assert float(beta_vae_score(codes, factors)) == 1
    assert float(factor_vae_score(codes, factors)) == 1
    # The second best latent is as good as the best.
    assert float(mutual_information_gap(codes, factors)) == 0
    assert float(sap_score(codes, factors)) == 0
    # Each latent matters for one factor; each factor is shared by two of four latents: 1 − log 2 / log 4 = ½.
    result = dci(codes, factors)
    assert result.disentanglement == 1
    assert result.completeness == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("score", SCORES)
def test_codes_that_know_nothing_score_chance(score):
    factors = grid(4, 5, 6, times=25)
    # Five codes each: a rule that is right by luck would show.
    for seed in range(5):
        codes = torch.randn(3000, 4, generator=seeded(seed))
        result = score(codes, factors)
        if score in (beta_vae_score, factor_vae_score):
            assert result.chance == 1 / 3
            # The rows are what they are: in 3,000 of them some latent varies by chance a little less in some class.
            assert float(result) == pytest.approx(1 / 3, abs=0.12)
        else:
            assert 0 <= float(result) < 0.03


def test_dci_of_codes_that_know_nothing_is_informative_at_chance_only():
    factors = grid(4, 5, 6, times=25)
    result = dci(torch.randn(3000, 4, generator=seeded(0)), factors)
    torch.testing.assert_close(result.chance, torch.tensor([1 / 4, 1 / 5, 1 / 6]).double())
    # 900 test rows: standard errors of at most 0.015.
    torch.testing.assert_close(result.accuracies, result.chance, rtol=0, atol=0.05)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_constant_codes_score_chance_without_a_warning(score, value):
    factors = grid(4, 5, times=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(torch.full((400, 3), value), factors)
    assert float(result) == (0.5 if score in (beta_vae_score, factor_vae_score) else 0)


@pytest.mark.parametrize("score", SCORES)
def test_a_constant_latent_among_perfect_ones_changes_nothing(score):
    factors = grid(4, 5, 6, times=25)
    codes = torch.cat([torch.full((3000, 1), 0.1), factors], dim=1)
    assert float(score(codes, factors)) == pytest.approx(float(score(factors.float(), factors)), abs=0.05)


def test_a_collapsed_latent_gets_no_vote_however_still_it_stands():
    """A thousandth of the others' width, but following factor 0: scaled to width 1 it would take its votes."""
    factors = grid(4, 5, times=50)
    codes = torch.cat([factors, 1e-3 * factors[:, :1]], dim=1).float()
    found = factor_vae_score(codes, factors)
    assert found.used.tolist() == [True, True, False]
    assert found.votes[2].tolist() == [0, 0]
    assert found.votes.diagonal().tolist() == [2500, 2500]
    assert factor_vae_score(codes, factors, collapsed=0).used.all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("change", ["order", "sign", "scale"])
def test_no_score_depends_on_the_order_sign_or_scale_of_latents(score, change):
    codes, factors = entangled()
    changed = {
        "order": codes[:, [2, 0, 3, 1]],
        "sign": codes * torch.tensor([1, -1, -1, 1]),
        "scale": codes * torch.tensor([0.25, 1.0, 16.0, 3.0]),
    }[change]
    before, after = float(score(codes, factors)), float(score(changed, factors))
    # Beyond the luck of the trees and of a few rows on the edge of a bin.
    assert after == pytest.approx(before, abs={dci: 0.05, sap_score: 0.01}.get(score, 1e-3))
    assert 0.02 < before < 1  # The test would see nothing at 0.


def test_the_matrices_follow_the_order_of_the_latents():
    codes, factors = entangled()
    order = [2, 0, 3, 1]
    before, after = (mutual_information_gap(some, factors).information for some in (codes, codes[:, order]))
    assert torch.equal(after, before[order])
    before, after = (factor_vae_score(some, factors).votes for some in (codes, codes[:, order]))
    assert torch.equal(after, before[order])
    before, after = (sap_score(some, factors).accuracies for some in (codes, codes[:, order]))
    torch.testing.assert_close(after, before[order], rtol=0, atol=1e-9)


# Where the scores differ.


def test_a_latent_with_two_factors_is_complete_but_not_disentangled():
    """One latent numbers all 4 × 4 combinations, the other is noise: for both factors that one alone matters.

    Its row of importances is (½, ½) to the normalised columns, so D = 0; each column is (1, 0), so C = 1.
    """
    factors = grid(4, 4, times=150)
    both = (4 * factors[:, 0] + factors[:, 1]).float()
    result = dci(torch.stack([both, torch.randn(2400, generator=seeded(0))], dim=1), factors)
    assert (result.completeness, result.informativeness) == (1, 1)
    assert result.disentanglement == pytest.approx(0, abs=1e-9)
    # MIG has no objection: the second best latent knows nothing. That is its weakness.
    assert float(mutual_information_gap(torch.stack([both, both * 0], dim=1), factors)) == pytest.approx(1, abs=1e-12)


def test_what_only_two_latents_together_know_is_seen_by_dci_alone():
    """The exclusive or of the signs of two latents: neither alone says anything."""
    codes = torch.randn(3000, 3, generator=seeded(0))
    factors = torch.stack([(codes[:, 0] > 0) ^ (codes[:, 1] > 0), codes[:, 2] > 0], dim=1).long()
    assert mutual_information_gap(codes, factors).gaps[0] < 0.01
    assert sap_score(codes, factors).gaps[0] < 0.05
    result = dci(codes, factors)
    assert result.accuracies[0] > 0.9
    # Both signs matter alike: the column is (½, ½, 0).
    torch.testing.assert_close(result.importance[:, 0], torch.tensor([0.5, 0.5, 0.0]).double(), rtol=0, atol=0.05)
    assert result.per_factor[0] == pytest.approx(1 - math.log(2) / math.log(3), abs=0.02)


def test_factors_that_are_always_equal_cannot_be_told_apart():
    """Two names of one factor: the same latent stands still for both."""
    one = torch.arange(5).repeat(200)
    factors = torch.stack([one, one], dim=1)
    codes = torch.stack([one.float(), torch.randn(1000, generator=seeded(0))], dim=1)
    assert float(factor_vae_score(codes, factors)) == 0.5
    assert float(beta_vae_score(codes, factors)) == pytest.approx(0.5, abs=0.05)
    assert dci(codes, factors).disentanglement == pytest.approx(0, abs=1e-9)


def test_the_votes_go_to_the_least_share_of_variance_within_a_class():
    """In large groups, variances are those of the class: here computed class by class, without a draw."""
    codes, factors = entangled(6000)
    votes = factor_vae_score(codes, factors, group=1000, votes=1200).votes
    expected = torch.zeros(4, 3)
    for factor, column in enumerate(factors.T):
        for value in column.unique():
            share = codes[column == value].var(0) / codes.var(0)
            expected[share.argmin(), factor] += (column == value).double().mean()
    # 200 votes of a factor: a class has its share of them give or take 0.035.
    assert votes.sum(0).tolist() == [200, 200, 200]
    torch.testing.assert_close(votes / 200, expected, rtol=0, atol=0.12)


# The parts against closed forms and other code.


def test_information_agrees_with_scikit_learn_on_the_same_bins():
    codes, factors = entangled()
    found = mutual_information_gap(codes, factors, bins=7)
    for latent in range(4):
        edges = torch.linspace(codes[:, latent].min(), codes[:, latent].max(), 8, dtype=torch.float64)
        binned = torch.bucketize(codes[:, latent].contiguous(), edges[1:-1], right=True)
        for factor in range(3):
            expected = mutual_info_score(binned.numpy(), factors[:, factor].numpy())
            assert found.information[latent, factor].item() == pytest.approx(expected, abs=1e-9)


def test_information_of_a_table_of_counts_is_the_sum_over_its_cells():
    """8 rows: (z, v) = (0, 0) three times, (0, 1) once, (1, 0) once, (1, 1) three times."""
    z = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    v = torch.tensor([0, 0, 0, 1, 0, 1, 1, 1])
    found = mutual_information_gap(torch.stack([z, z * 0], dim=1).float(), v[:, None])
    # All four margins are ½.
    expected = 2 * (3 / 8 * math.log(3 / 8 / 0.25)) + 2 * (1 / 8 * math.log(1 / 8 / 0.25))
    assert found.information[:, 0].tolist() == pytest.approx([expected, 0], abs=1e-12)
    assert found.gap == pytest.approx(expected / math.log(2), abs=1e-12)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_information_of_two_gaussians_is_the_closed_form(correlation):
    """I = −½ log(1 − ρ²), to 0.02 nats: 50 × 50 bins lose some, and 300,000 rows are biased by < 2,401 / 600,000."""
    random = seeded(0)
    x, noise = torch.randn(2, 300_000, generator=random, dtype=torch.float64)
    y = correlation * x + math.sqrt(1 - correlation**2) * noise
    classes = ((y + 5) / 10 * 50).long().clamp(0, 49)
    found = mutual_information_gap(torch.stack([x, x * 0], dim=1), classes[:, None], bins=50)
    assert found.information[0, 0].item() == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=0.02)


def test_the_bias_of_independent_latents_is_millers_and_the_correction_takes_it_off():
    """20 uniform bins, 10 classes, nothing known: the table of N counts has a bias of 19 · 9 / 2N nats."""
    rows, plain, corrected = 2000, [], []
    for seed in range(30):
        random = seeded(seed)
        codes = torch.rand(rows, 2, generator=random)
        factors = torch.randint(10, (rows, 1), generator=random)
        plain.append(mutual_information_gap(codes, factors).information.mean())
        corrected.append(mutual_information_gap(codes, factors, bias_correction=True).information.mean())
    bias = 19 * 9 / (2 * rows)
    # 60 χ² of 171 degrees of freedom: the mean has a standard error of 1.4 %.
    assert torch.stack(plain).mean().item() == pytest.approx(bias, rel=0.06)
    # What is left is half of the spread, since negative values are cut at 0.
    assert torch.stack(corrected).mean().item() < 0.1 * bias


def test_sap_is_the_accuracy_of_the_best_threshold():
    """z = u + v / 2 with u uniform in [0, 1]: no threshold is right in more than ¾ of both classes; chance is ½."""
    random = seeded(0)
    v = torch.randint(2, (20_000,), generator=random)
    z = torch.rand(20_000, generator=random) + v / 2
    found = sap_score(torch.stack([z, torch.rand(20_000, generator=random)], dim=1), v[:, None])
    # 6,000 test rows: a standard error of 0.006 each.
    assert found.accuracies[:, 0].tolist() == pytest.approx([0.75, 0.5], abs=0.025)
    assert found.gap == pytest.approx(0.25, abs=0.035)


def test_sap_is_balanced_where_classes_are_not():
    """Always answering the class of 95 % would be right in 95 %, but in ½ when both classes weigh the same."""
    v = (torch.arange(4000) % 20 == 0).long()
    codes = torch.randn(4000, 2, generator=seeded(0))
    accuracies = sap_score(codes, v[:, None]).accuracies
    assert accuracies.flatten().tolist() == pytest.approx([0.5, 0.5], abs=0.12)


def test_pairs_of_equal_factors_differ_as_two_draws_do():
    """Uniform classes 0 … 9, independent: where z is not fixed, E|z₁ − z₂| = 3.3; where it is, 0; σ = √8.25."""
    factors = grid(10, 10, times=10)
    found = beta_vae_score(factors.float(), factors).differences
    # Two different rows: a share of 1/99 or 1/999 fewer equal ones than of independent draws.
    expected = 3.3 / math.sqrt(8.25) * (1 - torch.eye(2).double())
    torch.testing.assert_close(found, expected, rtol=0.02, atol=1e-12)


# Randomness.


@pytest.mark.parametrize("score", SCORES)
def test_a_seed_gives_one_number_and_the_global_generators_stay_as_they_were(score):
    import numpy

    codes, factors = entangled(600)
    before, before_numpy = torch.get_rng_state(), numpy.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (float(score(codes, factors, generator=seeded(3))) for _ in range(2))
    assert first == second
    assert float(score(codes, factors)) == float(score(codes, factors))
    assert torch.equal(torch.get_rng_state(), before)
    assert (numpy.random.get_state()[1] == before_numpy).all()  # noqa: NPY002


@pytest.mark.parametrize("score", [beta_vae_score, factor_vae_score, dci, sap_score])
def test_another_seed_gives_another_number_near_it(score):
    codes, factors = entangled(1000)
    values = {float(score(codes, factors, generator=seeded(seed))) for seed in range(3)}
    assert len(values) > 1
    assert max(values) - min(values) < 0.25


@pytest.mark.parametrize("score", SCORES)
def test_how_classes_are_numbered_does_not_matter(score):
    codes, factors = entangled(600)
    renumbered = factors * 7 - 100
    assert float(score(codes, renumbered)) == float(score(codes, factors))
    assert float(score(codes.clone().requires_grad_(), factors.to(torch.uint8))) == float(score(codes, factors))


# Bad input.

GOOD_CODES, GOOD_FACTORS = torch.rand(40, 3, generator=seeded(0)), grid(2, 5, times=4)


def with_nan() -> torch.Tensor:
    codes = GOOD_CODES.clone()
    codes[7, 1], codes[9, 0] = float("nan"), float("inf")
    return codes


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (GOOD_CODES[0], GOOD_FACTORS, r"codes should be \(N, D\) floats.*not \(3,\) torch.float32.*means"),
        (GOOD_CODES.long(), GOOD_FACTORS, r"codes should be \(N, D\) floats.*int64"),
        (GOOD_CODES.numpy(), GOOD_FACTORS, "codes should be a torch.Tensor, not ndarray: use torch.as_tensor"),
        (GOOD_CODES, GOOD_FACTORS[:, 0], r"factors should be \(N, K\) integers.*factors\[:, None\]"),
        (GOOD_CODES, GOOD_FACTORS.float(), r"factors should be \(N, K\) integers.*not \(40, 2\) torch.float32"),
        (GOOD_CODES[:39], GOOD_FACTORS, "39 codes but 40 rows of factors"),
        (GOOD_CODES[:0], GOOD_FACTORS[:0], "no rows"),
        (GOOD_CODES[:, :1], GOOD_FACTORS, "codes have 1 latent: .* two or more"),
        (
            GOOD_CODES,
            GOOD_FACTORS * torch.tensor([1, 0]),
            r"factor 1 \(column 1.* is constant, 0 in every row",
        ),
        (GOOD_CODES[:1], GOOD_FACTORS[:1], "factor 0 .* is constant"),
        (with_nan(), GOOD_FACTORS, "2 rows of codes hold NaN or infinity, first row 7"),
        (
            GOOD_CODES,
            torch.stack([GOOD_FACTORS[:, 0], torch.arange(40)], dim=1),
            r"factor 1 has 40 classes, but there are only 40 rows: too few samples, at least two a class \(80\)",
        ),
    ],
)
def test_bad_input_is_refused_in_words(score, codes, factors, message):
    with pytest.raises(ValueError, match=message):
        score(codes, factors)


@pytest.mark.parametrize("score", [beta_vae_score, factor_vae_score, dci])
def test_telling_factors_apart_takes_two_of_them(score):
    with pytest.raises(ValueError, match="factors have 1 column: this score asks which factor it is"):
        score(GOOD_CODES, GOOD_FACTORS[:, :1])


@pytest.mark.parametrize("score", [mutual_information_gap, sap_score])
def test_a_gap_can_be_had_of_one_factor(score):
    codes = torch.cat([GOOD_FACTORS, GOOD_FACTORS * 0], dim=1).float()
    assert float(score(codes, GOOD_FACTORS[:, 1:])) == pytest.approx(
        {mutual_information_gap: 1, sap_score: 0.8}[score], abs=0.3
    )


@pytest.mark.parametrize(
    ("score", "keywords", "message"),
    [
        (beta_vae_score, {"pairs": 0}, "pairs should be at least 1, not 0"),
        (beta_vae_score, {"points": 3}, "at least 4, not 3"),
        (beta_vae_score, {"test_share": 1.0}, "between 0 and 1"),
        (factor_vae_score, {"group": 1}, "group should be at least 2, not 1"),
        (mutual_information_gap, {"bins": 1}, "bins should be at least 2"),
        (dci, {"test_share": 0.0}, "leaves nothing to test on"),
        (dci, {"trees": 0}, "trees should be at least 1, not 0"),
        (sap_score, {"test_share": 2.0}, "between 0 and 1"),
    ],
)
def test_bad_keywords_are_refused_in_words(score, keywords, message):
    with pytest.raises(ValueError, match=message):
        score(GOOD_CODES, GOOD_FACTORS, **keywords)


@pytest.mark.parametrize("score", SCORES)
def test_classes_of_a_single_row_do_no_harm(score):
    """Class 5 of factor 1 occurs once: no pair can share it, and it may be missing from the test rows."""
    factors = GOOD_FACTORS.clone()
    factors[3, 1] = 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 <= float(score(GOOD_CODES, factors)) <= 1

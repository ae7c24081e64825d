"""The adversary: its shapes, its size, its losses, and the density ratio that it learns."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats
from torch import distributions as oracle

from vaelib.probability import Adversary, adversary_accuracy, adversary_loss, jensen_shannon_bound


@pytest.mark.parametrize("log_prior", [True, False])
def test_every_code_gets_the_logit_that_it_gets_alone(generator, log_prior):
    """An (n,) log p(z) added to (n, 1) answers of the layers would give n × n, and a loss that still is a number."""
    torch.manual_seed(0)
    adversary = Adversary(5, (8, 8), log_prior=log_prior, prior_variance=2.0)
    codes = torch.randn(7, 5, generator=generator)
    logits = adversary(codes)
    assert logits.shape == (7,)
    prior = oracle.Normal(0.0, math.sqrt(2.0))
    for code, logit in zip(codes, logits, strict=True):
        alone = adversary.layers(code[None])[0, 0] + (prior.log_prob(code).sum() if log_prior else 0)
        torch.testing.assert_close(logit, alone)


def test_the_published_adversary_has_the_parameters_counted_by_hand():
    # Four hidden layers of 1024 on 64 latents, and one logit; each layer has a bias.
    by_hand = (64 * 1024 + 1024) + 3 * (1024 * 1024 + 1024) + (1024 + 1)
    assert by_hand == 3_216_385
    assert sum(parameter.numel() for parameter in Adversary(64).parameters()) == by_hand


def test_with_log_p_the_first_logits_are_near_zero(generator):
    """Not near log p(z), which is −113 in 64 dimensions with σ² = 2."""
    torch.manual_seed(0)
    codes = math.sqrt(2.0) * torch.randn(500, 64, generator=generator)
    logits = Adversary(64, (32,), prior_variance=2.0)(codes)
    assert abs(logits.mean().item()) < 2
    assert abs(Adversary(64, (32,), log_prior=False)(codes).mean().item()) < 2


def test_the_losses_are_cross_entropies(generator):
    prior_logits, code_logits = 3 * torch.randn(2, 50, generator=generator)
    ones, zeros = torch.ones(50), torch.zeros(50)
    cross_entropy = F.binary_cross_entropy_with_logits
    expected = cross_entropy(prior_logits, ones) + cross_entropy(code_logits, zeros)
    torch.testing.assert_close(adversary_loss(prior_logits, code_logits), expected)
    torch.testing.assert_close(jensen_shannon_bound(prior_logits, code_logits), math.log(2) - expected / 2)


def test_an_adversary_that_cannot_tell_pays_two_ln_two_and_is_right_half_of_the_time():
    undecided = torch.zeros(6)
    assert adversary_loss(undecided, undecided).item() == pytest.approx(2 * math.log(2))
    assert jensen_shannon_bound(undecided, undecided).item() == pytest.approx(0, abs=1e-7)
    always_prior = torch.full((6,), 3.0)
    assert adversary_accuracy(always_prior, always_prior).item() == 0.5
    sure = torch.full((6,), 40.0)
    assert adversary_accuracy(sure, -sure).item() == 1
    assert jensen_shannon_bound(sure, -sure).item() == pytest.approx(math.log(2))
    # Both kinds weigh the same, however many there are of each.
    assert adversary_accuracy(torch.tensor([1.0]), torch.tensor([1.0, 1.0, -1.0, 1.0])).item() == 0.625


def jensen_shannon(p, q):
    """JS of two distributions on a line, by integration."""

    def half(one, other):
        return integrate.quad(
            lambda z: one.pdf(z) * (math.log(2) + one.logpdf(z) - math.log(one.pdf(z) + other.pdf(z))), -8, 8, limit=200
        )[0]

    return 0.5 * half(p, q) + 0.5 * half(q, p)


def test_with_the_true_density_ratio_the_bound_is_the_jensen_shannon_divergence(generator):
    p, q = stats.norm(0, 1), stats.norm(1.5, 0.6)
    count = 200_000
    z_p = torch.randn(count, generator=generator)
    z_q = 1.5 + 0.6 * torch.randn(count, generator=generator)

    def ratio(z):
        return oracle.Normal(0.0, 1.0).log_prob(z) - oracle.Normal(1.5, 0.6).log_prob(z)

    exact = jensen_shannon(p, q)
    assert 0.2 < exact < math.log(2)
    assert jensen_shannon_bound(ratio(z_p), ratio(z_q)).item() == pytest.approx(exact, abs=0.003)
    # Any other logit proves less.
    for worse in (lambda z: 0.5 * ratio(z), lambda z: 2 * ratio(z), lambda z: ratio(z) + 1):
        assert jensen_shannon_bound(worse(z_p), worse(z_q)).item() < exact - 0.005


@pytest.mark.parametrize("log_prior", [True, False])
def test_a_trained_adversary_answers_the_log_density_ratio(generator, log_prior):
    """p = N(0, I), q = N(m, 0.5² I) in two dimensions: the ratio is a paraboloid."""
    torch.manual_seed(0)
    adversary = Adversary(2, (32, 32), log_prior=log_prior)
    optimiser = torch.optim.Adam(adversary.parameters(), lr=5e-3)
    centre = torch.tensor([1.0, -0.5])
    p, q = oracle.Normal(torch.zeros(2), 1.0), oracle.Normal(centre, 0.5)

    def draw(count):
        noise = torch.randn(2, count, 2, generator=generator)
        return noise[0], centre + 0.5 * noise[1]

    for step in range(400):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / 400)
        z_p, z_q = draw(512)
        optimiser.zero_grad()
        adversary_loss(adversary(z_p), adversary(z_q)).backward()
        optimiser.step()

    z_p, z_q = draw(4_000)
    with torch.no_grad():
        for z in (z_q, z_p[(z_p - centre).norm(dim=1) < 1.5]):
            truth = (p.log_prob(z) - q.log_prob(z)).sum(dim=1)
            assert (adversary(z) - truth).abs().mean() < 0.2
        exact = jensen_shannon_bound(*((p.log_prob(z) - q.log_prob(z)).sum(dim=1) for z in (z_p, z_q)))
        assert jensen_shannon_bound(adversary(z_p), adversary(z_q)).item() == pytest.approx(exact.item(), abs=0.01)


def test_logits_stay_in_float32_under_autocast(generator):
    torch.manual_seed(0)
    adversary, codes = Adversary(64, (32,)), torch.randn(16, 64, generator=generator)
    full = adversary(codes)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(adversary(codes), full)

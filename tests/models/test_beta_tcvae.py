"""The three parts of the rate from one minibatch, against sums over the whole data set and over all its minibatches."""

import itertools
import math

import pytest
import torch
from torch import distributions as oracle

from vaelib.config import from_dict, to_dict
from vaelib.data.image_set import Batch, ImageSet
from vaelib.evaluation import rate_terms
from vaelib.models import (
    VAE,
    BetaTCVAE,
    BetaTCVAEConfig,
    Progress,
    VAEConfig,
    minibatch_rate_terms,
    minibatch_weights,
)
from vaelib.networks import Linear
from vaelib.probability import DiagonalGaussian
from vaelib.training import TrainConfig, train

SHAPE, LATENTS = (1, 4, 4), 3
ESTIMATORS = ("weighted", "stratified")


def posteriors(count, latents=LATENTS, seed=1):
    """Overlapping ones in float64, and one sample of each."""
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(count, latents, generator=generator, dtype=torch.float64)
    log_variance = torch.randn(count, latents, generator=generator, dtype=torch.float64) - 0.5
    posterior = DiagonalGaussian(mean, log_variance)
    return posterior, posterior.sample(generator)


def part_of(posterior, rows):
    return DiagonalGaussian(posterior.mean[rows], posterior.log_variance[rows])


def density(posterior, z, row, image):
    """q(z_row | x_image) of each latent, (D,)."""
    normal = oracle.Normal(posterior.mean[image], (posterior.log_variance[image] / 2).exp())
    return normal.log_prob(z[row]).exp()


def make(kind=BetaTCVAE, **options):
    torch.manual_seed(0)
    return kind(kind.Config(SHAPE, LATENTS, network=Linear(), **options)).eval()


@pytest.fixture
def images(generator):
    return torch.rand(7, *SHAPE, generator=generator)


def loss_of(model, images, dataset_size=50):
    torch.manual_seed(5)
    return model.loss(Batch(images), Progress.finished(dataset_size))


def gradient(model, scalar):
    found = torch.autograd.grad(scalar, list(model.parameters()), retain_graph=True, materialize_grads=True)
    return torch.cat([one.flatten() for one in found])


# The weights ----------------------------------------------------------------------------------------------------------


def test_the_weights_written_out():
    assert torch.equal(minibatch_weights(2, 10), torch.full((2, 2), 1 / 20))
    others = 9 / (10 * 2)
    expected = torch.tensor([[0.1, others, others], [others, 0.1, others], [others, others, 0.1]])
    torch.testing.assert_close(minibatch_weights(3, 10, "stratified"), expected)


@pytest.mark.parametrize(("batch", "dataset"), [(2, 2), (2, 50), (5, 50), (50, 50), (64, 1_000_000)])
def test_stratified_weights_have_the_image_itself_on_the_diagonal_and_rows_that_sum_to_one(batch, dataset):
    weights = minibatch_weights(batch, dataset, "stratified")
    torch.testing.assert_close(weights.diagonal(), torch.full((batch,), 1 / dataset))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(batch))
    torch.testing.assert_close(weights, weights.T)
    off = weights[~torch.eye(batch, dtype=torch.bool)]
    assert torch.equal(off, off[:1].expand_as(off))
    torch.testing.assert_close(minibatch_weights(batch, dataset).sum(dim=1), torch.full((batch,), 1 / dataset))


def test_when_the_batch_is_the_data_set_stratified_weights_are_even():
    torch.testing.assert_close(minibatch_weights(8, 8, "stratified"), torch.full((8, 8), 1 / 8))


# The estimates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("dataset_size", [6, 1000])
def test_the_parts_sum_to_the_log_ratio_of_posterior_and_prior(estimator, dataset_size):
    posterior, z = posteriors(6)
    parts = minibatch_rate_terms(posterior, z, dataset_size, estimator)
    normal = oracle.Normal(posterior.mean, (posterior.log_variance / 2).exp())
    expected = (normal.log_prob(z) - oracle.Normal(0.0, 1.0).log_prob(z)).sum(dim=1)
    assert [part.shape for part in parts] == [(6,)] * 3
    torch.testing.assert_close(sum(parts), expected, rtol=1e-6, atol=1e-6)


def test_the_parts_are_those_of_loops_over_the_batch():
    """Chen et al. 2018, equation 3, with a density at a time."""
    batch, dataset_size = 4, 30
    posterior, z = posteriors(batch)
    for estimator in ESTIMATORS:
        parts = minibatch_rate_terms(posterior, z, dataset_size, estimator)
        for i in range(batch):
            aggregate, marginals = 0.0, torch.zeros(LATENTS, dtype=torch.float64)
            for j in range(batch):
                weight = 1 / (dataset_size * batch)
                if estimator == "stratified":
                    weight = 1 / dataset_size if i == j else (dataset_size - 1) / (dataset_size * (batch - 1))
                aggregate += weight * density(posterior, z, i, j).prod()
                marginals += weight * density(posterior, z, i, j)
            prior = oracle.Normal(0.0, 1.0).log_prob(z[i]).sum()
            expected = (
                density(posterior, z, i, i).prod().log() - aggregate.log(),
                aggregate.log() - marginals.log().sum(),
                marginals.log().sum() - prior,
            )
            for part, value in zip(parts, expected, strict=True):
                assert part[i].item() == pytest.approx(value.item(), abs=1e-5)


def test_with_the_whole_data_set_as_batch_both_are_what_the_evaluation_sums():
    posterior, z = posteriors(9)
    exact = rate_terms(posterior, z)
    parts = minibatch_rate_terms(posterior, z, 9, "stratified")
    torch.testing.assert_close(parts.mutual_information, exact.mutual_information, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts.total_correlation, exact.total_correlation, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts.dimension_wise_kl, exact.dimension_wise_kl.sum(dim=1), rtol=1e-6, atol=1e-6)
    # The weighted estimate of q(z) is too small by 1/N, and each marginal too: constants in the logarithms.
    weighted = minibatch_rate_terms(posterior, z, 9, "weighted")
    shift = math.log(9)
    torch.testing.assert_close(weighted.mutual_information, exact.mutual_information + shift, rtol=1e-6, atol=1e-6)
    expected = exact.total_correlation + (LATENTS - 1) * shift
    torch.testing.assert_close(weighted.total_correlation, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 3, 5])
def test_the_mean_over_all_batches_of_the_stratified_estimate_is_the_aggregate_posterior(batch_size):
    count = 6
    posterior, z = posteriors(count)
    for image in range(count):
        own = density(posterior, z, image, image).prod()
        others = [density(posterior, z, image, other).prod() for other in range(count) if other != image]
        truth = (own + sum(others)) / count
        estimates = {estimator: [] for estimator in ESTIMATORS}
        for rest in itertools.combinations([other for other in range(count) if other != image], batch_size - 1):
            # Anywhere in the batch: the place of the image must not matter.
            rows = [*rest[:1], image, *rest[1:]]
            for estimator, found in estimates.items():
                parts = minibatch_rate_terms(part_of(posterior, rows), z[rows], count, estimator)
                found.append((own.log() - parts.mutual_information[1]).exp())
        torch.testing.assert_close(torch.stack(estimates["stratified"]).mean(), truth, rtol=1e-6, atol=0)
        # The weighted one: its own posterior counts 1/M where it should count 1/N, and all of it is N times too small.
        biased = (own + (batch_size - 1) * sum(others) / (count - 1)) / (count * batch_size)
        torch.testing.assert_close(torch.stack(estimates["weighted"]).mean(), biased, rtol=1e-6, atol=0)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_order_of_latents_and_of_images_does_not_matter(estimator):
    posterior, z = posteriors(6)
    parts = minibatch_rate_terms(posterior, z, 40, estimator)
    order = torch.tensor([2, 0, 1])
    turned = DiagonalGaussian(posterior.mean[:, order], posterior.log_variance[:, order])
    for one, other in zip(minibatch_rate_terms(turned, z[:, order], 40, estimator), parts, strict=True):
        torch.testing.assert_close(one, other)
    shuffled = torch.tensor([5, 3, 0, 1, 4, 2])
    for one, other in zip(
        minibatch_rate_terms(part_of(posterior, shuffled), z[shuffled], 40, estimator), parts, strict=True
    ):
        torch.testing.assert_close(one, other[shuffled])


def test_one_latent_has_no_total_correlation():
    posterior, z = posteriors(6, latents=1)
    for estimator in ESTIMATORS:
        correlation = minibatch_rate_terms(posterior, z, 40, estimator).total_correlation
        torch.testing.assert_close(correlation, torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-7)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_gaussian_codes_have_the_parts_of_their_closed_forms(correlation):
    # Means ~ N(0, ¾ C) and posteriors of variance ¼: the aggregate posterior of many is N(0, ¾ C + ¼ I).
    count, generator = 500, torch.Generator().manual_seed(4)
    noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    second = correlation * noise[:, 0] + math.sqrt(1 - correlation**2) * noise[:, 1]
    mean = math.sqrt(0.75) * torch.stack([noise[:, 0], second], dim=1)
    posterior = DiagonalGaussian(mean, torch.full_like(mean, math.log(0.25)))
    parts = minibatch_rate_terms(posterior, posterior.sample(generator), count, "stratified")
    whole = -0.5 * math.log(1 - (0.75 * correlation) ** 2)
    assert parts.total_correlation.mean().item() == pytest.approx(whole, abs=0.06)
    assert parts.dimension_wise_kl.mean().item() == pytest.approx(0, abs=0.06)
    assert parts.mutual_information.mean().item() == pytest.approx(math.log(4) - whole, abs=0.12)


def test_posteriors_far_apart_do_not_underflow():
    mean = 100 * torch.eye(6).repeat(1, 10).requires_grad_()
    posterior = DiagonalGaussian(mean, torch.full_like(mean, -20.0))
    parts = minibatch_rate_terms(posterior, mean + 1e-5, 1000)
    assert all(part.isfinite().all() for part in parts)
    sum(part.sum() for part in parts).backward()
    # No posterior reaches another's code, so q(z_i) = q(z_i | x_i) / NM.
    torch.testing.assert_close(parts.mutual_information, torch.full((6,), math.log(6000)), rtol=1e-4, atol=1e-3)


# The objective --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("beta", [0.0, 6.0])
def test_the_objective_is_the_elbo_and_beta_minus_one_times_the_total_correlation(beta, estimator, images):
    model = make(beta=beta, estimator=estimator)
    loss = loss_of(model, images)
    terms = {name: term.mean() for name, term in loss.per_image.items()}
    assert list(terms) == ["distortion", "rate", "mutual_information", "total_correlation", "dimension_wise_kl"]
    expected = terms["distortion"] + terms["rate"] + (beta - 1) * terms["total_correlation"]
    torch.testing.assert_close(loss.total, expected)
    parts = gradient(model, terms["distortion"]) + gradient(model, terms["rate"])
    parts += (beta - 1) * gradient(model, terms["total_correlation"])
    torch.testing.assert_close(gradient(model, loss.total), parts, rtol=1e-4, atol=1e-4)

    torch.manual_seed(5)
    _, z, *_ = model.bound(images)
    by_hand = minibatch_rate_terms(model.encode(images), z, 50, estimator)
    torch.testing.assert_close(loss.per_image["total_correlation"], by_hand.total_correlation)


def test_beta_one_is_the_vae(images):
    model, vae = make(beta=1.0), make(VAE)
    ours, theirs = loss_of(model, images), loss_of(vae, images)
    assert torch.equal(ours.total, theirs.total)
    torch.testing.assert_close(gradient(model, ours.total), gradient(vae, theirs.total))
    assert BetaTCVAEConfig().beta == 6.0


def test_the_size_of_the_data_set_moves_the_weighted_estimate_but_no_weight_of_the_network(images):
    model = make()
    small, large = loss_of(model, images, 10), loss_of(model, images, 10_000)
    shift = large.per_image["total_correlation"] - small.per_image["total_correlation"]
    # Numerator once, marginals once for each latent.
    torch.testing.assert_close(shift, torch.full((7,), (LATENTS - 1) * math.log(1000)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient(model, small.total), gradient(model, large.total), rtol=1e-4, atol=1e-4)
    stratified = make(estimator="stratified")
    one, other = (gradient(stratified, loss_of(stratified, images, size).total) for size in (7, 10_000))
    assert not torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_warm_up_is_of_the_rate(images):
    model = make(beta=3.0, kl_warmup=1.0)
    torch.manual_seed(5)
    loss = model.loss(Batch(images), Progress(0, 100, 50))
    expected = loss.per_image["distortion"] + 2 * loss.per_image["total_correlation"]
    torch.testing.assert_close(loss.total, expected.mean())


def test_a_set_of_one_batch_trains_and_is_validated_on_an_image_more():
    pixels = torch.randint(256, (9, *SHAPE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    data, held_out = (ImageSet(pixels[:count], "toy", "train", f"toy {count}") for count in (8, 9))
    config = TrainConfig(steps=2, batch_size=8, validate_every=1, validation_images=0, checkpoint_every=0)
    result = train(make(), data, config, validation=held_out)
    assert math.isfinite(result.history.last()["validation/total_correlation"])


# What is refused ------------------------------------------------------------------------------------------------------


def test_batches_that_say_nothing_about_the_aggregate_posterior_are_refused(images):
    message = "estimated from batches of 2 images or more, at most the data set's {}, not {}"
    with pytest.raises(ValueError, match=message.format(50, 1)):
        loss_of(make(), images[:1])
    with pytest.raises(ValueError, match=message.format(6, 7)):
        loss_of(make(), images, dataset_size=6)
    with pytest.raises(ValueError, match=message.format(1, 7)):
        make().loss(Batch(images), Progress.finished())
    with pytest.raises(ValueError, match=r"one of weighted, stratified, not 'stratifed'. Did you mean"):
        minibatch_weights(4, 10, "stratifed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -0.5}, "beta should be 0 or more, and finite, not -0.5"),
        ({"beta": math.nan}, "beta should be 0 or more, and finite, not nan"),
        (
            {"estimator": "stratifed"},
            "should be one of weighted, stratified, not 'stratifed'. Did you mean 'stratified'",
        ),
        ({"kl_warmup": -1.0}, "kl_warmup should be a fraction of the run"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BetaTCVAEConfig(**options)


def test_settings_go_to_json_and_back():
    config = BetaTCVAEConfig(beta=2, estimator="stratified")
    assert from_dict(BetaTCVAEConfig, to_dict(config)) == config
    with pytest.raises(TypeError, match="BetaTCVAE takes a BetaTCVAEConfig, not a VAEConfig"):
        BetaTCVAE(VAEConfig())

"""Each network learns 16 images by heart at every size, and a VAE learns with every likelihood."""

from math import prod

import pytest
import torch
import torch.nn.functional as F

from vaelib.data.image_set import Batch
from vaelib.models import (
    VAE,
    Autoencoder,
    AutoencoderConfig,
    Progress,
    VAEConfig,
)
from vaelib.networks import Convolutional, FullyConnected, Linear, conv64
from vaelib.probability import (
    BernoulliLikelihood,
    FixedGaussianLikelihood,
    LaplaceLikelihood,
    LearnedGaussianLikelihood,
    LogisticMixtureLikelihood,
    PerPixelGaussianLikelihood,
)


def sixteen_images(size, channels=3):
    """Four quarters, black or white in all 16 combinations: each quarter carries a quarter of the variance."""
    quarters = torch.tensor([[(number >> quarter) & 1 for quarter in range(4)] for number in range(16)]).float()
    pictures = F.interpolate(quarters.reshape(16, 1, 2, 2), size=(size, size))
    return pictures.expand(-1, channels, -1, -1).contiguous()


def share_of_variance_left(model, images):
    """The squared error of the reconstructions over that of the mean image, which is what no code at all achieves."""
    baseline = (images - images.mean(0)).square().mean()
    return ((model.reconstruct(images) - images).square().mean() / baseline).item()


def learn(model, images, learning_rate, steps=60, enough=0.1):
    """Train until little variance is left; answers the share that is."""
    # One number of a linear encoder sums over all pixels, so the more there are, the smaller a step it can take.
    linear = isinstance(model.config.network, Linear)
    encoder_rate = 1 / prod(model.image_shape) if linear else learning_rate
    optimiser = torch.optim.Adam(
        [
            {"params": model.encoder.parameters(), "lr": encoder_rate},
            {"params": [*model.decoder.parameters(), model.likelihood_free], "lr": learning_rate},
        ]
    )
    left = share_of_variance_left(model, images)
    for step in range(steps):
        optimiser.zero_grad()
        model.loss(Batch(images), Progress(step, steps, len(images))).total.backward()
        optimiser.step()
        if step % 10 == 9 and (left := share_of_variance_left(model, images)) < enough:
            break
    return left


@pytest.mark.parametrize(
    ("network", "size", "learning_rate"),
    [
        pytest.param(Convolutional(), 28, 3e-3, id="convolutional-28"),
        pytest.param(conv64, 64, 3e-3, id="conv64-64"),
        # As many halvings as the derived network at these sizes (see tests/test_networks.py), with fewer channels.
        pytest.param(Convolutional(widths=(8, 8, 16, 32, 64)), 128, 5e-3, id="convolutional-128"),
        pytest.param(Convolutional(widths=(4, 8, 16, 32, 64, 64)), 256, 5e-3, id="convolutional-256"),
        pytest.param(FullyConnected(widths=(64, 32)), 28, 5e-3, id="fully-connected-28"),
        *(pytest.param(Linear(), size, 0.02, id=f"linear-{size}") for size in (28, 64, 128, 256)),
    ],
)
def test_each_network_overfits_sixteen_images(network, size, learning_rate):
    torch.manual_seed(0)
    model = Autoencoder(AutoencoderConfig((3, size, size), 16, network))
    images = sixteen_images(size)
    assert share_of_variance_left(model, images) > 1
    # A tenth is out of reach for a model that gets only three of the four quarters.
    assert learn(model, images, learning_rate) < 0.1


@pytest.mark.parametrize(
    "likelihood",
    [
        FixedGaussianLikelihood(),
        LearnedGaussianLikelihood(initial_variance=0.1),
        PerPixelGaussianLikelihood(),
        LaplaceLikelihood(),
        BernoulliLikelihood(),
        LogisticMixtureLikelihood(components=3),
        LogisticMixtureLikelihood(components=3, bits=5),
        LogisticMixtureLikelihood(components=3, tails="nvae"),
    ],
    ids=repr,
)
def test_a_vae_learns_with_every_likelihood(likelihood):
    torch.manual_seed(0)
    model = VAE(VAEConfig((3, 16, 16), 8, Convolutional(widths=(16, 32)), likelihood))
    images = sixteen_images(16)
    assert share_of_variance_left(model, images) > 0.9
    assert learn(model, images, 5e-3, steps=150, enough=0.25) < 0.25

"""Two or more layers of latents, and two ways to infer them: from the bottom up, or on the way down, as a ladder.

The model is the same either way: p(z) = p(z_L) Π p(z_i | z_i+1), p(x | z) = p(x | z_1), with z_1 next to the image.
Only the posterior differs, behind one switch:

    bottom_up:  q(z | x) = q(z_1 | x) Π q(z_i+1 | z_i)       x → z_1 → z_2, each layer drawn before the next is inferred
    top_down:   q(z | x) = q(z_L | x) Π q(z_i | z_i+1, x)    x → d_1 → d_2 without noise, then z_2 → z_1

NVAE is the second, deep and convolutional. Sources: Kingma & Welling 2014; Sønderby, Raiko, Maaløe, Sønderby & Winther
2016.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Literal, overload

import torch
from torch import Tensor, nn

from vaelib.config import check_types
from vaelib.data.image_set import Batch
from vaelib.models.base import Loss, Model, Progress, inference
from vaelib.networks import FullyConnected, ImageShape
from vaelib.probability import BernoulliLikelihood, DiagonalGaussian, Distribution, Likelihood
from vaelib.probability.distributions import standard_normal_like

BLACK_AND_WHITE = BernoulliLikelihood()

Choose = Callable[[DiagonalGaussian], Tensor]


@dataclass(frozen=True)
class LadderVAEConfig:
    """Settings of a `LadderVAE`. Layers are listed from the image upwards.

    Attributes:
        image_shape: (C, H, W).
        latent_widths: how many latents each layer has, z_1 first; their number is that of the layers.
        widths: units of the two hidden layers of each step between layers, the step next to the image first.
        inference: `bottom_up` or `top_down`.
        likelihood: of the image.
        kl_warmup: fraction of the run over which the weight of the rate grows from 0 to 1. None of it by default.
    """

    image_shape: ImageShape = (1, 28, 28)
    latent_widths: tuple[int, ...] = (16, 8)
    widths: tuple[int, ...] = (256, 128)
    inference: Literal["bottom_up", "top_down"] = "top_down"
    likelihood: Likelihood = BLACK_AND_WHITE
    kl_warmup: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        if min(self.image_shape) < 1:
            raise ValueError(
                f"image_shape should be (channels, height, width), each at least 1, not {self.image_shape}"
            )
        if len(self.latent_widths) < 2 or min(self.latent_widths) < 1:
            raise ValueError(
                f"latent_widths should be two or more numbers, each at least 1, not {self.latent_widths}; with one "
                "layer it would be a VAE"
            )
        if len(self.widths) != len(self.latent_widths) or min(self.widths) < 1:
            raise ValueError(
                f"widths should be {len(self.latent_widths)} numbers, one for each layer of latents and each at least "
                f"1, not {self.widths}"
            )
        if not 0 <= self.kl_warmup <= 1:
            raise ValueError(f"kl_warmup should be a fraction of the run, from 0 to 1, not {self.kl_warmup}")

    @property
    def latent_dimension(self) -> int:
        """Latents of all layers together."""
        return sum(self.latent_widths)


def precision_weighted(one: DiagonalGaussian, other: DiagonalGaussian) -> DiagonalGaussian:
    """The product of two Gaussian densities, normalised: precisions add, and each mean counts by its precision.

    1/σ² = 1/σ₁² + 1/σ₂² and μ = σ² (μ₁/σ₁² + μ₂/σ₂²), written such that no precision overflows.

    Source: Sønderby et al. 2016.
    """
    log_variance = -torch.logaddexp(-one.log_variance, -other.log_variance)
    share = (other.log_variance - one.log_variance).sigmoid()  # of `one` in the sum of the precisions
    return DiagonalGaussian(torch.lerp(other.mean, one.mean, share), log_variance)


@dataclass(frozen=True)
class LadderEncoding(Sequence[DiagonalGaussian]):
    """What images say about every layer: the sequence of the posteriors, that of z_1 first.

    Attributes:
        posteriors, priors: of each layer, given the values of the layers that they depend on.
        latents: those values, (B, D_i) each: what `decode` takes.
        top_down: whether the posteriors were made on the way down.
    """

    posteriors: tuple[DiagonalGaussian, ...]
    priors: tuple[DiagonalGaussian, ...]
    latents: tuple[Tensor, ...]
    top_down: bool

    @overload
    def __getitem__(self, index: int) -> DiagonalGaussian: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DiagonalGaussian]: ...
    def __getitem__(self, index: int | slice) -> DiagonalGaussian | Sequence[DiagonalGaussian]:
        return self.posteriors[index]

    def __len__(self) -> int:
        return len(self.posteriors)

    @property
    def kl_per_layer(self) -> Tensor:
        """log q − log p of each layer, (B, L), in nats: the sum is right on average for the rate.

        Top-down, q(z_i | z_i+1, x) and p(z_i | z_i+1) hold given the same z_i+1, so each layer has its KL in closed
        form. Bottom-up that is so at the top only. Below, the prior depends on a z_i+1 that was drawn *from* z_i, and
        the closed form would take the two for independent: there it is log q − log p at z_i, which may be negative.
        """
        terms = []
        for layer, (q, p, z) in enumerate(zip(self.posteriors, self.priors, self.latents, strict=True)):
            exact = self.top_down or layer == len(self) - 1
            terms.append(q.kl(p) if exact else q.log_prob(z) - p.log_prob(z))
        return torch.stack(terms, dim=1)

    @property
    def rate(self) -> Tensor:
        """The KL of all layers together, (B,), in nats; right on average."""
        return self.kl_per_layer.sum(dim=1)

    @property
    def log_q(self) -> Tensor:
        """log q(z | x) of all layers at the latents, (B,), in nats."""
        return torch.stack([q.log_prob(z) for q, z in zip(self.posteriors, self.latents, strict=True)]).sum(dim=0)

    @property
    def log_p(self) -> Tensor:
        """log p(z) of all layers at the latents, (B,), in nats."""
        return torch.stack([p.log_prob(z) for p, z in zip(self.priors, self.latents, strict=True)]).sum(dim=0)


class LadderVAE(Model):
    """A VAE with several layers of latents, fully connected, for small pictures.

    Source: Sønderby et al. 2016; without the batch norm that they use throughout.
    """

    kind = "ladder_vae"
    Config = LadderVAEConfig

    def __init__(self, config: LadderVAEConfig | None = None) -> None:
        super().__init__()
        if config is not None and not isinstance(config, LadderVAEConfig):
            raise TypeError(f"LadderVAE takes a LadderVAEConfig, not a {type(config).__name__}")
        self.config: LadderVAEConfig = config or LadderVAEConfig()
        latents, widths, shape = self.config.latent_widths, self.config.widths, self.config.image_shape
        # Up. The steps above the first start from the latents below (bottom_up) or from the feature below (top_down).
        below = latents if self.config.inference == "bottom_up" else widths
        self.encoder = nn.ModuleList(
            _hidden(inputs, width) for inputs, width in zip((prod(shape), *below[:-1]), widths, strict=True)
        )
        self.posterior_heads = nn.ModuleList(nn.Linear(w, 2 * d) for w, d in zip(widths, latents, strict=True))
        # Down: p(z_i | z_i+1) of every layer but the top, then the image.
        self.priors = nn.ModuleList(
            nn.Sequential(_hidden(above, width), nn.Linear(width, 2 * layer))
            for (layer, above), width in zip(pairwise(latents), widths[1:], strict=True)
        )
        outputs = self.config.likelihood.output_channels(shape[0])
        self.decoder = FullyConnected((widths[0],) * 2).decoder(latents[0], shape, outputs)
        self.likelihood_free = nn.Parameter(self.config.likelihood.initial_free())

    def encode(  # type: ignore[override]  # a sequence of distributions, one for each layer
        self, images: Tensor, *, mean_path: bool = False, generator: torch.Generator | None = None
    ) -> LadderEncoding:
        """Images (B, C, H, W) → the posteriors of all layers, z_1 first, with their priors and values.

        Args:
            mean_path: let each layer take its posterior's mean, instead of a draw.
            generator: of the draws.
        """
        self.check_images(images)
        up = self._bottom_up if self.config.inference == "bottom_up" else self._top_down
        return up(images.flatten(1), lambda q: q.mean if mean_path else q.sample(generator))

    def _bottom_up(self, x: Tensor, choose: Choose) -> LadderEncoding:
        """Draw z_1, infer z_2 from it, and so on; the priors are known afterwards."""
        posteriors: list[DiagonalGaussian] = []
        latents: list[Tensor] = []
        for step, head in zip(self.encoder, self.posterior_heads, strict=True):
            posteriors.append(_gaussian(head(step(latents[-1] if latents else x))))
            latents.append(choose(posteriors[-1]))
        priors = [self.prior_of(layer, z) for layer, z in enumerate(latents[1:])]
        priors.append(DiagonalGaussian.standard(*latents[-1].shape, device=x.device))
        return LadderEncoding(tuple(posteriors), tuple(priors), tuple(latents), top_down=False)

    def _top_down(self, x: Tensor, choose: Choose) -> LadderEncoding:
        """Leave what the image says at every layer, without noise; then come down and combine it with the prior."""
        evidence, feature = [], x
        for step, head in zip(self.encoder, self.posterior_heads, strict=True):
            feature = step(feature)
            evidence.append(_gaussian(head(feature)))
        top = evidence.pop()
        posteriors, latents = [top], [choose(top)]
        priors = [DiagonalGaussian.standard(*top.mean.shape, device=x.device)]
        for layer in reversed(range(len(evidence))):
            priors.append(self.prior_of(layer, latents[-1]))
            posteriors.append(precision_weighted(evidence[layer], priors[-1]))
            latents.append(choose(posteriors[-1]))
        return LadderEncoding(tuple(posteriors[::-1]), tuple(priors[::-1]), tuple(latents[::-1]), top_down=True)

    def prior_of(self, layer: int, above: Tensor) -> DiagonalGaussian:
        """p(z_i | z_i+1): what a layer, counted from 0 at the image, is expected to be, given the latents above it."""
        return _gaussian(self.priors[layer](above))

    def decode(self, latents: Sequence[Tensor]) -> Distribution:  # type: ignore[override]  # layers, not one tensor
        """The latents of all layers, z_1 first → p(x | z) over images (B, C, H, W), which depends on z_1 only."""
        found = [tuple(z.shape[1:]) for z in latents]
        if found != [(width,) for width in self.config.latent_widths]:
            expected = ", ".join(f"(B, {width})" for width in self.config.latent_widths)
            raise ValueError(f"this LadderVAE takes latents of all its layers, z_1 first: {expected}; not {found}")
        self.check_type(latents[0], "latents")
        return self.config.likelihood.distribution(self.decoder(latents[0]).float(), self.likelihood_free)

    def loss(self, batch: Batch, progress: Progress) -> Loss:
        """The negative ELBO, in nats: distortion + rate, and the rate of each layer as `kl_1`, `kl_2`, …"""
        x = self.config.likelihood.prepare(batch.images)
        encoding = self.encode(x)
        distortion, kl = -self.decode(encoding.latents).log_prob(x), encoding.kl_per_layer
        rate, warmup = kl.sum(dim=1), self.config.kl_warmup
        weight = min(progress.fraction / warmup, 1.0) if warmup else 1.0
        per_layer = {f"kl_{layer}": term for layer, term in enumerate(kl.unbind(dim=1), start=1)}
        return Loss(
            total=(distortion + weight * rate).mean(),
            per_image={"distortion": distortion, "rate": rate, **per_layer},
        )

    def check_sampling(self) -> None:
        """Always in order: the chain of priors can be sampled, though no single distribution describes it."""

    def prior(self, count: int) -> Distribution:
        """There is no single one.

        Raises:
            TypeError: always.
        """
        raise TypeError("the prior of a LadderVAE is a chain: `sample` draws from it, `encode(images).log_p` weighs it")

    def _drawn(  # type: ignore[override]  # of every layer
        self, count: int, temperature: float, generator: torch.Generator | None, chunk: int
    ) -> tuple[tuple[Tensor, ...], ...]:
        """The latents that `sample` decodes: from the top, each layer given the one above; `chunk` images at a time."""
        if count < 1 or chunk < 1:
            raise ValueError(f"count and chunk should be at least 1, not {count} and {chunk}")
        if not 0 <= temperature < float("inf"):
            raise ValueError(f"temperature should be 0 or more, and finite, not {temperature}")
        noise = standard_normal_like(torch.zeros(count, self.config.latent_dimension, device=self.device), generator)
        *lower, z = (temperature * noise).split(self.config.latent_widths, dim=1)
        latents = [z]
        for layer in reversed(range(len(lower))):
            prior = self.prior_of(layer, latents[-1])
            latents.append(prior.mean + prior.standard_deviation * lower[layer])
        return tuple(zip(*(z.split(chunk) for z in reversed(latents)), strict=True))

    @inference
    def reconstruct(self, images: Tensor, *, chunk: int = 256) -> Tensor:
        """Encode along the means and decode to the likelihood's mean: (B, C, H, W) → the same, in [0, 1]."""
        self.check_images(images)
        if chunk < 1:
            raise ValueError(f"chunk should be at least 1, not {chunk}")
        parts = images.to(self.device).split(chunk)
        return torch.cat([self.decode(self.encode(part, mean_path=True).latents).mean.clamp(0, 1) for part in parts])

    @inference
    def interpolate(self, start: Tensor, end: Tensor, steps: int = 8) -> Tensor:
        """The straight line between the latents of two sets of images, in all layers: (B, steps, C, H, W)."""
        if start.shape != end.shape or steps < 1:
            raise ValueError(
                f"start and end should have one shape, and steps be at least 1, not {tuple(start.shape)}, "
                f"{tuple(end.shape)} and {steps}"
            )
        first, last = (self.encode(images.to(self.device), mean_path=True).latents for images in (start, end))
        rows = []
        for weight in torch.linspace(0, 1, steps).tolist():
            between = [torch.lerp(one, other, weight) for one, other in zip(first, last, strict=True)]
            rows.append(self.decode(between).mean.clamp(0, 1))
        return torch.stack(rows, dim=1)


def _hidden(inputs: int, width: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())


def _gaussian(numbers: Tensor) -> DiagonalGaussian:
    """(B, 2 D) → a normal distribution over (B, D), bounded as that of a `VAE`."""
    mean, log_variance = numbers.float().chunk(2, dim=1)
    return DiagonalGaussian(mean, log_variance.clamp(-20.0, 10.0))

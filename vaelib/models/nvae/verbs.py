"""What can be asked of an NVAE: draw, reconstruct, redraw parts of an image, go from one to another, recalibrate.

A latent here is a list of groups, so every verb can treat the scales apart. None of them adds the noise of p(x | z).
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from vaelib.models.base import inference
from vaelib.models.nvae.latents import soft_clamped_normal
from vaelib.models.nvae.recalibration import recalibrating
from vaelib.models.nvae.tower import Tower
from vaelib.probability.distributions import Distribution


class Verbs(Tower):
    """The verbs of an `NVAE`."""

    @inference
    def sample(
        self,
        count: int,
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
        chunk: int = 32,
    ) -> Tensor:
        """Images drawn from the model: each group from its prior, then the mean of p(x | z).

        Args:
            count: how many.
            temperature: factor on the priors' standard deviations, 0 or more: one, or one per scale, coarsest first.
            generator: for reproducible draws, which do not depend on `chunk`.
            chunk: how many at a time, to bound memory.
        Returns:
            (count, C, H, W) in [0, 1].
        """
        if count < 1 or chunk < 1:
            raise ValueError(f"count and chunk should be at least 1, not {count} and {chunk}")
        temperatures = self._temperatures(temperature)
        parts = []
        for start in range(0, count, chunk):
            noise = self._noise(min(chunk, count - start), generator, temperatures)
            parts.append(self._mean_image(self._prior_logits(len(noise[0]), noise)))
        return torch.cat(parts)

    @inference
    def reconstruct(self, images: Tensor, *, chunk: int = 32) -> Tensor:
        """Encode without noise and decode to the likelihood's mean: (B, C, H, W) → the same, in [0, 1]."""
        if chunk < 1:
            raise ValueError(f"chunk should be at least 1, not {chunk}")
        self.check_images(images)
        ends = (self._encode(self._prepared(part), mean_path=True)[1] for part in images.split(chunk))
        return torch.cat([self._mean_image(self._logits(s)) for s in ends])

    @inference
    def resample(
        self,
        images: Tensor,
        *,
        groups: Iterable[int] | None = None,
        scales: Iterable[int] | None = None,
        temperature: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
        chunk: int = 32,
    ) -> Tensor:
        """Redraw some groups of an image's latents from their priors, and keep the values of the others.

        With `groups=()` all are kept: that is `reconstruct`. With every group redrawn, nothing of the image is left:
        that is `sample`, and with the same generator the same pictures. The prior of a redrawn group depends on the
        groups before it, kept or redrawn. A kept group has the value that the image gave it (without noise), whatever
        was redrawn before it, though its own prior may then find that value unlikely.

        Args:
            images: (B, C, H, W) in [0, 1].
            groups: those to redraw, 0 for the coarsest, −1 for the finest. Give these, or
            scales: redraw all groups of these scales, 0 for the coarsest.
            temperature: factor on the priors' standard deviations: one, or one per scale, coarsest first.
            generator: for reproducible draws, which do not depend on `chunk`.
            chunk: images at a time.
        Returns:
            (B, C, H, W) in [0, 1].
        """
        if chunk < 1:
            raise ValueError(f"chunk should be at least 1, not {chunk}")
        if (groups is None) == (scales is None):
            raise ValueError("say what to redraw, either by groups=… or by scales=…; groups=() redraws nothing")
        redrawn = self._groups(scales) if groups is None else _indices(groups, len(self.config.group_scales), "group")
        temperatures = self._temperatures(temperature)
        self.check_images(images)
        parts = []
        for part in images.split(chunk):
            kept = self._encode(self._prepared(part), mean_path=True)[0].latents
            noise = self._noise(len(part), generator, temperatures)
            parts.append(self._mean_image(self._prior_logits(len(part), noise, kept, redrawn)))
        return torch.cat(parts)

    @inference
    def interpolate(self, start: Tensor, end: Tensor, steps: int = 8, *, scales: Iterable[int] | None = None) -> Tensor:
        """The straight line between the latents of two sets of images, decoded.

        Args:
            start, end: (B, C, H, W).
            steps: pictures on the way, both ends included.
            scales: whose latents move, 0 for the coarsest; the others stay as they are at the start. None moves all.
        Returns:
            (B, steps, C, H, W) in [0, 1].
        """
        if start.shape != end.shape:
            raise ValueError(f"start and end should have one shape, not {tuple(start.shape)} and {tuple(end.shape)}")
        if steps < 1:
            raise ValueError(f"steps should be at least 1, better 2 or more, not {steps}")
        moving = self._groups(range(len(self.config.groups)) if scales is None else scales)
        first, last = (self.encode(self._prepared(images), mean_path=True).latents for images in (start, end))
        rows = []
        for weight in torch.linspace(0, 1, steps).tolist():
            pairs = enumerate(zip(first, last, strict=True))
            between = [torch.lerp(one, other, weight) if group in moving else one for group, (one, other) in pairs]
            rows.append(self.decode(between).mean.clamp(0, 1))
        return torch.stack(rows, dim=1)

    @torch.no_grad()
    def recalibrate(self, images: Tensor, *, batch_size: int = 32, generator: torch.Generator | None = None) -> None:
        """Recompute the averages of all batch norms from images, for weights that the running averages lag behind.

        That is so after a short run, and for weights that are themselves averages (EMA). Each average becomes the plain
        mean, over the batches, of what the layer sees in a training step. Nothing else of the model changes.

        Args:
            images: (N, C, H, W) in [0, 1], training images; a thousand are plenty.
            batch_size: at least 2, better the one of the training; the last batches may be one smaller.
            generator: of the draws of z.
        Raises:
            FloatingPointError: a layer's output was not finite. Its name is given, and the old averages are kept.
        """
        if batch_size < 2 or len(images) < 2:
            raise ValueError(f"a batch norm takes 2 images or more, not {len(images)} in batches of {batch_size}")
        with recalibrating(self):
            self.check_images(images)
            for part in images.tensor_split(max(1, -(-len(images) // batch_size))):
                self._logits(self._encode(self.config.likelihood.prepare(part.to(self.device)), generator=generator)[1])

    @torch.no_grad()
    def recalibrate_on_samples(
        self,
        temperature: float | Sequence[float] = 1.0,
        *,
        passes: int = 500,
        batch_size: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        """Recompute the averages of the decoder's batch norms from the model's own samples at a temperature.

        Cold samples have other statistics than training images, and published NVAE samples are made this way. There the
        averages kept moving over the passes, so that about the last twenty counted; here all count the same. The
        encoder, which makes no samples, keeps its averages.

        Args:
            temperature: factor on the priors' standard deviations: one, or one per scale, coarsest first.
            passes, batch_size: how many batches of how many samples; the defaults are the published ones.
            generator: of the draws.
        Raises:
            FloatingPointError: a layer's output was not finite. Its name is given, and the old averages are kept.

        Source: the public code of Vahdat & Kautz 2020, its option `readjust_bn`.
        """
        if batch_size < 2 or passes < 1:
            raise ValueError(f"there should be 1 pass of 2 samples or more, not {passes} of {batch_size}")
        temperatures = self._temperatures(temperature)
        with recalibrating(self):
            for _ in range(passes):
                self._prior_logits(batch_size, self._noise(batch_size, generator, temperatures))

    def check_sampling(self) -> None:
        """Always in order: the chain of priors can be sampled, though no single distribution describes it."""

    def prior(self, count: int) -> Distribution:
        """There is no single one.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "the prior of an NVAE is a chain of groups: `sample` draws from it, and `encode(images)` has it at its "
            "latents, as `groups[i].prior` and `log_p`"
        )

    def traverse(self, latent: Tensor, dimensions: Iterable[int], values: Tensor) -> Tensor:
        """There is no one code whose numbers could be varied.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "an NVAE has no single code to vary: `resample` redraws groups, `interpolate(…, scales=…)` moves scales "
            "apart, and `decode` takes the latents of all groups as you change them"
        )

    def _prior_logits(
        self,
        count: int,
        noise: Sequence[Tensor] | None,
        kept: Sequence[Tensor] = (),
        redrawn: frozenset[int] | None = None,
    ) -> Tensor:
        """The maps of images whose latents are the prior's: means, and deviations times the noise (None: no noise).

        Where `redrawn` says which groups those are, the others are `kept`.
        """

        def choose(group: int, s: Tensor | None) -> Tensor:
            if redrawn is not None and group not in redrawn:
                return kept[group]
            prior = soft_clamped_normal(self._raw_prior(group, s, count))
            return prior.mean if noise is None else prior.mean + prior.standard_deviation * noise[group]

        return self._logits(self._down(count, choose))

    def _mean_image(self, logits: Tensor) -> Tensor:
        return self._distribution(logits).mean.clamp(0, 1)

    def _prepared(self, images: Tensor) -> Tensor:
        """Images as the model learned them, on its device; but no coins are thrown for grey ones."""
        images = images.to(self.device)
        return images if self.config.black_and_white else self.config.likelihood.prepare(images)

    def _groups(self, scales: Iterable[int] | None) -> frozenset[int]:
        """All groups of these scales."""
        chosen = _indices(scales or (), len(self.config.groups), "scale")
        return frozenset(group for group, scale in enumerate(self.config.group_scales) if scale in chosen)

    def _temperatures(self, temperature: float | Sequence[float]) -> list[float]:
        """The temperature of every group, from one or from one per scale."""
        scales = len(self.config.groups)
        given = [temperature] * scales if isinstance(temperature, (int, float)) else list(temperature)
        if len(given) != scales or not all(0 <= one < float("inf") for one in given):
            raise ValueError(f"temperature should be one number or {scales}, 0 or more and finite, not {temperature}")
        return [given[scale] for scale in self.config.group_scales]

    def _noise(
        self, count: int, generator: torch.Generator | None, temperatures: Sequence[float]
    ) -> tuple[Tensor, ...]:
        """Normal numbers for the latents of every group, drawn image by image, with the temperatures as deviations."""
        where = self.device if generator is None else generator.device
        total = self.config.latent_dimension
        flat = torch.stack([torch.randn(total, generator=generator, device=where) for _ in range(count)])
        shapes = self.config.latent_shapes
        parts = flat.to(self.device).split([channels * height * width for channels, height, width in shapes], dim=1)
        return tuple(t * z.unflatten(1, shape) for z, shape, t in zip(parts, shapes, temperatures, strict=True))


def _indices(given: Iterable[int], count: int, what: str) -> frozenset[int]:
    """These places as numbers from 0."""
    places = list(given)
    for place in places:
        if not -count <= place < count:
            raise IndexError(f"there is no {what} {place}: this NVAE has {count}, and 0 is the coarsest")
    return frozenset(place % count for place in places)

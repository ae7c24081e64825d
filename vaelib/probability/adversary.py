"""The adversary on codes: a small classifier that tells draws from the prior and encoded images apart.

It is trained to answer the logit of "this z came from the prior". With as many of one kind as of the other, the best
answer is the log density ratio log p(z) − log q(z), and the loss of that best answer is 2 ln 2 − 2 JS(q, p) (Goodfellow
et al. 2014). So the adversary measures a divergence between distributions that are known by their samples alone.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaelib.probability.distributions import DiagonalGaussian


class Adversary(nn.Module):
    """Codes (B, D) → logits (B,) that each was drawn from the prior N(0, σ² I) and not encoded from an image.

    Attributes:
        log_prior: add log p(z) to what the layers answer, so that they have only −log q(z) to learn.
        prior_variance: σ².
    Source: Tolstikhin et al. 2018, algorithm 1 and its public code.
    """

    def __init__(
        self,
        dimension: int,
        widths: tuple[int, ...] = (1024, 1024, 1024, 1024),
        *,
        log_prior: bool = True,
        prior_variance: float = 1.0,
    ) -> None:
        super().__init__()
        self.log_prior, self.prior_variance = log_prior, prior_variance
        layers: list[nn.Module] = []
        inputs = dimension
        for width in widths:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        last = nn.Linear(inputs, 1)
        if log_prior:
            # log p(z) is −90 or so in 64 dimensions. The first guess at −log q(z), until there is a better one, is the
            # prior's entropy: then the first logits are near 0, and the first gradients no jolt.
            nn.init.constant_(last.bias, 0.5 * dimension * math.log(2 * math.pi * math.e * prior_variance))
        self.layers = nn.Sequential(*layers, last)

    def forward(self, codes: Tensor) -> Tensor:
        # In float32: the logit is a small difference of two large terms, which bfloat16 knows to half a nat.
        with torch.autocast(codes.device.type, enabled=False):
            codes = codes.float()
            # (B, 1) + (B,) would be (B, B), every code with every other's log p(z); the public code has that bug.
            logits = self.layers(codes).squeeze(1)
            return logits + self._prior(codes).log_prob(codes) if self.log_prior else logits

    def _prior(self, codes: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(torch.zeros_like(codes), codes.new_full((), math.log(self.prior_variance)))


def adversary_loss(prior_logits: Tensor, code_logits: Tensor) -> Tensor:
    """What the adversary minimises: E_p[−log D(z)] + E_q[−log(1 − D(z))] with D = sigmoid(logit), in nats.

    2 ln 2 = 1.386 is what it pays when it cannot tell.
    """
    return F.softplus(-prior_logits).mean() + F.softplus(code_logits).mean()


def jensen_shannon_bound(prior_logits: Tensor, code_logits: Tensor) -> Tensor:
    """ln 2 − half the adversary's loss: in expectation a lower bound on JS(q, p), in nats from 0 to ln 2 = 0.693.

    It is tight for the best adversary. A weak one makes it small, or negative, however far apart q and p are.

    Source: Goodfellow et al. 2014, theorem 1.
    """
    return math.log(2) - 0.5 * adversary_loss(prior_logits, code_logits)


def adversary_accuracy(prior_logits: Tensor, code_logits: Tensor) -> Tensor:
    """The share of codes that the adversary sorts rightly, both kinds weighing the same: 0.5 if it cannot tell."""
    return 0.5 * ((prior_logits > 0).float().mean() + (code_logits < 0).float().mean())

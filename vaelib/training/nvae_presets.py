"""NVAEs that two processor cores can train in hours: `nvae-nano` and `nvae-faces64`.

Nobody published NVAEs of this size on these faces; all numbers here are ours. The pictures have 5 bits, as the
published 256×256 models have: of 8 bits the lower three are mostly noise, and cost most of the nats. Both grow (see
`vaelib.training.growing`): on so small a budget the published recipe leaves the coarse groups empty.
"""

import dataclasses

from vaelib.models.nvae import NVAEConfig
from vaelib.probability import LogisticMixtureLikelihood
from vaelib.training.config import TrainConfig
from vaelib.training.growing import Stage

FIVE_BITS = LogisticMixtureLikelihood(components=5, bits=5)

# What the stages before have warmed up goes on at the full price of a nat.
WARMED_UP = NVAEConfig(likelihood=FIVE_BITS, kl_constant=1.0, kl_warmup=0.0, balancing=False)

NANO = dataclasses.replace(
    WARMED_UP, image_shape=(3, 32, 32), encoder_width=6, decoder_width=6, groups=(2, 2, 2), blocks=1
)
FACES64 = dataclasses.replace(
    WARMED_UP,
    image_shape=(3, 64, 64),
    encoder_width=8,
    decoder_width=8,
    groups=(4, 4, 4),
    blocks=2,
    finest_tax=3.0,
    finest_tax_portion=0.5,
)

# Adamax with the published ε; the published rate, for larger batches, is 1e-2. No weight decay, since so short a
# run sees few images often.
TRAINING = TrainConfig(
    steps=1,
    batch_size=64,
    learning_rate=5e-3,
    optimiser="adamax",
    epsilon=1e-3,
    gradient_clip=400.0,
    ema_decay=0.995,
    log_every=50,
    validate_every=500,
    validation_images=500,
    checkpoint_every=250,
)


def _training(steps: int, warmup: int, final: float = 0.0, batch_size: int = 64) -> TrainConfig:
    """A constant learning rate, or half a cosine to `final`."""
    return dataclasses.replace(
        TRAINING,
        steps=steps,
        batch_size=batch_size,
        learning_rate_warmup=warmup,
        schedule="cosine" if final else "constant",
        final_learning_rate=final,
    )


# 8×8 pictures know no finest scale, 16×16 pictures bring it, 32×32 pictures bring the outer block. Eight groups need a
# warm-up at first, or the last of them takes all; four did not.
NANO_STAGES = (
    Stage(8, _training(1_000, 100)),
    Stage(16, _training(1_500, 100), finest_tax=8.0),
)
NANO_TRAINING = _training(4_000, 100, final=1e-4)


# Here every stage warms up again, the groups balanced. Trained side by side for the same six minutes on one card, no
# warm-ups left 1.93 bits per dimension instead of 1.83. Large batches, because a small network keeps a graphics card
# waiting for its next order, whatever the batch; the last training, on two cores, has small ones and many steps.
LARGE = dataclasses.replace(TRAINING, batch_size=256, learning_rate=8e-3, ema_decay=0.998, log_every=25)
FACES64_STAGES = (
    Stage(8, dataclasses.replace(LARGE, steps=236, learning_rate_warmup=59), kl_warmup=0.3, finest_tax=4.0),
    Stage(16, dataclasses.replace(LARGE, steps=339, learning_rate_warmup=84), kl_warmup=0.3, finest_tax=8.0),
    Stage(32, dataclasses.replace(LARGE, steps=354, learning_rate_warmup=88), kl_warmup=0.3),
    Stage(
        64,
        dataclasses.replace(
            LARGE, steps=594, learning_rate_warmup=100, schedule="cosine", final_learning_rate=1e-4, validate_every=99
        ),
        kl_warmup=0.3,
    ),
)
FACES64_TRAINING = dataclasses.replace(
    _training(3_000, 50, final=1e-4, batch_size=32),
    learning_rate=4e-3,
    log_every=25,
    validate_every=250,
    validation_images=300,
)

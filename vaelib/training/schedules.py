"""The learning rate as a function of the step, and nothing else: no state to save."""

import math

from vaelib.training.config import TrainConfig


def learning_rate_at(config: TrainConfig, step: int) -> float:
    """The learning rate of step `step`, counted from 0.

    It grows linearly for `learning_rate_warmup` steps, then stays, or falls to `final_learning_rate`: on half a cosine
    (Loshchilov & Hutter 2017, without restarts), or exponentially, by the same factor in every step.
    """
    if step < config.learning_rate_warmup:
        return config.learning_rate * (step + 1) / config.learning_rate_warmup
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.learning_rate_warmup) / (config.steps - config.learning_rate_warmup)
    if config.schedule == "exponential":
        return config.learning_rate * (config.final_learning_rate / config.learning_rate) ** min(done, 1.0)
    height = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + height * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

"""02.evaluate: the average loss of a data set, after a repair (notebook 2.3, and every page that compares numbers).

The plausible broken version that the exercise hands over leaves batch norm in training mode, averages averages, and
keeps the graph of every batch.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from vaelib.check.answer import Form, Trouble, as_array, fresh
from vaelib.check.compare import Behaviour, Inputs, agree, numbers
from vaelib.check.draw import Draw
from vaelib.check.task import Broken, Mistake, Property, Task

ARGUMENTS = ("model", "batches")


class SmallModel(nn.Module):
    """Stands for a trained VAE: `model(x)` is the negative ELBO of each image, (B, n) → (B,). It has batch norm."""

    def __init__(self, pixels: int, training: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(pixels, dtype=torch.float64)
        self.log_variance = nn.Parameter(torch.tensor(-0.5, dtype=torch.float64))
        self.norm.running_mean = torch.full((pixels,), 0.3, dtype=torch.float64)
        self.norm.running_var = torch.full((pixels,), 1.7, dtype=torch.float64)
        self.train(training)

    def forward(self, x: Tensor) -> Tensor:
        squared = self.norm(x).square() * (-self.log_variance).exp() + self.log_variance
        return 0.5 * squared.sum(dim=1) + 1.0

    def __repr__(self) -> str:
        return f"a model with batch norm, in {'training' if self.training else 'evaluation'} mode"


def oracle(model: SmallModel, batches: Iterable[Tensor]) -> float:
    """All images in one batch, through the formula of batch norm in evaluation mode."""
    x = torch.cat(list(batches))
    norm, statistics = model.norm, model.norm.state_dict()
    normed = (x - statistics["running_mean"]) / torch.sqrt(
        statistics["running_var"] + norm.eps
    ) * norm.weight + norm.bias
    squared = normed.square() * (-model.log_variance).exp() + model.log_variance
    return float((0.5 * squared.sum(dim=1) + 1.0).mean().detach())


def model_and(draw: Draw, sizes: list[int], training: bool = True) -> Inputs:
    """A model and batches of these sizes."""
    pixels = draw.size(2, 4)
    # Batches differ, as they do when a set is sorted.
    batches = [draw.normal(size, pixels, mean=float(index), scale=1.0 + index) for index, size in enumerate(sizes)]
    return {"model": SmallModel(pixels, training), "batches": batches}


def usual(draw: Draw) -> Inputs:
    size = draw.size(3, 5)
    return model_and(draw, [size] * draw.size(1, 3) + [draw.size(2, size - 1)])


def behaviour(form: Form, inputs: Inputs) -> Behaviour:
    """The average, and what was done to the model on the way."""
    given = fresh(inputs)
    model = given["model"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mode = model.training
    result = form(given)
    average = as_array(result, "the average")
    if average.size != 1:
        raise Trouble(f"the average should be one number, and it has the shape {average.shape}", "shape")
    untouched = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return {
        "the average": average.reshape(()),
        "whether the model's weights and batch-norm statistics are as they were": np.array(untouched),
        "whether the model is in the mode in which it was": np.array(model.training == mode),
        "whether a gradient hangs on the answer": np.array(isinstance(result, Tensor) and result.requires_grad),
    }


def one_batch_or_many(form: Form, inputs: Inputs) -> None:
    """How a set is cut into batches says nothing about the set."""
    together = as_array(form(fresh({**inputs, "batches": [torch.cat(inputs["batches"])]})))
    cut = as_array(form(fresh(inputs)))
    if not agree(cut.reshape(-1), together.reshape(-1), 1e-6):
        raise Broken(f"cut like this the average is {numbers(cut)}, and in one batch {numbers(together)}")


def from_a_generator(form: Form, inputs: Inputs) -> None:
    """Batches may come one at a time, and only once, as those of a data loader."""
    whole = as_array(form(fresh(inputs)))
    given = fresh(inputs)
    streamed = as_array(form({**given, "batches": (batch for batch in given["batches"])}))
    if not agree(streamed.reshape(-1), whole.reshape(-1), 1e-6):
        raise Broken(
            f"from a list the average is {numbers(whole)}, and from a generator, which can be gone through once, "
            f"{numbers(streamed)}"
        )


def _average(
    model: SmallModel,
    batches: Iterable[Tensor],
    *,
    evaluation: bool = True,
    restored: bool = True,
    counted: str = "images",
    gradient: bool = False,
) -> Tensor:
    """The average with one thing wrong in it."""
    mode = model.training
    if evaluation:
        model.eval()
    with torch.set_grad_enabled(gradient):
        losses = [model(x) for x in batches]
    if restored:
        model.train(mode)
    total = torch.cat(losses)
    match counted:
        case "batches":
            return torch.stack([loss.mean() for loss in losses]).mean()
        case "sum":
            return total.sum()
        case "last":
            return losses[-1].mean()
        case "first":
            return total.sum() / (len(losses) * len(losses[0]))
        case "sum by batches":
            return total.sum() / len(losses)
        case "full":
            return torch.cat(losses[:-1]).mean() if len(losses) > 1 else total.mean()
    return total.mean()


MISTAKES = (
    Mistake(
        "average of averages",
        lambda **i: _average(**i, counted="batches"),
        "the mode is right now. An image in a small batch still counts for more than one in a large batch: you average "
        "averages.",
    ),
    Mistake(
        "training mode",
        lambda **i: _average(**i, evaluation=False),
        "batch norm is still in training mode: every image is normalised by the company that it happens to keep, and "
        "looking at test images changes the model.",
    ),
    Mistake(
        "as handed over",
        lambda **i: _average(**i, evaluation=False, counted="batches", gradient=True),
        "this behaves like the function as it was handed over. There is more than one bug in it: think of batch norm, "
        "of a last batch that is smaller, and of what should not be remembered.",
    ),
    Mistake(
        "training mode and average of averages",
        lambda **i: _average(**i, evaluation=False, counted="batches"),
        "no gradient hangs on it any more. Two bugs are left: think of batch norm, and of a last batch that is "
        "smaller.",
    ),
    Mistake(
        "mode not restored",
        lambda **i: _average(**i, restored=False),
        "the number is right, and the model is left in evaluation mode. The training that called you goes on with a "
        "batch norm that learns nothing more.",
    ),
    Mistake(
        "graph kept",
        lambda **i: _average(**i, gradient=True),
        "the number is right, and every batch's graph hangs on it: on a large set the memory runs out. Nothing is "
        "trained here, so nothing need be remembered.",
    ),
    Mistake(
        "sum for mean",
        lambda **i: _average(**i, counted="sum"),
        "this is the sum over the set. A set twice as large would look twice as bad.",
    ),
    Mistake(
        "last batch only",
        lambda **i: _average(**i, counted="last"),
        "only the last batch counts. Is something assigned in the loop that should be added up?",
    ),
    Mistake(
        "all batches taken for full",
        lambda **i: _average(**i, counted="first"),
        "you divide by the number of batches times the size of the first. Are all batches full?",
    ),
    Mistake(
        "divided by the number of batches",
        lambda **i: _average(**i, counted="sum by batches"),
        "the losses of all images are added up and divided by the number of batches. How many losses are there?",
    ),
    Mistake(
        "last batch dropped",
        lambda **i: _average(**i, counted="full"),
        "the last batch is left out. A test set of which the rest is thrown away is another test set.",
    ),
    Mistake(
        "mean over pixels too",
        lambda **i: _average(**i) / i["batches"][0].shape[1],
        "this is nats per pixel. The task asks for nats per image.",
    ),
)

TASK = Task(
    id="02.evaluate",
    title="Repair a validation loss",
    points=5,
    arguments=ARGUMENTS,
    oracle=oracle,
    usual=usual,
    properties=(
        Property(
            "for one batch it is the mean over the images, in evaluation mode, and it leaves no trace",
            lambda draw: model_and(draw, [3]),
            repeats=2,
        ),
        Property("it does not matter how a set is cut into batches", usual, one_batch_or_many),
        Property("it is the mean over all images, whatever the sizes of the batches", usual, repeats=6),
        Property(
            "a model that came in evaluation mode is given back in evaluation mode",
            lambda draw: model_and(draw, [2, 3], training=False),
        ),
        Property("batches may come from a generator", usual, from_a_generator, repeats=2),
        Property(
            "a batch of one image is a batch",
            lambda draw: model_and(draw, [draw.size(2, 4), 1]),
        ),
    ),
    mistakes=MISTAKES,
    observe=behaviour,
    torch_only=True,
)

"""Sliders on the latents of a decoder, and a still picture of what they do for readers without a kernel."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelib.console import quiet
from vaelib.models.base import Model, inference
from vaelib.visual.mosaic import mosaic_figure

if TYPE_CHECKING:
    import ipywidgets


class LatentExplorer:
    """Move a latent, see the picture change.

        LatentExplorer(model, image=faces[0], codes=model.encode(faces).mean)

    As the value of a cell it shows sliders and the decoded picture, and below them a still figure: one latent to a row,
    from low to high. The figure is ordinary output, so it stays in the saved notebook and on the static page. Where
    nobody can drag a slider (`VAELIB_CI=1`, as when the book is rendered) the widgets are left out, because their state
    is not saved and a page would show a gap in their place.

    Args:
        model: any whose `decode` takes one code (B, D).
        image: (C, H, W) or (1, C, H, W) in [0, 1], whose code is the starting point; otherwise the middle of the codes
            or of the prior.
        dimensions: which latents get a slider, in this order; otherwise the `count` busiest.
        codes: (N, D), codes of some images. They tell which latents are busy (the largest variance first) and how far
            each of them goes; without them, the latents are taken in order, within the prior.
        count: how many latents, when `dimensions` does not say.
        reach: how many standard deviations a slider goes to either side.
        steps: pictures to a row of the still figure.
        size: of the live picture on the page, in pixels.
    Attributes:
        sliders: of ipywidgets, one for each of `dimensions`.
        picture: the ipywidgets image that shows `image`.
        widget: all of them together.
    Raises:
        ValueError: an image or codes that do not fit the model; nothing to explore.
        IndexError: a latent that the model does not have.
    """

    def __init__(
        self,
        model: Model,
        image: Tensor | None = None,
        dimensions: Sequence[int] | None = None,
        *,
        codes: Tensor | None = None,
        count: int = 6,
        reach: float = 3.0,
        steps: int = 7,
        size: int = 256,
    ) -> None:
        import ipywidgets

        self.model, self.reach, self.steps, self.size = model, reach, steps, size
        centre, spread = _middle(model, codes)
        self.start = centre if image is None else _code(model, image)
        width = len(centre)
        if dimensions is None:
            busy = codes.float().var(dim=0).argsort(descending=True) if codes is not None else torch.arange(width)
            dimensions = busy[:count].tolist()
        self.dimensions = list(dimensions)
        if not self.dimensions or steps < 2 or not reach > 0:
            raise ValueError(
                f"there is nothing to explore in {len(self.dimensions)} latents, {steps} steps and reach {reach}"
            )
        for dimension in self.dimensions:
            if not 0 <= dimension < width:
                raise IndexError(f"there is no latent {dimension}: the model has {width}")
        self.latent = self.start.clone()
        self.centre, self.spread = centre, spread

        self.sliders = [self._slider(dimension) for dimension in self.dimensions]
        self.picture = ipywidgets.Image(format="png", width=size, height=size)
        reset = ipywidgets.Button(description="Start again", tooltip="Put every slider back")
        reset.on_click(lambda _: self.reset())
        self.widget = ipywidgets.HBox([self.picture, ipywidgets.VBox([*self.sliders, reset])])
        self.widget.layout.flex_flow = "row wrap"  # on a phone, the sliders come below the picture
        self._redraw()

    @property
    def image(self) -> Tensor:
        """The picture that the sliders ask for, (C, H, W) in [0, 1]."""
        return _decode(self.model, self.latent)

    def reset(self) -> None:
        """Put every slider back to where it started."""
        for slider, dimension in zip(self.sliders, self.dimensions, strict=True):
            slider.value = self.start[dimension].item()

    def still(self) -> Figure:
        """A figure of what each latent does: one to a row, from −reach to +reach standard deviations."""
        deviations = torch.linspace(-self.reach, self.reach, self.steps)
        rows = [
            self.model.traverse(self.start, [dimension], self.centre[dimension] + deviations * self.spread[dimension])
            for dimension in self.dimensions
        ]
        return mosaic_figure(
            [row[0].cpu() for row in rows],
            row_labels=[f"$z_{{{dimension}}}$" for dimension in self.dimensions],
            column_labels=["0" if value == 0 else f"{value:+.3g}σ".replace("-", "−") for value in deviations.tolist()],
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not quiet():
            display(self.widget)
        display(self.still())

    def _slider(self, dimension: int) -> "ipywidgets.FloatSlider":
        import ipywidgets

        start, middle = self.start[dimension].item(), self.centre[dimension].item()
        # A latent that never moves still gets a slider of some length.
        reach = max(self.reach * self.spread[dimension].item(), 1e-3)
        slider = ipywidgets.FloatSlider(
            value=start,
            min=min(middle - reach, start),
            max=max(middle + reach, start),
            step=reach / 50,
            description=f"z{dimension}",
            readout_format=".2f",
        )

        def moved(change: dict) -> None:
            self.latent[dimension] = change["new"]
            self._redraw()

        slider.observe(moved, names="value")
        return slider

    def _redraw(self) -> None:
        self.picture.value = _png(self.image, self.size)


@inference
def _decode(model: Model, latent: Tensor) -> Tensor:
    return model.decode(latent[None].to(model.device)).mean[0].clamp(0, 1).float().cpu()


@inference
def _code(model: Model, image: Tensor) -> Tensor:
    image = image[None] if image.dim() == 3 else image
    if len(image) != 1:
        raise ValueError(f"the explorer starts from one image (C, H, W), not {tuple(image.shape)}")
    # A copy, since a tensor made under inference_mode may not be written to outside of it.
    return torch.tensor(model.encode(image.to(model.device)).mean[0].tolist())


@inference
def _middle(model: Model, codes: Tensor | None) -> tuple[Tensor, Tensor]:
    """The centre and standard deviation of each latent: of the codes, else of the prior, else 0 and 1."""
    width = model.config.latent_dimension
    if codes is not None:
        if codes.dim() != 2 or codes.shape[1] != width or len(codes) < 2:
            raise ValueError(f"codes should be (N, {width}) with N at least 2, not {tuple(codes.shape)}")
        codes = codes.detach().float().cpu()
        return torch.tensor(codes.mean(dim=0).tolist()), torch.tensor(codes.std(dim=0).tolist())
    try:
        prior = model.prior(1)
    except TypeError:
        return torch.zeros(width), torch.ones(width)
    deviation = getattr(prior, "standard_deviation", torch.ones_like(prior.mean))
    return torch.tensor(prior.mean[0].tolist()), torch.tensor(deviation[0].tolist())


def _png(image: Tensor, size: int) -> bytes:
    """The picture as PNG, every pixel enlarged by the same whole factor to at least this size."""
    from PIL import Image

    pixels = (image.expand(3, -1, -1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    factor = max(1, -(-size // max(picture.size)))
    buffer = io.BytesIO()
    picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()

"""The explorer without a front end: sliders are Python objects, and moving one redraws the picture."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vaelib.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig
from vaelib.networks import Linear
from vaelib.visual import LatentExplorer

SHAPE = (3, 8, 8)


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    return VAE(VAEConfig(image_shape=SHAPE, latent_dimension=5, network=Linear()))


@pytest.fixture
def images(generator) -> torch.Tensor:
    return torch.rand(20, *SHAPE, generator=generator)


def shown(explorer: LatentExplorer) -> np.ndarray:
    """The PNG that the widget holds, back at the size of the model's pictures."""
    picture = np.asarray(Image.open(io.BytesIO(explorer.picture.value)))
    factor = len(picture) // 8
    assert (picture == picture[::factor, ::factor].repeat(factor, 0).repeat(factor, 1)).all()
    return picture[::factor, ::factor]


def decoded(model: VAE, latent: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        picture = model.decode(latent[None]).mean[0].clamp(0, 1)
    return np.round(picture.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)


def test_moving_a_slider_redraws_the_picture(model):
    explorer = LatentExplorer(model)
    np.testing.assert_array_equal(shown(explorer), decoded(model, torch.zeros(5)))
    explorer.sliders[2].value = 1.5
    np.testing.assert_array_equal(shown(explorer), decoded(model, torch.tensor([0, 0, 1.5, 0, 0])))
    explorer.sliders[0].value = -2.0
    np.testing.assert_array_equal(shown(explorer), decoded(model, torch.tensor([-2.0, 0, 1.5, 0, 0])))
    assert (shown(explorer) != decoded(model, torch.zeros(5))).any()
    explorer.reset()
    np.testing.assert_array_equal(shown(explorer), decoded(model, torch.zeros(5)))


def test_it_starts_from_the_code_of_an_image(model, images):
    code = model.encode(images[3:4]).mean[0].detach()
    for image in (images[3], images[3:4]):
        explorer = LatentExplorer(model, image)
        np.testing.assert_array_equal(shown(explorer), decoded(model, code))
        assert [slider.value for slider in explorer.sliders] == pytest.approx(code.tolist())


def test_codes_put_the_busiest_latents_first_and_set_their_reach(model, generator):
    codes = torch.randn(500, 5, generator=generator) * torch.tensor([0.1, 3.0, 1.0, 0.0, 2.0]) + torch.tensor(
        [0.0, 10.0, 0.0, 0.0, 0.0]
    )
    explorer = LatentExplorer(model, codes=codes, count=3, reach=2)
    assert explorer.dimensions == [1, 4, 2]
    assert [slider.description for slider in explorer.sliders] == ["z1", "z4", "z2"]
    low, high = explorer.sliders[0].min, explorer.sliders[0].max
    assert (low + high) / 2 == pytest.approx(codes[:, 1].mean().item(), abs=1e-4)
    assert (high - low) / 4 == pytest.approx(codes[:, 1].std().item(), rel=1e-4)


def test_a_start_beyond_the_reach_stretches_its_slider(model, images):
    explorer = LatentExplorer(model, images[0] * 0 + 1, dimensions=[4], reach=1e-3)
    code = model.encode(torch.ones(1, *SHAPE)).mean[0, 4].item()
    assert explorer.sliders[0].value == pytest.approx(code)


def test_the_still_figure_is_a_traversal_of_the_chosen_latents(model, images):
    explorer = LatentExplorer(model, images[0], dimensions=[3, 0], steps=5)
    figure = explorer.still()
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["$z_{3}$", "$z_{0}$"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["−3σ", "−1.5σ", "0", "+1.5σ", "+3σ"]
    latent = model.encode(images[:1]).mean[0].detach()
    latent[0] = 1.5
    np.testing.assert_array_equal(axes.images[0].get_array()[10:18, 30:38], decoded(model, latent))


def test_a_model_without_a_prior_can_be_explored(images):
    model = Autoencoder(AutoencoderConfig(image_shape=(1, 8, 8), latent_dimension=2, network=Linear()))
    explorer = LatentExplorer(model, images[0, :1])
    before = explorer.picture.value
    explorer.sliders[1].value = 3.0
    assert explorer.picture.value != before


@pytest.mark.parametrize(("quiet", "kinds"), [("1", ["image/png"]), ("0", ["widget", "image/png"])])
def test_a_cell_shows_the_still_always_and_the_widgets_where_somebody_can_use_them(
    model, monkeypatch, tmp_path, quiet, kinds
):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    monkeypatch.setenv("VAELIB_CI", quiet)
    explorer = LatentExplorer(model, count=2, steps=2)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.instance()
    try:
        with capture_output() as captured:
            explorer._ipython_display_()
    finally:
        InteractiveShell.clear_instance()
    widget = "application/vnd.jupyter.widget-view+json"
    assert ["widget" if widget in output.data else "image/png" for output in captured.outputs] == kinds
    assert "image/png" in captured.outputs[-1].data


def test_exploring_leaves_the_model_in_training_mode(model):
    model.train()
    explorer = LatentExplorer(model)
    explorer.sliders[0].value = 1.0
    explorer.still()
    assert model.training


def test_what_cannot_be_explored_is_refused(model, images):
    with pytest.raises(IndexError, match="no latent 5: the model has 5"):
        LatentExplorer(model, dimensions=[5])
    with pytest.raises(ValueError, match="one image"):
        LatentExplorer(model, images[:2])
    with pytest.raises(ValueError, match="codes should be \\(N, 5\\)"):
        LatentExplorer(model, codes=torch.zeros(10, 4))
    with pytest.raises(ValueError, match="takes images"):
        LatentExplorer(model, torch.zeros(1, 8, 8))
    with pytest.raises(ValueError, match="nothing to explore"):
        LatentExplorer(model, dimensions=[])

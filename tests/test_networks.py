"""Shapes and parameter counts of the shared networks, derived by hand."""

import pytest
import torch
from torch import nn

from vaelib.config import from_dict, to_dict
from vaelib.networks import Convolutional, Linear, Network, conv64


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", [28, 29, 32, 33, 63, 64, 100, 128, 178, 256])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_convolutional_pair_fits_every_size_and_number_of_channels(size, channels):
    shape, network = (channels, size, size), Convolutional()
    with torch.device("meta"):
        numbers = network.encoder(shape, 10)(torch.empty(2, *shape))
        maps = network.decoder(10, shape, 2 * channels)(torch.empty(2, 10))
    assert numbers.shape == (2, 10)
    assert maps.shape == (2, 2 * channels, size, size)


@pytest.mark.parametrize(
    ("size", "sizes", "widths"),
    [
        (28, [28, 14, 7, 4], (32, 64, 128)),
        (64, [64, 32, 16, 8, 4], (32, 64, 128, 256)),
        (128, [128, 64, 32, 16, 8, 4], (32, 64, 128, 256, 256)),
        (256, [256, 128, 64, 32, 16, 8, 4], (32, 64, 128, 256, 256, 256)),
        (33, [33, 17, 9, 5, 3], (32, 64, 128, 256)),
    ],
)
def test_halvings_and_widths_follow_from_the_size(size, sizes, widths):
    assert Convolutional().sizes((3, size, size)) == sizes
    assert Convolutional().widths_for((3, size, size)) == widths


def test_given_widths_decide_the_number_of_halvings():
    assert Convolutional(widths=(8, 16)).sizes((3, 64, 64)) == [64, 32, 16]


def test_conv64_has_the_parameters_counted_by_hand():
    # 4 × 4 kernels, no bias under batch norm, which adds a gain and a bias for each channel.
    convolutions = 16 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256)
    norms = 2 * (32 + 64 + 128 + 256)
    encoder = convolutions + norms + (4 * 4 * 256) * 128 + 128  # 2 · 64 numbers for the posterior of a VAE
    assert encoder == 1_215_040
    assert parameters(conv64.encoder((3, 64, 64), 128)) == encoder
    # The mirror image; its last layer has no norm, and so a bias for each colour.
    decoder = (64 * 4096 + 4096) + convolutions + norms + 3
    assert decoder == 956_867
    assert parameters(conv64.decoder(64, (3, 64, 64), 3)) == decoder


def test_the_derived_network_at_64_is_conv64():
    ours, named = (network.encoder((3, 64, 64), 7) for network in (Convolutional(), conv64))
    assert [p.shape for p in ours.parameters()] == [p.shape for p in named.parameters()]


def test_the_linear_pair_is_one_matrix_and_one_vector_each_way():
    shape = (3, 8, 6)
    assert parameters(Linear().encoder(shape, 5)) == 144 * 5 + 5
    assert parameters(Linear().decoder(5, shape, 3)) == 5 * 144 + 144
    assert Linear().decoder(5, shape, 3)(torch.zeros(2, 5)).shape == (2, 3, 8, 6)


def test_the_linear_decoder_is_affine(generator):
    decoder = Linear().decoder(4, (1, 5, 5), 1)
    a, b = torch.randn(2, 1, 4, generator=generator)
    torch.testing.assert_close(decoder(a + b), decoder(a) + decoder(b) - decoder(torch.zeros(1, 4)))


def test_images_that_are_not_square_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="square images, not 48×64: crop them first"):
        conv64.encoder((3, 48, 64), 8)


def test_too_many_halvings_are_refused():
    with pytest.raises(ValueError, match="8×8 images cannot be halved 5 times"):
        Convolutional(widths=(8, 8, 8, 8, 8)).encoder((3, 8, 8), 8)


def test_networks_survive_json_and_a_typo_names_the_near_miss():
    for network in (Linear(), Convolutional(), conv64):
        assert from_dict(Network, to_dict(network)) == network
    with pytest.raises(ValueError, match="Did you mean 'convolutional'"):
        from_dict(Network, {"kind": "convolutionel"})
    with pytest.raises(ValueError, match="Did you mean 'widths'"):
        from_dict(Network, {"kind": "convolutional", "width": [8]})


@pytest.mark.parametrize("widths", [(), (0,), (32, -3)])
def test_widths_that_make_no_network_are_refused(widths):
    with pytest.raises(ValueError, match="widths should be one or more numbers of channels"):
        Convolutional(widths=widths)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_images_too_small_to_derive_widths_from_are_refused(size):
    with pytest.raises(ValueError, match="too small to derive widths from"):
        Convolutional().encoder((3, size, size), 2)

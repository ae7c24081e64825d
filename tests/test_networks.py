"""Shapes and parameter counts of the shared networks, derived by hand."""

import pytest
import torch
from torch import nn

from vaelib.config import from_dict, to_dict
from vaelib.networks import Convolutional, FullyConnected, Linear, Network, WAENetwork, conv64


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


def test_the_fully_connected_pair_has_the_parameters_counted_by_hand():
    shape, network = (3, 8, 6), FullyConnected(widths=(20, 10))
    encoder = (144 * 20 + 20) + (20 * 10 + 10) + (10 * 7 + 7)
    assert parameters(network.encoder(shape, 7)) == encoder
    # The other way round: 10 units follow the code, 20 come before the picture.
    decoder = (5 * 10 + 10) + (10 * 20 + 20) + (20 * 96 + 96)
    assert parameters(network.decoder(5, shape, 2)) == decoder
    assert network.encoder(shape, 7)(torch.zeros(2, *shape)).shape == (2, 7)
    assert network.decoder(5, shape, 2)(torch.zeros(2, 5)).shape == (2, 2, 8, 6)
    assert FullyConnected().widths == (512, 256)


def test_the_fully_connected_pair_is_matrices_with_silu_between_and_nothing_at_the_end(generator):
    encoder = FullyConnected(widths=(5,)).encoder((1, 2, 2), 3)
    _, first, _, last = encoder
    picture = torch.randn(4, 1, 2, 2, generator=generator)
    hidden = picture.flatten(1) @ first.weight.T + first.bias
    expected = (hidden * torch.sigmoid(hidden)) @ last.weight.T + last.bias
    torch.testing.assert_close(encoder(picture), expected)
    assert [type(layer) for layer in FullyConnected(widths=(5, 4)).decoder(2, (1, 2, 2), 1)] == [
        *[nn.Linear, nn.SiLU] * 2,
        nn.Linear,
        nn.Unflatten,
    ]


def test_images_that_are_not_square_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="square images, not 48×64: crop them first"):
        conv64.encoder((3, 48, 64), 8)


def test_too_many_halvings_are_refused():
    with pytest.raises(ValueError, match="8×8 images cannot be halved 5 times"):
        Convolutional(widths=(8, 8, 8, 8, 8)).encoder((3, 8, 8), 8)


def test_networks_survive_json_and_a_typo_names_the_near_miss():
    for network in (Linear(), FullyConnected(), FullyConnected(widths=(8,)), Convolutional(), conv64):
        assert from_dict(Network, to_dict(network)) == network
    with pytest.raises(ValueError, match="Did you mean 'convolutional'"):
        from_dict(Network, {"kind": "convolutionel"})
    with pytest.raises(ValueError, match="Did you mean 'widths'"):
        from_dict(Network, {"kind": "convolutional", "width": [8]})


@pytest.mark.parametrize("widths", [(), (0,), (32, -3)])
def test_widths_that_make_no_network_are_refused(widths):
    with pytest.raises(ValueError, match="widths should be one or more numbers of channels"):
        Convolutional(widths=widths)
    with pytest.raises(ValueError, match="widths should be one or more numbers of units"):
        FullyConnected(widths=widths)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_images_too_small_to_derive_widths_from_are_refused(size):
    with pytest.raises(ValueError, match="too small to derive widths from"):
        Convolutional().encoder((3, size, size), 2)


@pytest.mark.parametrize("size", [28, 29, 32, 63, 64, 100, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_published_network_of_the_wae_fits_every_size_and_number_of_channels(size, channels):
    shape, network = (channels, size, size), WAENetwork()
    with torch.device("meta"):
        numbers = network.encoder(shape, 10)(torch.empty(2, *shape))
        maps = network.decoder(10, shape, 2 * channels)(torch.empty(2, 10))
    assert numbers.shape == (2, 10)
    assert maps.shape == (2, 2 * channels, size, size)


def test_the_published_network_of_the_wae_has_the_parameters_counted_by_hand():
    # Encoder: four 5 × 5 convolutions, no bias under batch norm, which adds a gain and a bias for each channel; the
    # last picture is 4 × 4.
    convolutions = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    encoder = convolutions + 2 * (128 + 256 + 512 + 1024) + (4 * 4 * 1024) * 64 + 64
    assert encoder == 18_265_280
    # Decoder: 8 × 8 × 1024 units with no norm, three doublings with one, a layer of stride 1 with a bias per colour.
    doublings = 25 * (1024 * 512 + 512 * 256 + 256 * 128) + 2 * (512 + 256 + 128)
    decoder = (64 * 8 * 8 * 1024 + 8 * 8 * 1024) + doublings + (25 * 128 * 3 + 3)
    assert decoder == 21_474_435
    with torch.device("meta"):
        assert parameters(WAENetwork().encoder((3, 64, 64), 64)) == encoder
        assert parameters(WAENetwork().decoder(64, (3, 64, 64), 3)) == decoder


def test_the_published_decoder_doubles_three_times_and_then_only_mixes():
    with torch.device("meta"):
        maps, sizes = torch.empty(2, 64), []
        for layer in WAENetwork().decoder(64, (3, 64, 64), 3):
            maps = layer(maps)
            sizes += [tuple(maps.shape[1:])] if isinstance(layer, (nn.Unflatten, nn.ConvTranspose2d)) else []
    assert sizes == [(1024, 8, 8), (512, 16, 16), (256, 32, 32), (128, 64, 64), (3, 64, 64)]


def test_the_published_network_starts_with_its_published_weights():
    torch.manual_seed(0)
    for part in (WAENetwork((32, 64)).encoder((3, 16, 16), 8), WAENetwork((32, 64)).decoder(8, (3, 16, 16), 3)):
        for layer in part:
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)
                assert layer.bias is None or not layer.bias.any()


def test_the_published_network_survives_json_and_refuses_what_makes_no_network():
    for network in (WAENetwork(), WAENetwork(widths=(8, 16))):
        assert from_dict(Network, to_dict(network)) == network
    with pytest.raises(ValueError, match="widths should be one or more numbers of channels"):
        WAENetwork(widths=())
    with pytest.raises(ValueError, match="square images, not 48×64: crop them first"):
        WAENetwork().encoder((3, 48, 64), 8)
    with pytest.raises(ValueError, match="8×8 images cannot be halved 4 times"):
        WAENetwork().decoder(8, (3, 8, 8), 3)

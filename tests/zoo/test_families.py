"""The families of the zoo: shipped weights and results belong together, and anyone can compute the results again."""

import json

import pytest
import torch

import vaelib
from vaelib.data import load
from vaelib.evaluation import aggregate_codes
from vaelib.zoo import families
from vaelib.zoo.families.__main__ import main


@pytest.fixture(scope="module")
def sprites():
    return families.family("sprites")


def test_every_member_of_every_family_was_measured():
    for name in families.names():
        family = families.family(name)
        assert list(family.results()) == [member.name for member in family.members]
        for member in family.members:
            numbers = family.results()[member.name]
            assert (numbers["setting"], numbers["value"], numbers["seed"]) == (
                member.setting,
                member.value,
                member.seed,
            )


def test_the_sprites_have_at_least_eight_prices_and_three_seeds_of_each(sprites):
    seeds = {}
    for member in sprites.members:
        seeds.setdefault(member.setting, set()).add(member.seed)
    assert all(found == {0, 1, 2} for found in seeds.values())
    assert sum(setting.startswith("β-VAE") or setting == "VAE" for setting in seeds) >= 8


def test_members_of_one_seed_start_from_the_same_weights_and_others_do_not(sprites):
    first, same, other = (sprites.member(name).build() for name in ("vae-seed-0", "beta-vae-10-seed-0", "vae-seed-1"))
    pairs = list(zip(first.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(mine, theirs) for mine, theirs, _ in pairs)
    assert not all(torch.equal(mine, theirs) for mine, _, theirs in pairs)


@pytest.mark.parametrize("name", ["vae-seed-0", "beta-tcvae-6-seed-0"])
def test_the_shipped_weights_give_the_stored_numbers(sprites, name, tmp_path):
    out = tmp_path / "again.json"
    assert main(["measure", "sprites", "--only", name, "--out", str(out)]) == 0
    (again,) = json.loads(out.read_text(encoding="utf-8"))["members"].values()
    stored = sprites.results()[name]
    for metric in ("rate", "distortion", "total_correlation", "mig", "dci_disentanglement", "sap", "factor_vae"):
        assert again[metric] == pytest.approx(stored[metric], abs=0.02, rel=0.01), metric


def test_a_better_price_for_nats_buys_fewer_of_them(sprites):
    results = sprites.results()
    rates = [results[f"beta-vae-{beta}-seed-0"]["rate"] for beta in ("0.1", "2", "10", "40")]
    assert rates == sorted(rates, reverse=True)


def test_pictures_of_the_faces_are_pictures():
    pictures = families.family("faces").pictures()
    assert pictures["vae-seed-0/samples"].shape == (16, 3, 64, 64)
    assert pictures["vae-seed-0/samples"].dtype == torch.uint8
    assert pictures["beta-vae-10-seed-2/reconstructions_detail"].shape == (62, 62)


@pytest.mark.parametrize("name", ["no-penalty-seed-0", "beta-vae-seed-0", "wae-mmd-seed-0", "wae-gan-seed-0"])
def test_the_shipped_models_of_faces_have_the_codes_that_were_measured(name):
    family, count = families.family("wae"), 400
    model, stored = family.load(name), family.results()[name]
    faces = load("faces", "test", count=count)
    codes, images = aggregate_codes(model, faces), faces.batch(slice(None)).images
    means, deviations = torch.tensor(stored["means"]), torch.tensor(stored["deviations"])
    # Those of 10,000 faces, within five standard errors of 400.
    assert ((codes.mean(dim=0) - means).abs() < 5 * deviations / count**0.5).all()
    assert ((codes.std(dim=0) / deviations - 1).abs() < 0.25).all()
    error = (model.reconstruct(images) - images).square().mean().item()
    assert error == pytest.approx(stored["squared_error"], rel=0.05)


def test_a_price_on_the_codes_brings_them_to_the_prior_in_every_run():
    results = families.family("wae").results()
    for seed in range(3):
        free = results[f"no-penalty-seed-{seed}"]["code_frechet"]
        for kind in ("wae-mmd", "wae-gan"):
            assert results[f"{kind}-seed-{seed}"]["code_frechet"] < free / 5


def test_weights_that_are_not_shipped_are_refused_with_the_command_that_makes_them():
    with pytest.raises(FileNotFoundError, match="families train faces --only vae-seed-0"):
        families.family("faces").load("vae-seed-0")
    with pytest.raises(FileNotFoundError, match="families train wae --only wae-gan-seed-2"):
        families.family("wae").load("wae-gan-seed-2")


def test_wrong_names_are_refused_and_near_misses_named(sprites, capsys):
    with pytest.raises(ValueError, match="Did you mean 'sprites'"):
        vaelib.zoo.family("sprite")
    with pytest.raises(ValueError, match="Did you mean 'vae-seed-0'"):
        sprites.load("vae-sed-0")
    assert main(["train", "sprites", "--part", "3/2"]) == 1
    assert "1/2 or 2/2" in capsys.readouterr().err
    assert main(["measure", "sprites", "--only", "vae"]) == 1
    assert "has no 'vae'" in capsys.readouterr().err


def test_of_photographed_people_no_weights_are_handed_out(capsys):
    family = families.family("portraits")
    assert not family.weights_file.exists()
    assert family.shipped_members == ()
    with pytest.raises(FileNotFoundError, match="not shipped, only its results"):
        family.load("vae-tuned-seed-0")
    assert main(["ship", "portraits"]) == 1
    assert "no weights" in capsys.readouterr().err


def test_a_model_is_tuned_from_the_weights_for_faces_and_trained_from_scratch_without_them():
    family, faces = families.family("portraits"), vaelib.zoo.load("wae-mmd-faces64").state_dict()
    tuned, scratch = (family.member(f"wae-mmd-{way}-seed-0").build().state_dict() for way in ("tuned", "scratch"))
    assert all(torch.equal(value, faces[name]) for name, value in tuned.items())
    assert not all(torch.equal(value, faces[name]) for name, value in scratch.items())


def test_portraits_are_measured_on_people_that_no_model_was_trained_on():
    data = families.family("portraits").data
    train, held_out = (data(split).batch(slice(None)).images for split in ("train", "held_out"))
    assert (len(train), len(held_out)) == (300, 100)
    assert train.shape[1:] == (3, 64, 64)
    assert torch.equal(train[:, 0], train[:, 2])
    distances = torch.cdist(train.flatten(1), held_out.flatten(1))
    assert distances.min() > 1.0  # no photograph is in both


def test_every_model_knows_its_own_portraits_better_than_strangers():
    for name, numbers in families.family("portraits").results().items():
        assert numbers["train_squared_error"] < numbers["held_out_squared_error"], name

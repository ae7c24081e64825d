"""Models and floors measured with the same images: the same numbers as one by one, kept, resumed, and refused."""

import pytest
import torch
from torch import nn

from vaelib.data import ImageSet
from vaelib.evaluation import (
    FEATURES,
    FLOORS,
    Comparison,
    Entrant,
    FeatureNetwork,
    compare,
    evaluate,
    floor_measurements,
    gallery,
    sampling_time,
)
from vaelib.models import VAE, Autoencoder, AutoencoderConfig, ConditionalVAE, ConditionalVAEConfig, Model, VAEConfig
from vaelib.networks import Linear
from vaelib.probability import LogisticMixtureLikelihood

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def pixels(monkeypatch, tmp_path):
    """Features that are cheap, and an empty cache."""
    monkeypatch.setitem(FEATURES, "pixels", FeatureNetwork("pixels", 64, "all", "none", "none", nn.Flatten))
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image_set(count: int, seed: int = 0, shape: tuple[int, int, int] = SHAPE, split: str = "test") -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
    return ImageSet(images, "toy", split, f"toy {split} {seed}")


TEST, TRAINING = image_set(80), image_set(120, 1, split="train")


def seeded(seed: int, build) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def small_vae(seed: int = 0, **settings) -> VAE:
    return seeded(
        seed, lambda: VAE(VAEConfig(**{"image_shape": SHAPE, "latent_dimension": 2, "network": Linear()} | settings))
    )


def small_autoencoder() -> Autoencoder:
    return seeded(0, lambda: Autoencoder(AutoencoderConfig(image_shape=SHAPE, latent_dimension=2, network=Linear())))


def numbers(comparison: Comparison, name: str, run: int = 0) -> dict:
    (subject,) = (each for each in comparison.subjects if each.name == name)
    return {number.name: number.measurement for number in subject.runs[run].numbers}


def compared(models, **settings) -> Comparison:
    return compare(models, TEST, TRAINING, **{"samples": 40, "features": "pixels", **settings})


# What is measured -----------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_evaluate_and_of_the_floors():
    model = small_vae()
    comparison = compared({"vae": model}, seed=3)
    assert [subject.name for subject in comparison.subjects] == ["vae", *FLOORS]
    found = numbers(comparison, "vae")
    assert found.pop("sampling_time").value > 0
    assert found == evaluate(model, TEST.take(40), samples=40, seed=3, features="pixels")
    for floor in FLOORS:
        expected = floor_measurements(floor, TEST, TRAINING, samples=40, seed=3, features="pixels")
        assert numbers(comparison, floor) == expected


@pytest.mark.parametrize("samples", [40, 80])
def test_samples_of_models_and_floors_stand_in_the_same_columns(samples):
    """Where there are more test images than are asked for, and where there are just as many."""
    comparison = compared({"vae": small_vae()}, samples=samples)
    shared = {column.metric for column in comparison.columns() if all(column.cells)}
    assert {"frechet_samples", "kernel_samples", "precision", "coverage", "sharpness_samples"} <= shared
    names = [column.metric for column in comparison.columns()]
    assert len(names) == len(set(names))


def test_what_a_model_does_not_have_leaves_a_gap():
    comparison = compared({"vae": small_vae(), "autoencoder": small_autoencoder()})
    gaps = {column.metric for column in comparison.columns() if column.cells[1] is None}
    assert {"frechet_samples", "recall", "rate", "sampling_time", "sharpness_samples"} <= gaps
    assert "reconstruction_mse" not in gaps


def test_a_density_and_a_probability_do_not_share_a_column():
    mixture = small_vae(likelihood=LogisticMixtureLikelihood(components=2))
    comparison = compared({"density": small_vae(), "mass": mixture}, features=None)
    columns = [column for column in comparison.columns() if column.metric == "negative_elbo"]
    assert [[cell is not None for cell in column.cells[:2]] for column in columns] == [[True, False], [False, True]]


def test_runs_under_one_name_count_as_one_model_with_a_spread():
    card = {"train": {"seed": 5}, "images_seen": 300, "seconds": 4, "hardware": "one abacus"}
    first, second = small_vae(0), small_vae(1)
    comparison = compared({"vae": [Entrant(first, "runs/0", card), second]}, features=None)
    (subject,) = (each for each in comparison.subjects if each.kind == "model")
    values = [evaluate(model, TEST.take(40), samples=40, features=None)["rate"].value for model in (first, second)]
    cell = subject.cell("rate")
    assert cell.measurement.value == pytest.approx(sum(values) / 2)
    assert (cell.lowest, cell.highest) == (min(values), max(values))
    told, untold = (run.budget for run in subject.runs)
    parameters = sum(parameter.numel() for parameter in first.parameters())
    assert (told.parameters, told.images_seen, told.seconds, told.hardware, told.seed) == (
        *(parameters, 300, 4.0, "one abacus", 5),
    )
    assert (untold.parameters, untold.images_seen, untold.hardware, untold.seed) == (parameters, None, None, None)
    assert subject.description == "VAE, fixed-gaussian likelihood"


def test_fewer_test_images_than_were_asked_for_make_fewer_samples_and_a_note():
    comparison = compared({"vae": small_vae()}, samples=10_000, features=None)
    assert comparison.samples == 80
    assert "There are only 80 test images, so as many samples were drawn." in comparison.notes
    assert numbers(comparison, "vae")["sharpness_samples"].protocol.samples == 80


def test_fresh_images_are_left_out_and_noted_where_there_are_too_few():
    comparison = compare({"vae": small_vae()}, TEST, TRAINING.take(30), samples=80, features=None)
    assert [subject.name for subject in comparison.subjects] == ["vae", *list(FLOORS)[1:]]
    assert "There are too few real images for a row of fresh ones." in comparison.notes


# Kept and resumed -----------------------------------------------------------------------------------------------------


class Watched(VAE):
    """A VAE that counts how often all samples were drawn of it, and is interrupted as often as it is told to be."""

    def __init__(self, config: VAEConfig, interruptions: int = 0) -> None:
        super().__init__(config)
        self.draws, self.interruptions = 0, interruptions

    def sample(self, count, **settings):
        if count == 40:
            self.draws += 1
            if self.draws <= self.interruptions:
                raise KeyboardInterrupt
        return super().sample(count, **settings)


def test_a_comparison_that_was_stopped_goes_on_with_what_is_missing():
    config = VAEConfig(image_shape=SHAPE, latent_dimension=2, network=Linear())
    first, second = seeded(0, lambda: Watched(config)), seeded(1, lambda: Watched(config, interruptions=1))
    with pytest.raises(KeyboardInterrupt):
        compared({"first": first, "second": second})
    assert (first.draws, second.draws) == (1, 1)
    resumed = compared({"first": first, "second": second})
    assert (first.draws, second.draws) == (1, 2), "the first was measured already"
    assert numbers(resumed, "first")["rate"] == evaluate(small_vae(0), TEST.take(40), samples=40, features=None)["rate"]
    compared({"second": second, "third": small_vae(2), "first": first})
    assert (first.draws, second.draws) == (1, 2), "one model more costs that model"
    compared({"first": first, "second": second}, seed=1)
    assert (first.draws, second.draws) == (2, 3), "another seed is another measurement"


def test_two_comparisons_of_one_model_agree_and_those_of_two_models_do_not(monkeypatch, tmp_path):
    first = compared({"vae": small_vae()})
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "another"))
    assert first.differences(compared({"vae": small_vae()})) == ()
    other = first.differences(compared({"vae": small_vae(1)}))
    assert {each.subject for each in other} == {"vae"}


def test_json_holds_what_was_measured():
    comparison = compared({"vae": [Entrant(small_vae(), "runs/0")]})
    assert Comparison.from_json(comparison.to_json()) == comparison


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "settings", "message"),
    [
        (dict, {}, "there are no models to compare"),
        (lambda: {"vae": []}, {}, "'vae' is no name for a model with runs"),
        (lambda: {" ": small_vae()}, {}, "' ' is no name"),
        (lambda: {"noise": small_vae()}, {}, "'noise' is no name .* no name of a floor"),
        (
            lambda: {"small": small_vae(), "large": small_vae(image_shape=(1, 16, 16))},
            {},
            "large makes images 1×16×16, but small 1×8×8: compare models of one resolution",
        ),
        (
            lambda: {"vae": [Entrant(small_vae(), "runs/0"), Entrant(small_vae(1, latent_dimension=3), "runs/1")]},
            {},
            "runs/1 and runs/0 have different settings, so they are no runs of one model 'vae'",
        ),
        (lambda: {"vae": [small_vae(), small_autoencoder()]}, {}, "have different settings"),
        (lambda: {"one": small_vae(), "two": small_vae()}, {}, "two and one are the same checkpoint: leave one out"),
        (
            lambda: {"vae": small_vae(image_shape=(1, 16, 16))},
            {},
            r"toy \(test\) has images 1×8×8, but vae makes 1×16×16: choose images of the models' resolution",
        ),
        (lambda: {"vae": small_vae()}, {"samples": 31}, "at least 32 samples and test images, .* not 31 and 80"),
        (lambda: {"vae": small_vae()}, {"samples": 0}, "samples should be a whole number of at least 1, not 0"),
        (lambda: {"vae": small_vae()}, {"features": "pixel"}, "there are no features 'pixel'.* Did you mean 'pixels'"),
    ],
)
def test_what_does_not_compare_is_refused_before_any_work(models, settings, message, pixels):
    with pytest.raises(ValueError, match=message):
        compared(models(), **settings)
    assert not (pixels / "comparisons").exists()


def test_too_few_test_images_are_refused():
    with pytest.raises(ValueError, match="at least 32 samples and test images, better thousands, not 40 and 20"):
        compare({"vae": small_vae()}, TEST.take(20), TRAINING, samples=40, features="pixels")


# Times and pictures ---------------------------------------------------------------------------------------------------


def test_the_time_of_a_draw_names_the_machine_and_belongs_to_models_that_can_draw():
    found = sampling_time(small_vae(), images=4, repeats=3)
    assert found.value > 0
    assert found.standard_error >= 0
    assert found.protocol.unit == "ms per image"
    assert "median of 3 draws of 4 images after one, on cpu" in found.protocol.definition
    assert sampling_time(small_vae(), images=4, repeats=1).standard_error is None
    assert sampling_time(small_autoencoder()) is None
    with pytest.raises(ValueError, match="repeats should be a whole number of at least 1, not 0"):
        sampling_time(small_vae(), repeats=0)


def test_a_gallery_has_pictures_that_follow_from_the_seed_and_reconstructions_below_their_originals():
    model = small_vae()
    pictures = gallery(model, TEST, samples=5, originals=3, seed=2)
    assert pictures.samples.shape == (5, *SHAPE)
    assert torch.equal(pictures.originals, TEST.batch(slice(0, 3)).images)
    assert torch.equal(pictures.reconstructions, model.reconstruct(pictures.originals))
    assert torch.equal(gallery(model, TEST, samples=5, seed=2).samples, pictures.samples)
    assert not torch.equal(gallery(model, TEST, samples=5, seed=3).samples, pictures.samples)
    assert gallery(small_autoencoder(), TEST).samples is None


def test_a_conditional_model_is_shown_the_labels_of_its_images():
    labels = torch.arange(80) % 4
    data = ImageSet(TEST.images, "toy", "test", "toy with labels", labels)
    config = ConditionalVAEConfig(SHAPE, 2, Linear(), label_sizes=(4,))
    model = seeded(0, lambda: ConditionalVAE(config))
    pictures = gallery(model, data, samples=4, originals=6)
    assert torch.equal(pictures.reconstructions, model.reconstruct(pictures.originals, labels[:6]))
    comparison = compare({"told": model}, data, TRAINING, samples=40, features=None)
    assert "rate" in numbers(comparison, "told")

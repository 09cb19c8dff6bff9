"""Training at a tiny budget, on the held-out words, so that no dictionary is needed."""

import re

import pytest
import torch

from strategies.models.config import ModelError
from strategies.models.pronounce import WEIGHTS, load_pronounce
from strategies.models.pronounce.data import held_out
from strategies.models.pronounce.export import export, progress_text
from strategies.models.pronounce.train import PEAK_RATE, WARM_UP_STEPS, Losses, Recipe, train
from strategies.models.pronounce.training_state import load_trained

TINY = Recipe(steps=6, cool_down=2, tokens=96, max_words=3, seed=5)


class KilledError(Exception):
    pass


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def equal(one, other) -> bool:
    return all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An uninterrupted run of TINY: its folder and its model."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(TINY, held_out(), folder)


def test_the_loss_falls(tmp_path):
    """The peak rate is raised, because 16 steps are a small part of the warm-up, whose rates are nearly zero."""
    seen: list[Losses] = []
    recipe = Recipe(steps=16, cool_down=0, tokens=64, max_words=2, peak_rate=0.02)
    train(recipe, held_out(), tmp_path, lambda done, losses: seen.append(losses))
    assert len(seen) == 16
    first, last = seen[:4], seen[-4:]
    assert sum(losses.label for losses in last) < 0.9 * sum(losses.label for losses in first)


@pytest.mark.parametrize(
    ("killed_at", "save_every", "kept"), [(3, 2, 2), (6, 5, 5)], ids=["in the constant phase", "in the cool-down"]
)
def test_a_killed_and_resumed_run_ends_as_an_uninterrupted_one_bit_for_bit(
    trained, tmp_path, killed_at, save_every, kept
):
    def kill(done: int, losses: Losses) -> None:
        if done == killed_at:
            raise KilledError

    with pytest.raises(KilledError):
        train(TINY, held_out(), tmp_path, kill, save_every)
    steps: list[int] = []
    resumed = train(TINY, held_out(), tmp_path, lambda done, losses: steps.append(done), save_every)
    assert steps == list(range(kept + 1, TINY.steps + 1))
    assert equal(resumed, trained[1])


def test_a_finished_run_is_not_trained_further(trained):
    folder, model = trained
    steps: list[int] = []
    again = train(TINY, held_out(), folder, lambda done, losses: steps.append(done))
    assert steps == []
    assert equal(again, model)


def test_a_longer_run_goes_on_from_the_constant_phase(trained, tmp_path):
    folder, _ = trained
    (tmp_path / "constant.pt").write_bytes((folder / "constant.pt").read_bytes())
    (tmp_path / "cooled.pt").write_bytes((folder / "cooled.pt").read_bytes())
    longer = Recipe(steps=8, cool_down=2, tokens=96, max_words=3, seed=5)
    steps: list[int] = []
    train(longer, held_out(), tmp_path, lambda done, losses: steps.append(done))
    assert steps == [5, 6, 7, 8]


def test_another_seed_trains_another_model(trained, tmp_path):
    other = train(Recipe(steps=6, cool_down=2, tokens=96, max_words=3, seed=6), held_out(), tmp_path)
    assert not equal(other, trained[1])


def test_the_rate_warms_up_stays_and_cools_down_to_nothing():
    recipe = Recipe(steps=3000, cool_down=1000)
    assert recipe.rate(0) == PEAK_RATE / WARM_UP_STEPS
    assert recipe.rate(WARM_UP_STEPS - 1) == recipe.rate(recipe.turn) == PEAK_RATE
    assert recipe.rate(2500) == PEAK_RATE / 2
    assert recipe.rate(2999) == PEAK_RATE / 1000


def test_a_checkpoint_holds_its_recipe_and_the_time_spent(trained):
    folder, model = trained
    loaded, state = load_trained(folder / "cooled.pt")
    assert equal(loaded, model)
    assert not loaded.training
    assert (state["step"], state["steps"]) == (6, 6)
    assert Recipe(**state["recipe"]) == TINY
    assert state["seconds"] > 0


def test_a_checkpoint_of_an_earlier_version_is_not_resumed(trained, tmp_path):
    state = torch.load(trained[0] / "constant.pt", weights_only=True)
    del state["optimizers"]
    torch.save(state, tmp_path / "constant.pt")
    with pytest.raises(ModelError, match=r"constant\.pt is of an earlier version and cannot be resumed; give another"):
        train(TINY, held_out(), tmp_path)


def test_no_part_of_a_checkpoint_is_left_behind(trained):
    assert sorted(path.name for path in trained[0].iterdir()) == ["constant.pt", "cooled.pt"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot load .*bad\.pt .*give a checkpoint that train wrote"):
        load_trained(path)


def test_export_writes_the_weights_and_a_card_of_what_it_measured(trained, tmp_path, capsys):
    weights_file, card = tmp_path / "w.safetensors", tmp_path / "CARD.md"
    export(trained[0] / "cooled.pt", limit=30, weights=weights_file, card=card)
    text, table = card.read_text(encoding="utf-8"), capsys.readouterr().out
    assert table.strip() in text
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["1", "4", "16", "30"]
    assert "6 steps, the rate cooled down over the last 2" in text
    assert re.search(r"\d h \d\d min", text)
    assert "$" not in text
    assert f"{weights_file.stat().st_size:,} bytes" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CARD.md", "w.safetensors"]


def test_the_card_tells_of_the_weights_that_a_run_started_from(trained, tmp_path):
    weights_file, card = tmp_path / "w.safetensors", tmp_path / "CARD.md"
    export(trained[0] / "cooled.pt", limit=30, weights=weights_file, card=card, earlier="First, 10 steps.")
    assert "First, 10 steps. Then, from those weights:" in card.read_text(encoding="utf-8")
    assert "--seed 5 --peak-rate 0.0012 --weights weights.safetensors`" in card.read_text(encoding="utf-8")


def test_the_card_tells_how_far_an_unfinished_run_had_come():
    recipe = Recipe(steps=800, cool_down=200)
    assert progress_text(600, recipe) == "600 steps of a run of 800, at the full rate, before its cool-down"
    assert progress_text(700, recipe) == "700 steps of a run of 800, within its cool-down"


def test_training_can_start_from_the_shipped_weights(tmp_path):
    """With no step taken, the model is the shipped one; with some, its loss is that of a trained one."""
    nothing = train(Recipe(steps=0, cool_down=0), held_out(), tmp_path / "none", weights=WEIGHTS)
    assert equal(nothing, load_pronounce())
    losses: list[Losses] = []
    recipe = Recipe(steps=1, cool_down=0, tokens=400, max_words=2)
    train(recipe, held_out(), tmp_path / "some", lambda done, found: losses.append(found), weights=WEIGHTS)
    assert losses[0].label < 2.0

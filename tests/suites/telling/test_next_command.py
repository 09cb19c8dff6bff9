"""The commands that a card recommends: each is one that its verb takes."""

import shlex

import pytest

from suites.settings.overrides import compose_jobs, read_overrides
from suites.telling.next_command import profiling, readable, with_key

RUN = "python -m suites run "
ROW = {
    "model": "t5-base", "dtype": "bf16", "device": "cpu", "threads": 2, "linear": "torch", "weights": "bf16",
    "attention": "auto", "search": "greedy",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "changes", "kept"),
    [
        ("model=small,base threads=1,2 seq_len=8", {}, "model=base threads=2"),
        ("model=base dtype=fp32,bf16 measure=quick", {}, "model=base dtype=bf16"),
        ("weights=null,int8 model=base", {}, "weights=null model=base"),
        ("+sweep=device model=base", {}, "model=base device=cpu"),
        ("+sweep=shazeer2019", {"model": "t5-small(num_kv_heads=2)"}, "model=small model.num_kv_heads=2"),
        ("model=tiny model.d_ff=64,128", {"model": "t5-tiny(d_ff=128)"}, "model=tiny model.d_ff=128"),
    ],
)
def test_a_profile_is_of_the_row_s_own_values_and_of_one_cell(words, changes, kept):
    command = profiling(RUN + words, ROW | changes)
    assert command == f"python -m suites profile {kept}"
    overrides = read_overrides(shlex.split(command)[4:])
    assert len(compose_jobs(overrides)) == 1
    assert overrides.sweep is None


@pytest.mark.parametrize("folder", ["runs/final", "other/final"])
def test_a_checkpoint_is_kept_as_the_folder_that_the_row_names(folder, tmp_path):
    for name in ("runs/final", "other/final"):
        (tmp_path / name).mkdir(parents=True)
    words = f"model=t5 model.checkpoint={tmp_path}/runs/final,{tmp_path}/other/final"
    kept = f"python -m suites profile model=t5 model.checkpoint={tmp_path}/{folder}"
    assert profiling(RUN + words, ROW | {"model": folder}) == kept
    assert profiling(f"{RUN}model=t5 model.checkpoint={tmp_path}/{folder}", ROW | {"model": "final"}) == kept


def test_what_beam_search_decoded_is_not_profiled():
    assert profiling(RUN + "model=base search=beam", ROW | {"search": "beam"}) == ""
    assert profiling(RUN + "model=base search=greedy", ROW) == "python -m suites profile model=base"


def test_there_is_no_command_where_the_row_does_not_tell_the_value():
    assert profiling(RUN + "model=small,base", ROW | {"model": "another"}) == ""
    assert profiling(RUN + "no_such_key=1 model.checkpoint", ROW) == ""


def test_a_key_takes_the_place_of_what_stood_for_it():
    assert with_key(RUN + "seq_len=8 measure=quick", "measure=careful") == RUN + "seq_len=8 measure=careful"
    assert with_key(RUN + "seq_len=8", "+sweep=seq_len") == RUN + "+sweep=seq_len"


@pytest.mark.parametrize("value", ["it's", "a b'c", "it's $HOME", "`it's`", "it's!", r"it's\t"])
def test_a_command_is_read_by_the_shell_as_the_words_it_was_made_of(value):
    command = with_key(shlex.join(["python", "-m", "suites", "run", value]), "seq_len=8")
    assert shlex.split(command)[4:] == [value, "seq_len=8"]


def test_single_quotes_stand_within_double_ones():
    given = ["python", "-m", "suites", "run", "strategies=[full_recompute,'static_kv(read=bucket)']"]
    wanted = """python -m suites run "strategies=[full_recompute,'static_kv(read=bucket)']\""""
    assert readable(shlex.join(given)) == wanted
    assert with_key(shlex.join(given), "seq_len=8") == f"{wanted} seq_len=8"
    assert readable("run 'a") == "run 'a"

"""The jobs of a sweep are those that Hydra composes one by one, and Hydra composes once for each choice of files."""

import contextlib
import itertools

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from suites.settings.config import ConfigError, register
from suites.settings.overrides import compose_jobs, name_model, read_overrides, typed
from suites.settings.own_package import CONF


def by_hydra(arguments):
    """Overrides, YAML and settings of each job, composed by Hydra for that job alone, as its own multirun does."""
    overrides = read_overrides(arguments)
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        parse = OverridesParser.create().parse_overrides
        plain = [one.input_line for one in parse(overrides.keys) if not one.is_sweep_override()]
        swept = compose("config", plain, return_hydra_config=True).hydra.sweeper.params or {}
        lines = [*(f"{key}={value}" for key, value in swept.items()), *overrides.keys]
        (jobs,) = BasicSweeper.split_arguments(parse(lines), max_batch_size=None)
        configs = [compose("config", job) for job in jobs]
        return [
            (job, OmegaConf.to_yaml(config), name_model(typed(config), job))
            for job, config in zip(jobs, configs, strict=True)
        ]


def ours(arguments):
    return [(job.overrides, job.yaml, job.config) for job in compose_jobs(read_overrides(arguments))]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "model=tiny,small seq_len=8,16 batch_size=1,2",
        "model=tiny model.d_ff=64,128 model.num_kv_heads=1",
        "model=tiny,transformer2017 model.relative_buckets=8",
        "model=pronounce,tiny ++model.d_ff=64 model.name=one,007",
        "+sweep=grid batch_size=2,3",
        "+sweep=shazeer2019 seq_len=8",
        "+sweep=shazeer2019 model=tiny",
        "+sweep=[seq_len,batch_size] strategies=[static_kv]",
        "strategies=[full_recompute,'static_kv(capacity=512)'],core,[{static_kv:{capacity:64}}]",
        "contenders=[],[transformers_dynamic],all",
        "weights=null,bf16 threads=null,2 src_len=null,5",
        "measure=quick,careful measure.precision=null,0.1 measure.rounds_max=30",
        "measure.aa=true,false measure.seconds_max=1e3 measure.precision=.5 measure.margin=.05 plots=no report=off",
        "tgt_len=${seq_len} seq_len=4,5",
        "seq_len=range(1,4) batch_size=choice(2,3) seed=0,9223372036854775807",
        "hydra/launcher=basic hydra.run.dir=there hydra.verbose=true seq_len=3,4",
        "device=cpu,cuda dtype=fp32,bf16 linear=torch,onednn attention=auto,math tf32=true",
        "src_ids=null,'a folder/b,c' seq_len=4",
    ],
)
def test_jobs_are_those_of_hydras_own_composition(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "b,c").touch()
    arguments = [word.replace("a~folder", "a folder") for word in line.replace("a folder", "a~folder").split()]
    found = ours(arguments)
    assert found == by_hydra(arguments)
    assert len(found) > 1 or "," not in line


VALUES = {
    "model": ["tiny", "small", "transformer2017"],
    "measure": ["quick", "default", "careful"],
    "model.d_model": ["8", "16"],
    "model.gated": ["false", "true"],
    "seq_len": ["1", "0012", "${batch_size}"],
    "src_len": ["null", "7"],
    "threads": ["null", "3"],
    "plots": ["yes", "off"],
    "measure.precision": ["null", "1e-2", ".5"],
    "measure.rounds": ["7", "20"],
    "strategies": ["core", "[static_kv]", "[cross_kv,'static_kv(read=buffer)']", "[{static_kv:{read:filled}}]"],
}


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_line_gives_the_jobs_of_hydras_own_composition(data):
    keys = data.draw(st.lists(st.sampled_from(list(VALUES)), unique=True, max_size=5))
    one_or_two = {key: st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=2, unique=True) for key in keys}
    arguments = [f"{key}={','.join(data.draw(one_or_two[key]))}" for key in keys]
    with contextlib.suppress(ConfigError):  # what Hydra admits and no cell could have
        assert ours(arguments) == by_hydra(arguments)


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        (["model=tiny", f"seq_len={','.join(map(str, range(1, 101)))}", "batch_size=1,2,3"], 1),
        (["model=tiny,small", "measure=quick,careful", "seq_len=1,2,3", "threads=1,2"], 4),
        (["+sweep=grid"], 1),
        (["model=tiny", "model.d_ff=64,128,256"], 1),
    ],
)
def test_hydra_composes_once_for_each_choice_of_files_however_many_values(line, choices, monkeypatch):
    count = itertools.count()
    monkeypatch.setattr("hydra.compose", lambda *words, **more: (next(count), compose(*words, **more))[1])
    jobs = compose_jobs(read_overrides(line))
    assert len(jobs) > choices
    assert next(count) == choices + 1, "and once without what is swept, for the keys that a file sweeps"


def test_a_value_that_hydra_cannot_set_is_one_line_that_names_its_key():
    with pytest.raises(ConfigError) as refused:
        compose_jobs(read_overrides(["model=tiny", "seq_len=${nothing},4"]))
    assert str(refused.value) == "seq_len: Interpolation key 'nothing' not found"

"""Wrong input to the command line: one line that names the thing, exit 1, no traceback, nothing written."""

import pytest

from suites.__main__ import main

MISTAKES = [
    (["rum"], "unknown verb 'rum'; did you mean 'run'?"),
    (["run", "seqlen=3"], "unknown key 'seqlen' in 'seqlen=3'; did you mean 'seq_len'?"),
    (["run", "+sweep=seqlen"], "unknown sweep 'seqlen'; did you mean 'seq_len'?"),
    (["run", "model=smal"], "unknown model 'smal'; did you mean 'small'?"),
    (["run", "measure=slow"], "unknown measure 'slow'; known: careful, default, quick"),
    (["run", "batch_size=x"], "batch_size: Value 'x' of type 'str' could not be converted to Integer"),
    (["run", "batch_size=0"], "batch_size=0 is not allowed; give a whole number of at least 1"),
    (["run", "seq_len=4,-1"], "seq_len=-1 is not allowed"),
    (["run", "device=gpu"], "device=gpu is not allowed; give one of auto, cpu, cuda"),
    (["run", "dtype=fp8"], "dtype=fp8 is not allowed; give one of fp32, bf16, fp16"),
    (["run", "measure.rounds=1"], "measure.rounds=1 is not allowed; an interval needs at least 2 rounds"),
    (["run", "measure.precision=0"], "measure.precision=0.0 is not allowed; give a share between 0 and 1"),
    (["run", "measure.margin=2"], "measure.margin=2.0 is not allowed; give a share between 0 and 1, such as 0.02"),
    (["run", "measure.seconds_max=0"], "measure.seconds_max=0.0 is not allowed; give seconds above 0"),
    (["run", "measure.precision=0.1", "measure.rounds_max=5"], "measure.rounds_max=5 is below measure.rounds=6"),
    (["run", "measure.aa=perhaps"], "measure.aa: Value 'perhaps' is not a valid bool"),
    (["run", "measure.stop=never"], "measure.stop=never is not allowed; give one of fixed, eos"),
    (["run", "strategies=statik"], "unknown strategy 'statik'"),
    (["run", "strategies=[]"], "strategies=[] names none"),
    (["run", "strategies=[static_kv(capacity=3)]"], "quote options"),
    (["run", "strategies=['static_kv(capacity=none,raed=filled)']"], "unknown option 'raed' of static_kv"),
    (["run", "model.checkpoint"], "cannot read 'model.checkpoint'"),
    (["run", "model=t5"], "model=t5 needs model.checkpoint=DIR"),
    (["run", "model=t5", "model.checkpoint=/nowhere"], "/nowhere is not a folder"),
    (["run", "model=tiny", "model.d_mdel=3"], "model.d_mdel is not a model size"),
    (["run", "model=tiny", "model.d_model=0"], "d_model=0 must be a whole number of at least 1"),
    (["run", "strategies=static_kv,contiguous_kv"], "would measure the same case"),
    (["run", "measure.rounds=4,8"], "would measure the same case"),
    (["run", "strategies=5"], "strategies=5 is not allowed"),
    (["run", "threads=100000"], "threads=100000 is not allowed; give at most 1024"),
    (["run", "seed=-1"], "seed=-1 is not allowed"),
    (["run", "--foo"], "unknown flag '--foo'"),
    (["run", "model=tiny", "model.gated=maybe"], "gated='maybe' is not allowed; give true or false"),
    (["run", "model=tiny", "model.norm_eps=abc"], "norm_eps='abc' is not allowed"),
    (["run", "hydra.run.dir=/dev/null"], "cannot make the run folder"),
    (["run", "hydra.run.dir='a/${now:%Y}'"], "give a plain path"),
    (["run", "src_ids=/nowhere"], "src_ids=/nowhere cannot be read"),
    (["run", "src_len=1"], "src_len=1 holds no word"),
    (["run", "seq_len=10000000000"], "seq_len=10000000000 is not allowed; give at most 1073741824"),
    (["run", "batch_size=1,10000000000"], "batch_size=10000000000 is not allowed; give at most 1073741824"),
    (["run", "seq_len=range(1,1000000000)"], "seq_len=range(1,1000000000) makes more than 10000 cases"),
    (["run", "seq_len=range(1,200)", "batch_size=range(1,200)"], "makes more than 10000 cases; give fewer values"),
    (["run", "seq_len=range(1,9,0)"], "a step of 0 never ends"),
    (["run", "model=tiny", "model.decoder_layers=1000000"], "decoder_layers=1000000 must be at most 10000"),
    (["profile", "model=tiny", "batch_size=100000000"], "profile: full_recompute: needs "),
    (["profile", "model=tiny", "model.d_ff=2000000000"], "profile: t5-tiny(d_ff=2000000000): its weights need "),
    (["decode", "tea", "--max-new", "1000000000"], "decode: full_recompute: needs "),
    (["decode", "tea", "--max-new", "10000000000"], "decode: --max-new 10000000000 is not allowed"),
    (["shapes", "model=tiny", "batch_size=100000000"], "shapes: full_recompute: needs "),
    (["shapes", "tgt_len=100000000", "strategies=[contiguous_kv]", "k=1"], "shapes: contiguous_kv: needs "),
    (["shapes", "--module", "transformers", "model.d_ff=2000000000"], "(d_ff=2000000000): its weights need "),
    (["list", "strategy"], "unknown kind 'strategy'; did you mean 'strategies'?"),
    (["plot", "/nowhere"], "/nowhere/table.csv does not exist"),
    (["plot", "--fast"], "unrecognized arguments: --fast; see plot --help"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_1(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("decodebench: ")
    assert said in captured.err
    assert list(tmp_path.iterdir()) == []


def test_list_shows_every_kind_and_what_each_is(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("full_recompute", "static_kv", "read=filled|buffer", "pronounce", "seq_len", "tpot_s", "contenders"):
        assert name in out
    assert main(["list", "sweeps"]) == 0
    assert "pronounce" not in capsys.readouterr().out

"""Wrong input to the command line: one line that names the thing, exit 1, no traceback, nothing written."""

import pytest
import torch

from suites.__main__ import main

COUNT = "give a whole number of at least 1"
SHARE = "give a share between 0 and 1, such as 0.02"
LONG = "x" * 300
KEYS = [
    (["run", "seqlen=3"], "unknown key 'seqlen' in 'seqlen=3'; did you mean 'seq_len'?"),
    (["run", "=3"], "unknown key '' in '=3'"),
    (["run", "model.checkpoint"], "cannot read 'model.checkpoint'; write KEY=VALUE, such as seq_len=64"),
    (["run", ""], "cannot read ''; write KEY=VALUE"),
    (["run", "~seq_len"], "~seq_len is not allowed; leave seq_len out for its default, or write seq_len=VALUE"),
    (["run", "model@x=tiny"], "model@x=tiny is not allowed; write model=VALUE, without @"),
    (["run", "seq_len=8", "+seq_len=9"], "seq_len is given twice, as 8 and 9; give it once"),
    (["run", "hydra.foo=1"], "hydra.foo is no key here; of Hydra's there are hydra.run.dir, hydra.sweep.dir and hydra"),
    (["run", "hydra.sweep.subdir=../x"], "hydra.sweep.subdir is no key here"),
    (["run", "--resolve"], "--resolve is not allowed without --cfg job"),
    (["run", "--cfg", "bogus"], "--cfg bogus is not allowed; give --cfg job, hydra, all"),
    (["run", "checkpoint=/x"], "unknown key 'checkpoint' in 'checkpoint=/x'; did you mean 'model.checkpoint'?"),
    (["run", "model=google/mt5-small"], "a folder is given by model=t5 model.checkpoint=DIR"),
    (["run", "execution=graph", "device=cpu"], "execution=graph has no effect without a CUDA device"),
    (["compare", "A", "B", "--dir", ""], "'' is not allowed; give a folder"),
    (["decode", "--file", "/dev/zero"], "/dev/zero is no file; give a file of text"),
    (["run", "hydra/launcher=nope"], "unknown hydra/launcher 'nope'; known: basic"),
    (["run", f"strategies=[{LONG}]"], "xxx...'; known: full_recompute"),
    (["run", f"strategies=['static_kv({LONG}=1)']"], "xxx...' of static_kv; known: cross"),
    (["run", f"strategies=['static_kv(capacity={LONG})']"], "xxx... is not allowed; capacity takes a whole number"),
    (["run", f"contenders=[{LONG}]"], "xxx...'; known: ctranslate2_float32"),
    (
        ["run", "strategies=['static_kv(capacity=99999999999)']"],
        "99 is not allowed; give at most 2147483647",
    ),
    (["run", f"strategies=['static_kv(capacity=-{'9' * 3000})']"], "99... is not allowed; give at most 2147483647"),
    (["run", f"contenders=[{'9' * 3000}]"], "99... is not allowed; give all, or a list"),
    (["run", f"{LONG}=1"], "xxx...'; known: model, strategies"),
    (["run", f"model.{LONG}=1"], "xxx... is not a model size"),
    (["list", LONG], "xxx...'; known: strategies"),
    ([LONG], "xxx...'; known: run, list"),
    (["run", "hydra/launcher=null"], "hydra/launcher=null is not allowed; give the name of a launcher"),
    (["run", "hydra/launcher=[a,b]"], "hydra/launcher=[a,b] is not allowed; give the name of a launcher"),
    (["run", "hydra/launcher=a/b"], "hydra/launcher=a/b is not allowed; give the name of a launcher"),
    (["run", "--cfg", "job", "hydra/launcher=nope"], "unknown hydra/launcher 'nope'; known: basic"),
    (["run", "--cfg", "job", "seq_len=1,2"], "--cfg shows one case; give one value of seq_len, not 1,2"),
    (["run", "--cfg", "job", "--json"], "--json is not allowed where nothing is run"),
    (["run", "--cfg", "job", "--package"], "--package is given no package; give --package NAME"),
    (["run", "--cfg"], "--cfg is given no word; give --cfg job, hydra, all"),
    (["run", "-m", "--cfg", "job"], "-m is not allowed beside --cfg, which runs nothing"),
    (["run", "--info", "--cfg", "job"], "--info and --cfg each show something and end; give one"),
    (["run", "--info", "nope"], "--info nope is not allowed; give --info all, config"),
    (["run", "--shell-completion"], "unknown flag '--shell-completion'"),
    (["run", "--foo"], "unknown flag '--foo'"),
    (["run", "+sweep=seqlen"], "unknown sweep 'seqlen'; did you mean 'seq_len'?"),
    (["run", "+sweep=seq_len,batch_size"], "for their product, write +sweep=[seq_len,batch_size]"),
    (["run", "+sweep=[]"], "+sweep=[] names none; give one of batch_size, device"),
    (["run", "+sweep=[grid,grid]"], "names a sweep twice"),
    (["run", "model=smal"], "unknown model 'smal'; did you mean 'small'?"),
    (["run", "model=tiny,smal"], "unknown model 'smal'; did you mean 'small'?"),
    (["run", "model=null"], "unknown model 'null'; known: base, large"),
    (["run", "model=[tiny]"], "unknown model '[tiny]'; did you mean 'tiny'?"),
    (["run", "measure=slow"], "unknown measure 'slow'; known: careful, default, quick"),
]
VALUES = [
    (["run", "batch_size=x"], f"batch_size=x is not allowed; {COUNT}"),
    (["run", "batch_size=0"], f"batch_size=0 is not allowed; {COUNT}"),
    (["run", "seq_len=4,-1"], f"seq_len=-1 is not allowed; {COUNT}"),
    (["run", "seq_len=null"], f"seq_len=null is not allowed; {COUNT}"),
    (["run", "seq_len="], f"seq_len= is not allowed; {COUNT}"),
    (["run", "seq_len=8,"], f"seq_len=8, is not allowed; {COUNT}"),
    (["run", "seq_len=1e2"], f"seq_len=1e2 is not allowed; {COUNT}"),
    (["run", "seq_len=true"], f"seq_len=true is not allowed; {COUNT}"),
    (["run", "seq_len=[8,16]"], f"seq_len=[8,16] is not allowed; {COUNT}; for several cases, write seq_len=8,16"),
    (["run", "seq_len=glob(*)"], f"seq_len=glob(*) is not allowed; {COUNT}; write several values apart by commas"),
    (["run", "seq_len=interval(1,4)"], "write several values apart by commas"),
    (["run", "seq_len=range(5,1)"], "give a range(START,STOP,STEP) of 1 to 10000 values"),
    (["run", "seq_len=range(1,9,0)"], "give a range(START,STOP,STEP) of 1 to 10000 values"),
    (["run", "seq_len=range(1,4),8"], "write its values one by one, apart by commas"),
    (["run", "seq_len=range(1,999)", "batch_size=range(1,99)"], "this sweep has more than 10000 cases"),
    (["run", f"seq_len={10**26}"], "is not allowed; give at most 1073741824"),
    (["run", f"seq_len={'9' * 5000}"], "99999... is not allowed; give at most 1073741824"),
    (["run", f"seq_len={LONG}"], "xxx... is not allowed"),
    (["run", "tgt_len=0.5"], f"tgt_len=0.5 is not allowed; {COUNT}, or null"),
    (["run", "threads=100000"], "threads=100000 is not allowed; give at most 1024, or null"),
    (["run", "seed=-1"], "seed=-1 is not allowed; give a whole number of at least 0"),
    (["run", f"seed={10**26}"], f"seed={10**26} is not allowed; give at most 9223372036854775807"),
    (["run", "device=gpu"], "device=gpu is not allowed; give one of auto, cpu, cuda"),
    (["run", "device=cpu,null"], "device=null is not allowed; give one of auto, cpu, cuda"),
    (["run", "dtype=fp8"], "dtype=fp8 is not allowed; give one of fp32, bf16, fp16"),
    (["run", "weights=int4"], "weights=int4 is not allowed; give one of fp32, bf16, int8, or null"),
    (["run", "execution=fast"], "execution=fast is not allowed; give one of eager, compiled, graph"),
    (["run", "plots=7"], "plots=7 is not allowed; give true or false"),
    (["run", "measure.aa=perhaps"], "measure.aa=perhaps is not allowed; give true or false"),
    (["run", "measure.rounds=1"], "measure.rounds=1 is not allowed; give a whole number of at least 2: an interval"),
    (["run", "measure.precision=0"], f"measure.precision=0 is not allowed; {SHARE}, or null"),
    (["run", "measure.margin=2"], f"measure.margin=2 is not allowed; {SHARE}"),
    (["run", "measure.margin=1"], f"measure.margin=1 is not allowed; {SHARE}"),
    (["run", "measure.seconds_max=0"], "measure.seconds_max=0 is not allowed; give seconds above 0"),
    (["run", "measure.seconds_max=inf"], "measure.seconds_max=inf is not allowed; give seconds above 0 and at most 1"),
    (["run", "measure.memory_gib=inf"], "measure.memory_gib=inf is not allowed; give GiB above 0 and at most 1048576"),
    (["run", "measure.memory_gib=nan"], "measure.memory_gib=nan is not allowed; give GiB above 0"),
    (["run", "measure.precision=0.1", "measure.rounds_max=5"], "measure.rounds_max=5 is below measure.rounds=6"),
    (["run", "measure.stop=never"], "measure.stop=never is not allowed; give one of fixed, eos"),
    (["run", "model=tiny", "model.d_mdel=3"], "model.d_mdel is not a model size"),
    (["run", "model=tiny", "model.d_model=0,8"], "d_model=0 must be a whole number of at least 1"),
    (["run", "model=tiny", f"model.d_model={10**20}"], "must be a whole number of at least 1 and at most 2147483647"),
    (["run", "model=tiny", "model.d_model=8.0"], "d_model=8.0 must be a whole number"),
    (["run", "model=tiny", "model.d_ff=null"], "d_ff=null must be a whole number"),
    (["run", "model=tiny", "model.gated=maybe"], "gated='maybe' is not allowed; give true or false"),
    (["run", "model=tiny", "model.norm_eps=abc"], "norm_eps='abc' is not allowed"),
    (["run", "model=tiny", "model.norm_eps=nan"], "norm_eps=nan is not allowed"),
    (["run", "model=tiny", "model.name="], "model.name= is not allowed; give a name"),
    (["run", "model.source=web"], "model.source=web is not allowed; give one of pronounce, checkpoint, random"),
]
TEXTS = [
    (["run", "model.checkpoint=~/t5"], "quote the value: \"model.checkpoint='~/t5'\""),
    (["run", "model.checkpoint=/data/step=3/t5"], "quote the value: \"model.checkpoint='/data/step=3/t5'\""),
    (["run", "model.checkpoint=/x/é"], "quote the value: \"model.checkpoint='/x/é'\""),
    (["run", "model.checkpoint=a(1)"], "quote the value: \"model.checkpoint='a(1)'\""),
    (["run", "src_ids=ids#3"], "quote the value: \"src_ids='ids#3'\""),
    (["run", "model.checkpoint=it's$HOME"], "quote the value: 'model.checkpoint='\"'\"'it\\'\"'\"'s$HOME'\"'\"''"),
    (["run", "model.checkpoint=/x/a,b"], "'/x/a' does not exist; a path that holds a comma is quoted: \"model.check"),
    (["run", "src_ids=a,b"], "a path that holds a comma is quoted: \"src_ids='a,b'\""),
    (
        ["run", "hydra.run.dir=a,b"],
        "hydra.run.dir=a,b names 2 folders; give one; with a comma: \"hydra.run.dir='a,b'\"",
    ),
    (["run", "model.checkpoint='~nobody-here/t5'"], "there is no user ~nobody-here here; write the whole path"),
    (["run", f"model.checkpoint={LONG}(1)"], "put the value within quotes: \"model.checkpoint='...'\""),
    (["run", "strategies=[cross_kv,static_kv(capacity=3)]"], "\"strategies=[cross_kv,'static_kv(capacity=3)']\""),
    (["run", "strategies=static_kv(capacity=3)"], "quote the value: \"strategies='static_kv(capacity=3)'\""),
    (["run", "strategies=statik"], "unknown strategy 'statik'"),
    (["run", "strategies=[]"], "strategies=[] names none"),
    (["run", "strategies=5"], "strategies=5 is not allowed; give core, grid, all or a list of names"),
    (["run", "strategies=null"], "strategies=null is not allowed; give core, grid, all or a list of names"),
    (["run", "strategies=['static_kv(capacity=none,raed=filled)']"], "unknown option 'raed' of static_kv"),
    (
        ["run", "contenders={a:1}"],
        "contenders={a:1} is not allowed; give all, or a list such as [transformers_dynamic]",
    ),
    (["run", "hydra.run.dir="], "hydra.run.dir= is not allowed; give a folder"),
    (["run", "hydra.run.dir=/dev/null"], "cannot make the run folder"),
    (["run", "hydra.run.dir='a/${now:%Y}'"], "give a plain path"),
    (["run", "model=t5"], "model=t5 needs model.checkpoint=DIR"),
    (["run", "model=t5", "model.checkpoint=/nowhere"], "/nowhere is not a folder"),
    (["run", "model=t5", "model.checkpoint=1e5"], "1e5 is not a folder"),
    (["run", "model=t5", "model.checkpoint='~/nowhere'"], "/nowhere is not a folder"),
]
IDLE = [
    (["run", "model.checkpoint=/x"], "has no effect with model.source=pronounce, whose weights are not read from a"),
    (["run", "model=tiny,small", "model.checkpoint=/x"], "model.checkpoint=/x has no effect with model.source=random"),
    (["run", "model.d_ff=64"], "model.d_ff=64 has no effect with model.source=pronounce, whose weights settle every"),
    (["run", "model=tiny", "model.dropout=0.1"], "model.dropout=0.1 has no effect on decoding"),
    (
        ["run", "model=transformer2017", "model.scale_head=true"],
        "has no effect with model.architecture=transformer2017",
    ),
    (["run", "src_ids=ids", "src_len=7"], "src_len=7 has no effect beside src_ids, whose sentences settle it"),
    (["run", "src_ids=ids", "batch_size=7"], "batch_size=7 has no effect beside src_ids"),
    (
        ["run", "measure.rounds_max=50"],
        "measure.rounds_max=50 has no effect without a precision; add measure.precision",
    ),
    (["run", "measure.contender_seconds_max=5"], "has no effect without contenders; add contenders=all"),
    (
        ["run", "execution=compiled", "strategies=full_recompute"],
        "execution=compiled has no effect with strategies=full",
    ),
    (["run", "+sweep=seq_len", "seq_len=8"], "+sweep=seq_len has no effect beside seq_len=8; leave one of them out"),
    (["run", "+sweep=[seq_len,grid]"], "+sweep=seq_len has no effect beside +sweep=grid"),
    (["run", "hydra.run.dir=A", "hydra.sweep.dir=B"], "hydra.run.dir=A and hydra.sweep.dir=B name two folders"),
    (["run", "strategies=static_kv,contiguous_kv"], "would measure the same case"),
    (["run", "measure.rounds=4,8"], "would measure the same case"),
    (["profile", "contenders=all"], "profile: contenders=all has no effect, as it looks at the steps of one decoding"),
    (["profile", "measure.rounds=4"], "profile: measure.rounds=4 has no effect"),
    (["profile", "hydra/launcher=basic"], "profile: hydra/launcher=basic has no effect"),
    (["shapes", "contenders=all"], "shapes: contenders=all has no effect"),
    (["shapes", "measure=quick"], "shapes: measure=quick has no effect"),
    (["shapes", "seed=3"], "shapes: seed=3 has no effect"),
    (["shapes", "--explain", "--phrase", ""], "shapes: --phrase '' holds no word; give a phrase, or leave it out"),
    (["shapes", "--phrase", ""], "shapes: --phrase has no effect without --explain; add it"),
]
IMPOSSIBLE = [
    (["run", "src_len=1"], "src_len=1 holds no word"),
    (["run", "weights=int8", "dtype=bf16"], "weights=int8 is not allowed with dtype=bf16; give dtype=fp32"),
    (["run", "weights=fp16"], "weights=fp16 is not allowed with dtype=fp32"),
    (["run", "weights=int8", "linear=mkl,onednn"], "linear=mkl is not allowed with weights=int8"),
    (["run", "linear=fused", "batch_size=2,3", "execution=compiled"], "(and none of the other 1 cases can run)"),
    (["run", "model=tiny", "model.num_kv_heads=3"], "num_kv_heads=3 does not divide num_heads=4; give one of 1, 2, 4"),
    (["run", "strategies=['static_kv(capacity=4)']"], "capacity=4 cannot hold a target of 64 tokens"),
    (
        ["run", "strategies=['static_kv(execution=graph,read=bucket)']", "device=cpu"],
        "execution=graph needs a CUDA device",
    ),
]
SOURCES = [
    (["run", "src_ids=/nowhere"], "src_ids=/nowhere cannot be read (No such file or directory)"),
    (["run", "src_ids=/dev/zero"], "src_ids=/dev/zero is no file; give a file of token ids"),
    (["run", "src_ids=blank"], "src_ids=blank: line 2 is blank; remove it, as each line is a sentence"),
    (["run", "src_ids=pads"], "src_ids=pads: line 2 holds the pad id 0 alone; remove it, or write a sentence"),
    (["run", "src_ids=empty"], "src_ids=empty is empty"),
    (["run", "src_ids=words"], "src_ids=words: line 1 holds 'tea', which is no token id"),
    (["run", "src_ids=latin"], "src_ids=latin cannot be read, as it is not UTF-8 text"),
    (
        ["run", "src_ids=far", "model=tiny"],
        "src_ids: line 2 holds 99999, outside the model's vocabulary of 32128; give",
    ),
    (["run", "src_ids=minus", "model=tiny"], "src_ids: line 1 holds -1, outside the model's vocabulary"),
    (["profile", "src_ids=far", "model=tiny"], "src_ids: line 2 holds 99999, outside the model's vocabulary"),
]
OTHERS = [
    (["rum"], "unknown verb 'rum'; did you mean 'run'?"),
    (["run", "seq_len=10000000000"], "seq_len=10000000000 is not allowed; give at most 1073741824"),
    (["run", "batch_size=1,10000000000"], "batch_size=10000000000 is not allowed; give at most 1073741824"),
    (
        ["run", "model=tiny", "model.decoder_layers=1000000"],
        "decoder_layers=1000000 must be a whole number of at least 1 and at most 10000",
    ),
    (["profile", "model=tiny", "batch_size=100000000"], "profile: full_recompute: needs "),
    (["profile", "model=tiny", "model.d_ff=2000000000"], "profile: t5-tiny(d_ff=2000000000): its weights need "),
    (["decode", "tea", "--max-new", "1000000000"], "decode: full_recompute: needs "),
    (
        ["decode", "tea", "--max-new", "10000000000"],
        "--max-new: 10000000000 is not allowed; give at most 107374",
    ),
    (["shapes", "model=tiny", "batch_size=100000000"], "shapes: full_recompute: needs "),
    (["shapes", "tgt_len=100000000", "strategies=[contiguous_kv]", "k=1"], "shapes: contiguous_kv: needs "),
    (["shapes", "--module", "transformers", "model.d_ff=2000000000"], "(d_ff=2000000000): its weights need "),
    (["list", "strategy"], "unknown kind 'strategy'; did you mean 'strategies'?"),
    (["plot", "/nowhere"], "/nowhere/table.csv does not exist"),
    (["plot", "--fast"], "unrecognized arguments: --fast; see plot --help"),
    (["shapes", f"k={'9' * 5000}"], "9... is not allowed; give at most 2147483647"),
    (["decode", "tea", "--max-new", str(10**26)], f"--max-new: {10**26} is not allowed; give at most 1073741824"),
]
MISTAKES = [*KEYS, *VALUES, *TEXTS, *IDLE, *IMPOSSIBLE, *SOURCES, *OTHERS]
FILES = {
    "ids": b"3 4 5\n6 7\n",
    "blank": b"3 4\n\n5 6\n",
    "pads": b"3 4\n0 0\n",
    "empty": b"",
    "words": b"tea\n",
    "latin": b"3 \xe9\n",
    "far": b"3 4\n5 99999\n",
    "minus": b"3 -1\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(a)[:60] for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_1(arguments, said, capsys, monkeypatch, files):
    monkeypatch.chdir(files)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("decodebench: ")
    assert said in captured.err
    assert len(captured.err) < 500
    assert {path.name for path in files.iterdir()} == set(FILES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_run_on_a_device_that_is_not_there_is_refused(capsys):
    assert main(["run", "device=cuda"]) == 1
    assert capsys.readouterr().err == "decodebench: device=cuda: no CUDA device here; give device=cpu\n"


def test_list_shows_every_kind_and_what_each_is(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("full_recompute", "static_kv", "read=filled|buffer", "pronounce", "seq_len", "tpot_s", "contenders"):
        assert name in out
    assert main(["list", "sweeps"]) == 0
    assert "pronounce" not in capsys.readouterr().out

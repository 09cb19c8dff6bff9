"""Which contenders a run has: by name, checked before anything runs."""

import pytest

from suites.__main__ import main
from suites.contenders import Contender, contender, register, registry, select_contenders
from suites.settings.cells import make_cell
from suites.settings.config import ConfigError, RunConfig

MISTAKES = [
    ("contenders=transformer_dynamic", "unknown contender 'transformer_dynamic'; did you mean 'transformers_dynamic'?"),
    ("contenders=[ctranslate2_int4]", "unknown contender 'ctranslate2_int4'; did you mean 'ctranslate2_int8'?"),
    (
        "contenders='openvino_int8(threads=0)'",
        "openvino_int8: threads=0 is not allowed; give a whole number from 1 to 1024",
    ),
    (
        "contenders='openvino_int8(cores=2)'",
        "the only option of a contender is threads, such as openvino_int8(threads=best)",
    ),
    ("contenders=5", "contenders=5 is not allowed; give all, or a list"),
    ("contender=all", "unknown key 'contender' in 'contender=all'; did you mean 'contenders'?"),
    ("measure.contender_seconds_max=0", "measure.contender_seconds_max=0 is not allowed; give seconds above 0"),
]


@pytest.mark.parametrize(("argument", "said"), MISTAKES, ids=[argument for argument, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_1_and_nothing_is_written(argument, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["run", argument]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert list(tmp_path.iterdir()) == []


def test_all_is_every_one_and_the_default_none():
    assert select_contenders("all") == list(registry())
    assert select_contenders([]) == []


def test_a_name_may_have_dashes_and_empty_brackets(monkeypatch):
    monkeypatch.setitem(contender._CONTENDERS, "my-own", Contender)
    assert select_contenders(["my-own", "my-own()", "my-own(threads=2)"]) == ["my-own", "my-own(threads=2)"]


def test_the_cell_is_the_same_with_and_without_contenders():
    model = {
        "name": "tiny", "source": "random", "vocab_size": 9, "d_model": 4, "num_heads": 1, "d_kv": 4, "d_ff": 4,
        "encoder_layers": 1, "decoder_layers": 1,
    }  # fmt: skip
    plain, more = (make_cell(RunConfig(model=model, contenders=chosen)) for chosen in ([], "all"))
    assert plain.id == more.id


def test_a_name_is_taken_once():
    with pytest.raises(ConfigError, match=r"'ctranslate2_int8' is taken by suites\.contenders\.ct2"):

        @register("ctranslate2_int8")
        class Other(Contender):
            """Not that one."""


def test_help_tells_of_them(capsys):
    assert main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    assert "transformers_static_compiled" in out
    assert "  contenders=[] " in out

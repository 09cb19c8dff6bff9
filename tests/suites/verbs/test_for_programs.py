"""What programs get: JSON alone on standard output, the summary of a CI's job, and exit codes."""

import json
import math

import pytest

from suites.__main__ import main
from suites.store.files import read_json
from suites.tables.table_files import read_tables

from ...command import SMALL_MODEL, suites


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(folder, what it printed, the summary of the job) of a run with --json in a CI."""
    folder = tmp_path_factory.mktemp("ran")
    arguments = [*SMALL_MODEL, "seq_len=3", "measure=quick", "threads=1", "--json", "hydra.run.dir=run", "report=true"]
    done = suites("run", *arguments, folder=folder, check=True, GITHUB_STEP_SUMMARY=str(folder / "summary.md"))
    return folder / "run", done, (folder / "summary.md").read_text()


def test_standard_output_of_run_is_json_with_the_rows_of_the_table(ran):
    folder, done, _ = ran
    told = json.loads(done.stdout)
    table, _ = read_tables(folder)
    assert told["dir"] == str(folder)
    assert told["warnings"] == read_json(folder / "noise.json")
    assert told["advice"] == (folder / "advice.txt").read_text().splitlines()
    for row, (_, expected) in zip(told["rows"], table.iterrows(), strict=True):
        assert row["strategy"] == expected["strategy"]
        assert row["e2e_s"] == pytest.approx(expected["e2e_s"], rel=1e-12)
        assert (row["crossover_k"] is None) == math.isnan(expected["crossover_k"])


def test_what_people_read_went_to_standard_error(ran):
    _, done, _ = ran
    assert "full_recompute" in done.stderr
    assert "report: run/report.html" in done.stderr


def test_the_summary_of_the_job_has_the_table_and_the_advice(ran):
    folder, _, summary = ran
    assert "| case | strategy | ms/token |" in summary
    table, _ = read_tables(folder)
    assert all(f"| batch 1, 3 -> 3 | {name} |" in summary for name in table["strategy"])
    assert "which to use" in summary


def test_list_as_json_has_every_kind_with_what_the_lines_say(capsys):
    assert main(["list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out
    assert set(told) == {"strategies", "models", "searches", "sweeps", "metrics", "contenders"}
    assert all(name in lines for kind in told.values() for name in kind)
    assert told["strategies"]["static_kv"]["options"]["read"]["default"] == "filled"


def test_approximate_strategies_are_marked_in_the_list(capsys):
    assert main(["list", "--json", "strategies"]) == 0
    told = json.loads(capsys.readouterr().out)["strategies"]
    assert main(["list", "strategies"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:] if line.strip()}
    assert told["static_kv"]["exact"]
    assert not told["quantized_kv"]["exact"]
    assert {name for name in told if "(approximate)" in lines[name]} == {
        name for name, found in told.items() if not found["exact"]
    }


def test_decode_as_json_has_words_and_times(capsys):
    assert main(["decode", "--json", "--threads", "1", "--strategies", "static_kv", "time"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["phrases"] == [{"phrase": "time", "words": [["T", "AY1", "M"]]}]
    assert [found["agrees"] for found in told["strategies"]] == [True, True]
    assert all(found["total_s"] > found["prefill_s"] > 0 for found in told["strategies"])


def test_decode_as_json_has_the_quality_of_approximate_strategies(capsys):
    assert main(["decode", "--json", "--threads", "1", "--strategies", "static_kv,quantized_kv(bits=4)", "time"]) == 0
    _, exact, lossy = json.loads(capsys.readouterr().out)["strategies"]
    assert (exact["exact"], exact["agrees"]) == (True, True)
    assert (lossy["exact"], lossy["agrees"], lossy["reason"]) == (False, None, None)
    assert 0 < lossy["kl_nats"] <= lossy["kl_max_nats"]
    assert "kl_nats" not in exact


@pytest.mark.parametrize("verb", ["shapes", "compare"])
def test_json_is_short_for_the_format(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert "as --format json" in capsys.readouterr().out


def test_exit_codes_are_in_the_help(capsys):
    assert main(["--help"]) == 0
    assert "Exit code: 0 good, 1 otherwise" in capsys.readouterr().out

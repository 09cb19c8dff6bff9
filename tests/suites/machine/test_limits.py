"""What this process may use: its control group and those above it, in both versions, affinity, OMP_NUM_THREADS."""

import os
import subprocess
import sys

import psutil
import pytest

from suites.machine.limits import cores_limit, memory_left, memory_limit, oom_kills, threads_limit

TOTAL, CORES = psutil.virtual_memory().total, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
FIRST = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
UNBOUND = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 {top} /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"""
OWN_V1 = "4:memory:/job/step\n2:cpu,cpuacct:/job/step\n0::/job/step"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``machine(own, mounts, files)`` is the root of a file system with that /proc and those files of groups."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("suites.machine.cores.places", frozenset)

    def build(own, mounts, files):
        for name, text in {"proc/self/cgroup": own, "proc/self/mountinfo": mounts, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return build


GROUPS = "sys/fs/cgroup"
CASES = {
    "none": (None, ("", "", {})),
    "own group": ("memory.max of the control group /job/step", ("0::/job/step", V2, {"/job/step/memory.max": "4096"})),
    "a group above": (
        "memory.max of the control group /job",
        ("0::/job/step", V2, {"/job/step/memory.max": "max", "/job/memory.max": "4096", "/memory.max": "8192"}),
    ),
    "a container's own view": ("memory.max of the control group /", ("0::/", V2, {"/memory.max": "4096"})),
    "a group outside what is seen": ("memory.max of the control group /", ("0::/../b", V2, {"/memory.max": "4096"})),
    "another's group": (None, ("0::/job/step", V2, {"/other/memory.max": "4096", "/job/step/memory.max": "0"})),
    "more than there is": (None, ("0::/", V2, {"/memory.max": str(1 << 62)})),
    "version 1": (
        "memory.limit_in_bytes of the control group /job/step",
        (OWN_V1, V1.format(top="/"), {"/memory/job/step/memory.limit_in_bytes": "4096"}),
    ),
    "version 1, nested": (
        "memory.limit_in_bytes of the control group /job",
        (
            OWN_V1,
            V1.format(top="/"),
            {
                "/memory/job/step/memory.limit_in_bytes": "9223372036854771712",
                "/memory/job/memory.limit_in_bytes": "4096",
            },
        ),
    ),
    "version 1, mounted from its own group on": (
        "memory.limit_in_bytes of the control group /job/step",
        (OWN_V1, V1.format(top="/job/step"), {"/memory/memory.limit_in_bytes": "4096"}),
    ),
    "no text": (None, ("\0\n:\n4", "35 31\n - \n30 23 0:26 / /x", {})),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_is_the_least_that_any_group_from_our_own_upwards_allows(machine, name):
    bound_by, (own, mounts, files) = CASES[name]
    found = memory_limit(machine(own, mounts, {GROUPS + path: text for path, text in files.items()}))
    wanted = (TOTAL, "this machine's memory") if bound_by is None else (4096, bound_by)
    assert (found.amount, found.bound_by) == wanted


@pytest.mark.parametrize(
    ("own", "mounts", "files", "bound_by"),
    [
        ("0::/job/step", V2, {"/job/step/cpu.max": "max 100000", "/job/cpu.max": "190000 100000"}, "cpu.max"),
        ("0::/job", V2, {"/job/cpu.max": "10000 100000"}, "cpu.max"),
        (
            OWN_V1,
            V1.format(top="/"),
            {"/cpu,cpuacct/job/cpu.cfs_quota_us": "150000", "/cpu,cpuacct/job/cpu.cfs_period_us": "100000"},
            "cpu.cfs_quota_us",
        ),
    ],
)
def test_a_quota_of_cpu_time_is_whole_cores_and_at_least_one(machine, monkeypatch, own, mounts, files, bound_by):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    found = cores_limit(machine(own, mounts, {GROUPS + path: text for path, text in files.items()}))
    assert (found.amount, found.bound_by) == (1, f"{bound_by} of the control group /job")


def test_no_quota_leaves_the_cores_of_the_process(machine):
    files = {"/cpu,cpuacct/job/cpu.cfs_quota_us": "-1", "/cpu,cpuacct/job/cpu.cfs_period_us": "100000"}
    root = machine(OWN_V1, V1.format(top="/"), {GROUPS + path: text for path, text in files.items()})
    assert cores_limit(root).amount == threads_limit(root).amount == CORES


@pytest.mark.skipif(sys.platform != "linux" or CORES < 2, reason="needs Linux and two cores")
@pytest.mark.parametrize(
    ("variables", "of_main_thread", "of_process"),
    [
        ({}, CORES, CORES),
        ({"OMP_PROC_BIND": "true"}, 1, CORES),
        ({"OMP_PLACES": "cores"}, 1, CORES),
        ({"OMP_PLACES": f"{{{FIRST}}}"}, 1, 1),
    ],
)
def test_where_openmp_binds_threads_its_places_are_the_cores(variables, of_main_thread, of_process):
    """libgomp binds the main thread to one core as soon as torch is imported, whichever is imported first."""
    program = (
        "import torch, os; from suites.machine.cores import allowed; "
        "print(len(os.sched_getaffinity(0)), len(allowed()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], env=UNBOUND | variables, capture_output=True, text=True, check=True
    )
    assert list(map(int, found.stdout.split())) == [of_main_thread, of_process]


@pytest.mark.parametrize(
    ("asked", "threads"),
    [("3", 3), ("3,2", 3), (" 5 ", 5), ("9", 8), ("0", 8), ("", 8), ("-1", 8), ("many", 8), ("9" * 5000, 8)],
)
def test_threads_are_no_more_than_omp_num_threads_asks_for(machine, monkeypatch, asked, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    told = f"OMP_NUM_THREADS={threads}" if threads < 8 else "the process's CPU affinity"
    found = threads_limit(machine("", "", {}))
    assert (found.amount, found.bound_by) == (threads, told)


LEFT = {
    "none": (None, ("", "", {})),
    "own group": (
        3096,
        "memory.max of the control group /job",
        ("0::/job", V2, {"/job/memory.max": "4096", "/job/memory.current": "1000"}),
    ),
    "a tighter group above": (
        596,
        "memory.max of the control group /job",
        (
            "0::/job/step",
            V2,
            {
                "/job/step/memory.max": "9000",
                "/job/step/memory.current": "1000",
                "/job/memory.max": "4096",
                "/job/memory.current": "4000",
                "/job/memory.stat": "anon 7\ninactive_file 500\nactive_file 90",
            },
        ),
    ),
    "more taken than is allowed": (
        0,
        "memory.max of the control group /",
        ("0::/", V2, {"/memory.max": "4096", "/memory.current": "5000"}),
    ),
    "how much is taken is not known": (None, ("0::/", V2, {"/memory.max": "4096"})),
    "version 1": (
        3296,
        "memory.limit_in_bytes of the control group /job/step",
        (
            OWN_V1,
            V1.format(top="/"),
            {
                "/memory/job/step/memory.limit_in_bytes": "4096",
                "/memory/job/step/memory.usage_in_bytes": "1000",
                "/memory/job/step/memory.stat": "inactive_file 1\ntotal_inactive_file 200",
            },
        ),
    ),
    "version 1, a container's mount": (
        3096,
        "memory.limit_in_bytes of the control group /job/step",
        (
            OWN_V1,
            V1.format(top="/job/step"),
            {"/memory/memory.limit_in_bytes": "4096", "/memory/memory.usage_in_bytes": "1000"},
        ),
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_memory_left_is_what_any_group_leaves_without_the_files_that_it_can_give_up(machine, name):
    *wanted, (own, mounts, files) = LEFT[name]
    found = memory_left(machine(own, mounts, {GROUPS + path: text for path, text in files.items()}))
    if wanted == [None]:
        assert found.bound_by == "this machine's available memory"
        assert 0 < found.amount <= TOTAL
    else:
        assert (found.amount, found.bound_by) == (wanted[0], f"what {wanted[1]} leaves")


@pytest.mark.parametrize(
    ("own", "mounts", "files", "wanted"),
    [
        ("", "", {}, {}),
        (
            "0::/job/step",
            V2,
            {"/job/step/memory.events": "oom 3\noom_kill 2", "/job/memory.events": "oom_kill 9"},
            {"the control group /job/step": 2},
        ),
        ("0::/job", V2, {"/memory.events": "oom_kill 4"}, {"the control group /": 4}),
        (
            OWN_V1,
            V1.format(top="/"),
            {"/memory/job/step/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5"},
            {"the control group /job/step": 5},
        ),
    ],
)
def test_kills_for_lack_of_memory_are_counted_in_the_own_group_and_on_the_machine(machine, own, mounts, files, wanted):
    root = machine(own, mounts, {"proc/vmstat": "pgfault 8\noom_kill 7", **{GROUPS + k: v for k, v in files.items()}})
    assert oom_kills(root) == {**wanted, "this machine": 7}


def test_no_kill_is_known_where_nothing_can_be_read(tmp_path):
    assert oom_kills(tmp_path) == {"this machine": 0}


def test_cores_of_a_group_of_version_1_are_those_of_its_own_hierarchy(machine):
    files = {
        "/cpu,cpuacct/job/step/cpu.cfs_quota_us": "100000",
        "/cpu,cpuacct/job/step/cpu.cfs_period_us": "100000",
        "/memory/job/step/memory.limit_in_bytes": "4096",
    }
    root = machine(OWN_V1, V1.format(top="/"), {GROUPS + path: text for path, text in files.items()})
    assert (cores_limit(root).amount, memory_limit(root).amount) == (1, 4096)

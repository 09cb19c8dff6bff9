"""The last cache, as Linux tells of it."""

import pytest

from suites.ceilings.cache import cpu_cache_bytes, size_bytes

MIB = 1 << 20


def cache(root, core, index, level, size, shared, kind="Unified"):
    folder = root / f"cpu{core}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, value in (("level", level), ("size", size), ("shared_cpu_list", shared), ("type", kind)):
        (folder / name).write_text(f"{value}\n")


def test_the_last_cache_is_counted_once_for_each_group_of_cores_that_threads_can_fill(tmp_path):
    for core in range(4):
        cache(tmp_path, core, 0, 1, "32K", core, "Data")
        cache(tmp_path, core, 1, 4, "64K", core, "Instruction")
        cache(tmp_path, core, 2, 2, "512K", core)
        cache(tmp_path, core, 3, 3, "32768K", "0-1" if core < 2 else "2-3")
    found = [cpu_cache_bytes(tmp_path, range(4), threads) for threads in (1, 2, 4)]
    assert found == [32 * MIB, 64 * MIB, 64 * MIB]
    assert cpu_cache_bytes(tmp_path, [0, 1], 2) == 32 * MIB
    assert cpu_cache_bytes(tmp_path, [9], 1) is None


def test_a_system_that_does_not_tell_its_cache_is_none(tmp_path):
    assert cpu_cache_bytes(tmp_path / "nowhere", [0], 1) is None
    cache(tmp_path, 0, 0, 3, "unknown", "0")
    assert cpu_cache_bytes(tmp_path, [0], 1) is None
    with pytest.raises(ValueError, match="invalid literal"):
        size_bytes("12Q")

"""The keys of environment.json that are read back, with their types. Other versions write more or fewer."""

from __future__ import annotations

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 - pydantic asks for these below Python 3.12

from .fields import Amount, Count


class GpuEntry(TypedDict):
    """Keys of the GPU in environment.json that are read back."""

    name: NotRequired[str | None]
    memory_bytes: NotRequired[Count | None]
    cuda: NotRequired[str | None]
    cudnn: NotRequired[str | None]
    driver: NotRequired[str | None]
    capability: NotRequired[str | None]
    sms: NotRequired[Count | None]
    l2_bytes: NotRequired[Count | None]
    sm_mhz: NotRequired[Amount | None]
    sm_mhz_max: NotRequired[Amount | None]
    memory_mhz: NotRequired[Amount | None]
    memory_mhz_max: NotRequired[Amount | None]
    power_limit_w: NotRequired[Amount | None]
    persistence: NotRequired[bool | None]
    attention_backends: NotRequired[list[str]]


class EnvironmentEntry(TypedDict):
    """Keys of environment.json, a run's or a cell's, that are read back; other versions write more or fewer."""

    node: NotRequired[str | None]
    cpu: NotRequired[str | None]
    cpu_capability: NotRequired[str | None]
    cores: NotRequired[Count | None]
    memory_bytes: NotRequired[Count | None]
    gpu: NotRequired[GpuEntry | None]
    os: NotRequired[str | None]
    versions: NotRequired[dict[str, str]]
    commit: NotRequired[str | None]
    uncommitted_changes: NotRequired[bool | None]
    load_average: NotRequired[list[Amount] | None]

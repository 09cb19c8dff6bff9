"""The slurm.conf of a cluster whose nodes are all this machine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

CONF = """\
ClusterName=decodebench-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
PlugStackConfig=/dev/null
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdTimeout=10
KillWait=2
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} State=UNKNOWN\n"
PARTITION = "PartitionName=debug Nodes={names} Default=YES MaxTime=60 State=UP OverSubscribe=NO\n"


def written(folder: Path, nodes: Sequence[str], cpus: int, lines: Sequence[str]) -> str:
    """The text: everything of the cluster is in ``folder``, each node has so many CPUs; ``lines`` come last."""
    host, (controller, *ports) = socket.gethostname().partition(".")[0], _free_ports(1 + len(nodes))
    text = CONF.format(host=host, controller=controller, folder=folder)
    for name, port in zip(nodes, ports, strict=True):
        text += NODE.format(name=name, host=host, port=port, cpus=cpus)
    return text + PARTITION.format(names=",".join(nodes)) + "".join(f"{line}\n" for line in lines)


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

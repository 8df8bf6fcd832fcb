"""How many engines a cluster of Ray can keep busy."""

from __future__ import annotations

from synthbench.errors import SynthbenchError
from synthbench.execution.clusters.needs import Experience
from synthbench.execution.clusters.ray_engine import Node, RayCluster, RayEngine
from synthbench.execution.clusters.remote import Traveller
from synthbench.execution.engines import Engine


class RayCrew:
    """As many engines as the cluster has room for, more when it grows. If it shrinks, tasks wait until there is room.

    limit: of stages at a time; None: none. threads: processors for each stage; None chooses. device: `cpu` leaves GPUs alone.
    Raises SynthbenchError if no machine of the cluster has room for a stage.
    """

    remote = True

    def __init__(
        self, cluster: RayCluster, traveller: Traveller, experience: Experience, *, device: str, limit: int | None, threads: int | None
    ) -> None:
        self.cluster, self.traveller, self.experience, self.device, self.limit = cluster, traveller, experience, device, limit
        nodes = self._nodes()
        self.gpus = any(each.gpus for each in nodes)  # for the whole run: the same stage must not run here with one and there without
        self.threads = threads or threads_for(nodes)
        if not sum(room(nodes, self.threads)):
            raise SynthbenchError(
                f"the Ray cluster has no machine with {self.threads} processors for a stage: {len(nodes)} machines, at most "
                f"{max((each.processors for each in nodes), default=0)} processors; give a smaller number with --threads"
            )
        self._hired = (0, 0)

    def engines(self) -> list[Engine]:
        """For what there is room now."""
        self._hired = (0, 0)
        return self.more()

    def more(self) -> list[Engine]:
        """For the room that has come since."""
        nodes = self._nodes()
        heavy, light = room(nodes, self.threads)
        if self.limit is not None:
            heavy = min(heavy, self.limit)
            light = min(light, self.limit - heavy)
        before, self._hired = self._hired, (max(heavy, self._hired[0]), max(light, self._hired[1]))
        kinds = [True] * (self._hired[0] - before[0]) + [not self.gpus] * (self._hired[1] - before[1])
        return [RayEngine(self.cluster, self.traveller, self.experience, gpus=self.gpus, heavy=each) for each in kinds]

    def close(self) -> None:
        """Ends the connection."""
        self.cluster.close()

    def _nodes(self) -> list[Node]:
        nodes = self.cluster.nodes()
        return nodes if self.device != "cpu" else [Node(each.processors, 0, each.memory) for each in nodes]


def threads_for(nodes: list[Node]) -> int:
    """Processors for each stage, as on one machine: a stage for each GPU and one beside them; two stages where there is no GPU.

    The smallest machine decides, so that a stage can run on each, with the same digits.
    """
    return min((max(1, each.processors // (each.gpus + 1 if each.gpus else 2)) for each in nodes), default=1)


def room(nodes: list[Node], threads: int) -> tuple[int, int]:
    """For how many stages that need a GPU there is room, and for how many others beside them."""
    stages = sum(each.processors // threads for each in nodes)
    heavy = sum(min(each.gpus, each.processors // threads) for each in nodes)
    return heavy, max(stages - heavy, 0)

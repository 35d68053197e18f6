"""The containers, volumes and networks of a deployment, each found by its labels."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rad_engineer import durable
from rad_engineer.delivery import deploy_door, deploy_record
from rad_engineer.delivery.deploy_engine import DEPLOYMENT, GENERATION, IMAGE, PART, Engine
from rad_engineer.delivery.deploy_image import FILES
from rad_engineer.delivery.deploy_record import Generation, Place, Record
from rad_engineer.errors import ConfigInvalid

_STOP_SECONDS = "10"
_COPY = "cp -a /from/. /to/"
_COPIER = ("--rm", "--network", "none", "--user", "0:0", "--cap-drop", "ALL", "--cap-add", "CHOWN",
           "--cap-add", "DAC_OVERRIDE", "--cap-add", "FOWNER", "--entrypoint", "sh")  # fmt: skip
_SCRAPE = """\
global:
  scrape_interval: 15s
scrape_configs:
  - job_name: rad-engineer
    metrics_path: /metrics
    authorization:
      credentials_file: /run/secrets/token
    static_configs:
      - targets: ["door:9090"]
"""


@contextmanager
def step(tell: Callable[[str], None], what: str) -> Iterator[None]:
    """Says that a step is done, or that it failed."""
    done = False
    try:
        yield
        done = True
    finally:
        tell(f"→ {what}... {'done' if done else 'failed'}")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a deployment consists of, on an engine."""

    engine: Engine
    place: Place

    def start(self, one: Generation) -> None:
        """Starts a generation, or the one that was stopped again; raises EngineFailed."""
        self._check_image(one.image)
        self._network()
        deploy_record.make_runs(self.place)
        self._compose(self._project(one), self._variables(generation=one), "serve")

    def start_door(self, record: Record) -> None:
        """Starts the door; one that runs as it is to be is left alone."""
        self._check_image(record.door_image)
        self._network()
        # compose 1 wants to see every volume of the file, also one that the door does not have
        self._compose(self.place.name, self._variables(record.current, record), "door")

    def start_prometheus(self, record: Record, image: str) -> None:
        """Starts the optional Prometheus, which has a volume of its own."""
        if not self.engine.has_image(image):
            self.engine.call("pull", image, seconds=1800)
        folder = self.place.folder / "prometheus"
        folder.mkdir(exist_ok=True)
        durable.replace(folder / "prometheus.yml", _SCRAPE.encode())
        volume = f"{self.place.name}-prometheus"
        if volume not in self.engine.ids("volume", self._label()):
            self._volume(volume)
            self._copy_into(volume, record.door_image, "chmod 1777 /to")
        found = {
            **self._variables(record=record),
            "RAD_DEPLOY_PROMETHEUS_IMAGE": image,
            "RAD_DEPLOY_VOLUME": volume,
        }
        self._compose(f"{self.place.name}-prometheus", found, "prometheus")

    def stop(self, one: Generation) -> None:
        """Stops a generation and keeps it, for a rollback."""
        for container in self._containers(one):
            self.engine.call("stop", "--time", _STOP_SECONDS, container)

    def remove(self, one: Generation) -> None:
        """Removes a generation with its volume."""
        for container in self._containers(one):
            self.engine.call("rm", "--force", container)
        if one.volume in self.engine.ids("volume", self._label()):
            self.engine.call("volume", "rm", one.volume)

    def remove_image(self, image: str, record: Record) -> None:
        """Removes an image that this deployment needs no more; one that another uses stays."""
        needed = {one.image for one in (record.current, record.previous) if one is not None}
        if image not in needed | {record.door_image}:
            self.engine.try_call("rmi", image)

    def make_volume(self, new: Generation, old: Generation | None) -> None:
        """An empty volume, or a copy of that of the generation before, which is only read."""
        self._volume(new.volume)
        if old is not None and old.volume in self.engine.ids("volume", self._label()):
            self._copy_into(new.volume, new.image, _COPY, "--volume", f"{old.volume}:/from:ro")

    def own_port(self, one: Generation) -> int | None:
        """The port of 127.0.0.1 on which a generation answers itself; None while it does not run."""
        for container in self._containers(one, running=True):
            found = str(self.engine.try_call("port", container, f"{deploy_record.PORT_INSIDE}/tcp")[1])
            number = found.strip().rpartition(":")[2]
            if number.isdigit():
                return int(number)
        return None

    def log(self, one: Generation, lines: int) -> list[str]:
        """The end of what a generation has printed."""
        found = []
        for container in self._containers(one):
            _, out, err = self.engine.try_call("logs", "--tail", str(lines), container)
            found += (out + err).splitlines()
        return found

    def states(self) -> list[dict[str, str]]:
        """Every container of this deployment: which part it is, and how it is."""
        found = []
        for container in self.engine.ids("container", self._label()):
            seen: dict[str, Any] = self.engine.inspect("container", container)
            labels, state = seen["Config"]["Labels"], seen["State"]
            health = (state.get("Health") or {}).get("Status", "")
            found.append({
                "part": labels.get(PART, ""), "generation": labels.get(GENERATION, ""),
                "container": str(seen["Name"]).lstrip("/"), "state": state["Status"], "health": health,
                "image": seen["Config"]["Image"],
            })  # fmt: skip
        return sorted(found, key=lambda row: (row["part"], row["generation"]))

    def with_door_image(self, record: Record, image: str) -> Record:
        """The door keeps the image that it was started with, as long as that is there and speaks as ours does."""
        known = record.door_version == deploy_door.VERSION and self.engine.has_image(record.door_image)
        return record if known else replace(record, door_image=image, door_version=deploy_door.VERSION)

    def clear_leftovers(self, record: Record) -> None:
        """Removes candidates of deployments that were cut off, and sends the door where the record says."""
        kept = {str(one.number) for one in (record.current, record.previous) if one is not None}
        volumes = {one.volume for one in (record.current, record.previous) if one is not None}
        for row in self.states():
            if row["part"] == "serve" and row["generation"] not in kept:
                self.engine.call("rm", "--force", row["container"])
        state = f"{self.place.name}-state-"
        for volume in self.engine.ids("volume", self._label()):
            if volume.startswith(state) and volume not in volumes:
                self.engine.call("volume", "rm", volume)
        if record.current is not None:
            deploy_record.aim(self.place, record.current.number)

    def remove_all(self, *, volumes: bool) -> dict[str, int]:
        """Removes all that carries the label, and images of ours that no deployment uses; says how many of each."""
        containers = self.engine.ids("container", self._label())
        for container in containers:
            self.engine.try_call("stop", "--time", _STOP_SECONDS, container)
            self.engine.call("rm", "--force", container)
        networks = self.engine.ids("network", self._label())
        for network in networks:
            self.engine.call("network", "rm", network)
        gone = self.engine.ids("volume", self._label()) if volumes else []
        for volume in gone:
            self.engine.call("volume", "rm", volume)
        return {"containers": len(containers), "networks": len(networks), "images": self._remove_images(),
                "volumes": len(gone)}  # fmt: skip

    def _remove_images(self) -> int:
        """Children first: an image that others stand on, or that a container uses, cannot go."""
        before = self.engine.ids("image", IMAGE)
        used = {
            str(self.engine.inspect("container", one)["Image"])
            for one in self.engine.ids("container", DEPLOYMENT)
        }
        left, went = before, True
        while went:
            went = False
            for image in left:
                if image not in used and self.engine.try_call("rmi", "--force", image)[0] == 0:
                    went = True
            left = self.engine.ids("image", IMAGE)
        return len(before) - len(left)

    def _check_image(self, name: str) -> None:
        if not self.engine.has_image(name):
            raise ConfigInvalid(
                f"there is no image {name} on this machine", hint="rad-engineer deploy local builds it"
            )

    def _network(self) -> None:
        if not self.engine.ids("network", self._label()):
            self.engine.call("network", "create", "--label", self._label(), self.place.name)

    def _volume(self, name: str) -> None:
        self.engine.call("volume", "create", "--label", self._label(), name)

    def _copy_into(self, volume: str, image: str, script: str, *more: str) -> None:
        self.engine.call(
            "run", *_COPIER, "--label", self._label(), "--volume", f"{volume}:/to", *more, image, "-c", script
        )

    def _containers(self, one: Generation, *, running: bool = False) -> list[str]:
        found = self.engine.ids("container", self._label(), f"{GENERATION}={one.number}")
        if not running:
            return found
        return [name for name in found if self.engine.inspect("container", name)["State"]["Running"]]  # type: ignore[index]

    def _compose(self, project: str, variables: dict[str, str], part: str) -> None:
        self.engine.composed(
            project, str(FILES / "compose.yaml"), variables, "up", "--detach", "--no-build", "--no-deps", part
        )

    def _project(self, one: Generation) -> str:
        return f"{self.place.name}-{one.number}"

    def _label(self) -> str:
        return f"{DEPLOYMENT}={self.place.name}"

    def _variables(
        self, generation: Generation | None = None, record: Record | None = None
    ) -> dict[str, str]:
        """All that compose.yaml asks for; what a part does not use has a value that it would not work with."""
        unused = "unused"
        return {
            "RAD_DEPLOY_NAME": self.place.name,
            "RAD_DEPLOY_NETWORK": self.place.name,
            "RAD_DEPLOY_USER": _user(self.engine),
            "RAD_DEPLOY_RUNS": str(self.place.runs),
            "RAD_DEPLOY_DOOR": str(self.place.door),
            "RAD_DEPLOY_TOKEN": str(self.place.token),
            "RAD_DEPLOY_PROMETHEUS": str(self.place.folder / "prometheus"),
            "RAD_DEPLOY_IMAGE": generation.image if generation else unused,
            "RAD_DEPLOY_GENERATION": str(generation.number) if generation else unused,
            "RAD_DEPLOY_VOLUME": generation.volume if generation else unused,
            "RAD_DEPLOY_DOOR_IMAGE": record.door_image if record else unused,
            "RAD_DEPLOY_PORT": str(record.port) if record else "1",
            "RAD_DEPLOY_PROMETHEUS_PORT": str(record.prometheus_port or 1) if record else "1",
            "RAD_DEPLOY_PROMETHEUS_IMAGE": unused,
        }


def _user(engine: Engine) -> str:
    """Who runs inside: whoever asks for the deployment, so that its files of mode 0600 can be read."""
    if engine.name == "Podman" and os.getuid() != 0:
        return "0:0"  # without root, Podman makes the user the root of the container
    return f"{os.getuid()}:{os.getgid()}"


def forget(where: Place) -> None:
    """Removes the record with all that lies beside it."""
    shutil.rmtree(where.folder)
    with suppress(OSError):  # the last one takes the folder of all with it
        Path(where.lock).unlink()
        where.folder.parent.rmdir()

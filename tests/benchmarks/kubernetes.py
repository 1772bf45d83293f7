"""Run the Kubernetes examples without Kubernetes: every pod a network, file systems and processes of its own.

    python -m tests.benchmarks.kubernetes reports.csv -o pods --kill
    python -m tests.benchmarks.kubernetes reports.csv -o pods --kill --image /tmp/image/radloop

The files are read, and what stands in them is done, word by word: commands, variables and the secret, services by their
names, probes, volumes, users, a failed container that is started again. Without ``--image``, the root of an image that
tests.benchmarks.dockerfile has made, the pods run what this Python runs. Needs Linux, util-linux and iproute2; with an
image also root. Of replicas only ``--replicas`` are started; limits of memory and cores are not kept. When this ends,
all that it started has ended. Labels and the logs of the pods are in ``-o``; prints what took how long, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final

import yaml

from tests.benchmarks.measure import ROOT

EXAMPLES: Final = ROOT / "docs" / "examples" / "kubernetes"
_NET: Final = "10.77.0"
_SECONDS_TO_BE_READY: Final = 240
_SECONDS_TO_BE_DONE: Final = 900
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS: Final = {"radloop": "corpora.cli", "ray": "ray.scripts.scripts"}
#: The first process of a pod: its network, its root, then the command. $1 is the pod's address, $2 its name.
_POD: Final = """
set -eu
address=$1 name=$2; shift 2
read -r _                          # the network is here
hostname "$name"
ip link set lo up; ip link set eth0 up
ip address add "$address/24" dev eth0; ip route add default via "$GATEWAY"
mkdir -p "$SCRATCH"; mount -t tmpfs pod "$SCRATCH"
mkdir "$SCRATCH/root" "$SCRATCH/up" "$SCRATCH/work"; root=$SCRATCH/root
if [ -n "$IMAGE" ]; then
    mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$SCRATCH/up,workdir=$SCRATCH/work" "$root"
    touch "$root/etc/hosts" "$root/etc/resolv.conf"
else
    for path in /*; do
        case $path in /proc | /tmp | /data) continue ;; esac
        if [ -L "$path" ]; then cp -P "$path" "$root$path"
        elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"; fi
    done
    mkdir -p "$root/proc" "$root/data"; mkdir -m 1777 "$root/tmp"
    for path in $NEEDED; do mkdir -p "$root$path"; mount --bind "$path" "$root$path"; done
fi
mount -t proc proc "$root/proc"
[ -z "$IMAGE" ] || mount --rbind /dev "$root/dev"
mount --bind "$HOSTS" "$root/etc/hosts"; mount --bind "$HOSTS.dns" "$root/etc/resolv.conf"
eval "$VOLUMES"
cd "$root"; exec chroot $USERSPEC . /usr/bin/env -i "$@"
"""


@dataclass(slots=True)
class Pod:
    """A container that runs."""

    name: str
    spec: Mapping[str, Any]
    process: subprocess.Popen[str]
    variables: list[str]

    @property
    def first(self) -> str:
        """The number of the first process inside, seen from outside; empty if there is none."""
        pid = self.process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().partition(" ")[0]


@dataclass(slots=True)
class Cluster:
    """Pods that reach each other by their addresses and, once they are ready, by the names of their services."""

    out: Path
    image: Path | None
    token: str
    replicas: int
    addresses: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    kept: list[Pod] = field(default_factory=list)
    restarts: int = 0

    def begin(self) -> None:
        """Make the network that the pods are joined by, and the volume that they share."""
        for command in (
            "ip link set lo up", "ip link add pods type bridge",
            f"ip address add {_NET}.1/24 dev pods", "ip link set pods up",
        ):  # fmt: skip
            subprocess.run(command.split(), check=True)
        (self.out / "hosts").write_text("127.0.0.1 localhost\n")
        # one that refuses at once: what waits for an answer about IPv6 never comes to the address in the file above
        (self.out / "hosts.dns").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        programs = self.out / "bin"
        programs.mkdir()
        for name, module in _PROGRAMS.items():
            (programs / name).write_text(f"#!{sys.executable}\nfrom {module} import main\nmain()\n")
            (programs / name).chmod(0o755)

    def start(self, name: str, spec: Mapping[str, Any]) -> Pod:
        """Start the container of a pod, or start it again."""
        (container,) = spec["containers"]
        address = self.addresses.setdefault(name, f"{_NET}.{len(self.addresses) + 10}")
        variables = [f"{key}={value}" for key, value in self._variables(container).items()]
        words = [*container["command"], *container["args"]]
        environment = {
            "PATH": _PATH, "GATEWAY": f"{_NET}.1",
            "SCRATCH": str(self.out / "scratch" / name), "HOSTS": str(self.out / "hosts"),
            "IMAGE": str(self.image or ""), "USERSPEC": f"--userspec={_user(spec)}" if self.image else "",
            "NEEDED": f"{ROOT} {sys.prefix} {self.out}", "VOLUMES": "\n".join(self._volumes(spec, container)),
        }  # fmt: skip
        command = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        with (self.out / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [*command, "sh", "-c", _POD, "pod", address, name, *variables, *words],
                env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
            )  # fmt: skip
        self._join(name, process)
        return Pod(name, spec, process, variables)

    def _join(self, name: str, process: subprocess.Popen[str]) -> None:
        """Give a pod its end of a cable as soon as it has a network of its own."""
        own = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{process.pid}/ns/net").readlink() == own:
            time.sleep(0.01)
        cable = f"pod{self.addresses[name].rpartition('.')[2]}"
        subprocess.run(["ip", "link", "delete", cable], stderr=subprocess.DEVNULL)  # of a container that has ended
        for command in (
            f"ip link add {cable} type veth peer name eth0 netns {process.pid}",
            f"ip link set {cable} master pods up",
        ):  # fmt: skip
            subprocess.run(command.split(), check=True)
        self._call(name, name)
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()

    def _call(self, name: str, pod: str) -> None:
        """Let a pod be reached by a name."""
        with (self.out / "hosts").open("a") as hosts:
            hosts.write(f"{self.addresses[pod]} {name}\n")

    def _variables(self, container: Mapping[str, Any]) -> dict[str, str]:
        own = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        secret = {each["name"]: self.token for each in container["env"] if "valueFrom" in each}
        image = {"PATH": f"{self.out / 'bin'}:{_PATH}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": "/tmp"}
        if self.image:
            image = {"PATH": f"/opt/radloop/bin:{_PATH}", "HF_HUB_OFFLINE": "1", "HOME": "/home/radloop"}
        return image | own | secret

    def _volumes(self, spec: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
        """Commands that mount what a container asks for."""
        volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            volume, target = volumes[mount["name"]], f'"$root{mount["mountPath"]}"'
            if "emptyDir" in volume:
                size = volume["emptyDir"]["sizeLimit"].removesuffix("i")
                yield f"mount -t tmpfs -o size={size},mode=1777 pod {target}"
            else:
                yield f"mount --bind '{self.out / volume['persistentVolumeClaim']['claimName']}' {target}"
        if not any(mount["mountPath"] == "/dev/shm" for mount in container.get("volumeMounts", ())):
            yield 'mount -t tmpfs -o size=64M,mode=1777 pod "$root/dev/shm"'

    def deploy(self, document: Mapping[str, Any]) -> None:
        """Start the pods of a deployment, and give those that are ready the names of their services."""
        template = document["spec"]["template"]
        for number in range(min(document["spec"]["replicas"], self.replicas)):
            pod = self.start(f"{document['metadata']['name']}-{number}", template["spec"])
            if probe := template["spec"]["containers"][0].get("readinessProbe"):
                pod = self._ready(pod, probe)
            self.kept.append(pod)
            for service, label in self.services.items():
                if label == template["metadata"]["labels"]["app"]:
                    self._call(service, pod.name)

    def keep(self) -> None:
        """Start the containers of deployments again that have ended."""
        for at, pod in enumerate(self.kept):
            if pod.process.poll() is not None:
                self.kept[at] = self.start(pod.name, pod.spec)
                self.restarts += 1

    def _ready(self, pod: Pod, probe: Mapping[str, Any]) -> Pod:
        """The pod as soon as its probe says so, started again if it has ended before."""
        deadline = time.monotonic() + _SECONDS_TO_BE_READY
        while time.monotonic() < deadline:
            if pod.process.poll() is not None:
                pod = self.start(pod.name, pod.spec)
                self.restarts += 1
            if self._inside(pod, probe["exec"]["command"], 3 * probe["timeoutSeconds"]) == 0:
                return pod
            time.sleep(1)
        sys.exit(f"{pod.name} is not ready:\n{(self.out / f'{pod.name}.log').read_text()[-3000:]}")

    def _inside(self, pod: Pod, words: Sequence[str], seconds: float) -> int:
        """The exit code of a command in a pod's container."""
        if not (first := pod.first):
            return 1
        user, _, group = _user(pod.spec).partition(":")
        identity = ["--setuid", user, "--setgid", group] if self.image else []
        enter = ["nsenter", "--target", first, "--mount", "--net", "--pid", "--ipc", "--uts", "--root", *identity]
        try:
            return subprocess.run(
                [*enter, "/usr/bin/env", "-i", *pod.variables, *words],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return 1

    def run_job(self, document: Mapping[str, Any], kill_when: Path | None) -> list[int]:
        """Run a job to its end, started again whenever it fails; its exit codes. It is killed once, as soon as
        it has noted labels in the folder ``kill_when``."""
        spec, codes = document["spec"], []
        while not codes or (codes[-1] and len(codes) <= spec["backoffLimit"]):
            pod = self.start(document["metadata"]["name"], spec["template"]["spec"])
            if self._killed(pod, kill_when):
                kill_when = None
            codes.append(pod.process.wait())
        return codes

    def _killed(self, pod: Pod, kill_when: Path | None) -> bool:
        """Wait for the end of a pod, and whether it was killed for there were labels."""
        deadline = time.monotonic() + _SECONDS_TO_BE_DONE
        while pod.process.poll() is None and time.monotonic() < deadline:
            self.keep()
            if kill_when and (kill_when / "progress.json").is_file():
                os.kill(int(pod.first), signal.SIGKILL)
                return True
            time.sleep(0.02)
        pod.process.kill()
        return False


def _user(spec: Mapping[str, Any]) -> str:
    return f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"


def documents(name: str) -> list[dict[str, Any]]:
    """What a file of the examples has in it."""
    return list(yaml.safe_load_all((EXAMPLES / name).read_text(encoding="utf-8")))


def label(reports: Path, out: Path, image: Path | None, replicas: int, kill: bool) -> dict[str, Any]:
    """The cluster, and the job that labels over it; must run where it may make a network (see ``main``)."""
    volume = out / "radloop-data"
    volume.mkdir(parents=True)
    shutil.copyfile(reports, volume / "reports.csv")
    (job,) = documents("label.yaml")
    if image is not None:
        _hand_over(volume, job["spec"]["template"]["spec"].get("securityContext", {}))
    cluster = Cluster(out, image, secrets.token_hex(32), replicas)
    cluster.begin()
    begun = time.monotonic()
    for document in documents("ray.yaml"):
        if document["kind"] == "Service":
            cluster.services[document["metadata"]["name"]] = document["spec"]["selector"]["app"]
        else:
            cluster.deploy(document)
    ready = time.monotonic()
    codes = cluster.run_job(job, volume / "labels.csv.partial" if kill else None)
    return {
        "pods": len(cluster.addresses), "seconds until the cluster was there": ready - begun,
        "seconds of the job": time.monotonic() - ready, "exit codes of the job": codes,
        "containers of the cluster started again": cluster.restarts,
    }  # fmt: skip


def _hand_over(volume: Path, context: Mapping[str, Any]) -> None:
    """A fresh volume is root's; with ``fsGroup`` its group may write."""
    if group := context.get("fsGroup"):
        for path in (volume, *volume.iterdir()):
            os.chown(path, 0, group)
            path.chmod(0o2775 if path.is_dir() else 0o664)


def isolated(words: Sequence[str]) -> list[str]:
    """A command that runs in namespaces of its own, and with it ends all that it started."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *rights, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *words]


def _end_with_parent() -> None:
    """End, and all pods with this process, which is the first of their namespace, when nobody holds stdin any more."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Run the examples, say what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("reports", type=Path, help="a table of reports")
    parser.add_argument("-o", "--out", type=Path, required=True, help="must not be there")
    parser.add_argument("--image", type=Path, help="the root of the image (default: what this Python runs)")
    parser.add_argument("--replicas", type=int, default=1, help="most pods of a deployment (%(default)s)")
    parser.add_argument("--kill", action="store_true", help="kill the job once when it has some labels")
    parser.add_argument("--isolated", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.isolated:
        words = [sys.executable, "-m", "tests.benchmarks.kubernetes", *sys.argv[1:], "--isolated"]
        with subprocess.Popen(isolated(words), stdin=subprocess.PIPE) as process:
            sys.exit(process.wait())
    Thread(target=_end_with_parent, daemon=True).start()
    image = options.image and options.image.resolve()
    figures = label(options.reports, options.out.resolve(), image, options.replicas, options.kill)
    print(json.dumps(figures, indent=2))
    sys.exit(figures["exit codes of the job"][-1] != 0)


if __name__ == "__main__":
    main()

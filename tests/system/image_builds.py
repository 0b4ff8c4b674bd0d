"""The image, built here from a Debian made for the occasion, and a container of it whose root cannot be written.

Everything is in one folder that the caller removes. pip's settings and the certificates of the machine are bound in
here: the image's own description knows neither.
"""

import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from socket import AF_UNIX, create_server, socket
from typing import Any

INSTALL_LIMIT_S = 240.0
BUILD_LIMIT_S = 900.0
USER = "10001"
HOME = "/var/lib/medai"
TOOLS = ("buildah", "debootstrap", "eatmydata", "unshare", "setpriv")
DEBIANS = ("buildah", "debootstrap", "eatmydata")
PASSED_ON = ("index-url", "extra-index-url", "find-links", "cert", "trusted-host", "proxy", "no-index", "timeout")
"""What of pip's settings on this machine a build on it needs."""


def missing() -> list[str]:
    return [name for name in TOOLS if shutil.which(name) is None]


def install() -> None:
    """Debian's own packages of what is missing. What goes wrong is shown by the skip that follows."""
    words = ["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *DEBIANS]
    for each in words:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                ["apt-get", *each],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=INSTALL_LIMIT_S,
            )


def run(*words: str | Path, limit_s: float = BUILD_LIMIT_S) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s
    )


class Builder:
    """buildah with its storage in `folder`."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self.repository = repository
        self._buildah = ["buildah", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._buildah += ["--storage-driver", "vfs"]

    def buildah(self, *words: str | Path) -> str:
        done = run(*self._buildah, *words)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
        return done.stdout.strip()

    def base(self) -> str:
        """A Debian with Python 3.11, named by digest as the pipeline names its own."""
        container = self.buildah("from", "scratch")
        root = Path(self.buildah("mount", container))
        # The last one by its name: what asks for it asks for a virtual package, which debootstrap does not resolve.
        packages = "python3.11,python3.11-venv,python3-distutils"
        # Nothing of it outlives the test, so nothing waits for a disk.
        done = run("eatmydata", "debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root)
        assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
        for folder in (
            root / "var" / "cache" / "apt",
            root / "var" / "lib" / "apt" / "lists",
            root / "usr" / "share" / "doc",
        ):
            shutil.rmtree(folder)
        self.buildah("umount", container)
        self.buildah("commit", "--quiet", "--rm", container, "localhost/base")
        digest = json.loads(self.buildah("images", "--json", "localhost/base"))[0]["digest"]
        return f"localhost/base@{digest}"

    def refusal(self) -> str:
        """What a build says that was given no base."""
        done = run(*self._buildah, "build", "--isolation", "chroot", self.repository)
        assert done.returncode != 0
        return done.stderr

    def build(self, base: str) -> str:
        """The image's id."""
        binds = [word for bind in self._binds() for word in ("--volume", bind)]
        self.buildah(
            "build", "--isolation", "chroot", "--pull-never", "--build-arg", f"BASE_IMAGE={base}",
            "--build-arg", "COMMIT=abc123", *binds, "--tag", "localhost/medai-flow", self.repository,
        )  # fmt: skip
        return "localhost/medai-flow"

    def _binds(self) -> Iterator[str]:
        """pip's settings as a file, and every file and folder that they name, where the build looks for them."""
        settings = self.folder / "pip.conf"
        lines = ["[global]"]
        for name, value in _pip_settings().items():
            values = value.split()
            lines += [f"{name} = {values[0]}", *(f"    {each}" for each in values[1:])]
            for each in values:
                path = Path(each.removeprefix("file://"))
                if path.is_absolute() and path.exists():
                    yield f"{_top(path)}:{_top(path)}:ro"
        settings.write_text("\n".join(lines) + "\n", "utf-8")
        yield f"{settings}:/etc/pip.conf:ro"

    def inspect(self, image: str) -> Mapping[str, Any]:
        config: Mapping[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
        return config

    @contextlib.contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """A container's root, to be read; nothing is ever written there."""
        container = self.buildah("from", "--pull-never", image)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("umount", container)
            self.buildah("rm", container)


def _pip_settings() -> dict[str, str]:
    done = run(sys.executable, "-m", "pip", "config", "list", limit_s=60)
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in PASSED_ON:
            found[option] = ast.literal_eval(value)
    return found


def _top(path: Path) -> Path:
    """The file itself, or a folder's first two levels: one bind for all that lies in it."""
    return path if path.is_file() else Path(*path.parts[:3])


class Container:
    """Processes of the image: its user, no privilege, a root that cannot be written, two volumes."""

    def __init__(self, root: Path, home: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.home = home
        self.environment = {"MEDAI_HOME": HOME, **environment}

    def words(self, *words: str) -> list[str]:
        """The command line. What is mounted is gone with its process: the mounts are in a namespace of their own."""
        script = (
            "set -e; root=$1; home=$2; shift 2\n"
            'mount --bind "$root" "$root"; mount -o remount,bind,ro "$root"\n'
            'mount --bind "$home" "$root' + HOME + '"\n'
            'mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"\n'
            'mount --rbind /dev "$root/dev"; mount --rbind /proc "$root/proc"\n'
            # chroot(2) itself needs a capability, so it comes before they are given up.
            f'exec chroot "$root" setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs '
            '--bounding-set=-all --inh-caps=-all "$@"\n'
        )
        mine = ["unshare", "--mount", "sh", "-c", script, "sh"]
        return [*mine, str(self.root), str(self.home), *words]

    def given(self) -> dict[str, str]:
        # After the image's own: where the kernel's tools are that give up its rights.
        return {**self.environment, "PATH": f"{self.environment['PATH']}:/usr/sbin:/sbin"}

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.words(*words), env=self.given(), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip

    @contextlib.contextmanager
    def serving(self, words: Sequence[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.words(*words), env=self.given(), cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


@contextlib.contextmanager
def over_tcp(path: str) -> Iterator[int]:
    """A local port that leads to the Unix socket at `path`: the embedded PostgreSQL has no port of its own, and another
    user cannot reach its folder."""
    listener = create_server(("127.0.0.1", 0))
    open_sockets: list[socket] = [listener]

    def pump(source: socket, target: socket) -> None:
        with contextlib.suppress(OSError):
            while body := source.recv(65_536):
                target.sendall(body)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(2)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket(AF_UNIX)
                far.connect(path)
                open_sockets.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        for each in open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(2)
            each.close()

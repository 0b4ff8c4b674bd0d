"""The image, built and run as a pod would run it: what is in it, who it is, what it may write."""

import json
import os
import re
import socket
import stat
import sys
import time
from pathlib import Path
from subprocess import run

import pytest
from psycopg import conninfo

from sbom import lockfile
from tests.system import image_builds
from tests.system.image_builds import HOME, USER, Builder, Container, over_tcp
from tests.system.running import Client, eventually

# Making a Debian and installing everything into it takes minutes, which count for the first test.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1_500)]

START_LIMIT_S = 120.0
COMPILERS = (
    "cc",
    "gcc",
    "g++",
    "c++",
    "clang",
    "make",
    "ld",
    "as",
    "pip",
    "pip3",
    "git",
    "curl",
    "wget",
    "apt",
    "dpkg",
)
SHELLS = ("sh", "bash", "rbash", "dash", "ash", "zsh", "busybox", "perl")
FOLDERS = ("usr/bin", "usr/sbin", "usr/local/bin", "bin", "sbin", "app/.venv/bin")


@pytest.fixture(scope="module")
def builder(repository, tmp_path_factory):
    if os.environ.get("CI") != "true" or os.geteuid() != 0:
        pytest.skip("an image is built in CI, as root: it takes minutes, and mounts")
    if image_builds.missing():
        image_builds.install()
    if image_builds.missing():
        pytest.skip(f"no {', '.join(image_builds.missing())} here, and none to be installed")
    return Builder(tmp_path_factory.mktemp("image"), repository)


@pytest.fixture(scope="module")
def image(builder):
    return builder.build(builder.base())


@pytest.fixture(scope="module")
def config(builder, image):
    return builder.inspect(image)


@pytest.fixture(scope="module")
def root(builder, image):
    with builder.mounted(image) as folder:
        yield folder


@pytest.fixture(scope="module")
def container(root, config, module_database, tmp_path_factory):
    """With a ledger begun by the image's own commands, in a database that it reaches over TCP."""
    home = tmp_path_factory.mktemp("volume")
    os.chown(home, int(USER), int(USER))
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], two.getsockname()[1]
    folder = str(conninfo.conninfo_to_dict(module_database.writer_url)["host"])
    (at,) = [path for path in Path(folder).iterdir() if path.name.startswith(".s.PGSQL.") and path.suffix != ".lock"]
    with over_tcp(str(at)) as port:
        where = {"host": "127.0.0.1", "port": str(port)}
        yield Container(root, home, {
            **dict(each.split("=", 1) for each in config["Env"]),
            "MEDAI_DATABASE_URL": conninfo.make_conninfo(module_database.writer_url, **where),
            "MEDAI_DATABASE_READER_URL": conninfo.make_conninfo(module_database.reader_url, **where),
            "MEDAI_PORT": str(ports[0]), "MEDAI_INTERNAL_PORT": str(ports[1]),
        })  # fmt: skip


@pytest.fixture(scope="module")
def serving(container, config, tmp_path_factory):
    """The image's own entry point, ready."""
    begun = container.run("medai", "ledger", "init", "--origin", "image.example/test")
    assert begun.returncode == 0, begun.stderr
    log = tmp_path_factory.mktemp("log") / "service.log"
    with container.serving([*config["Entrypoint"], *config["Cmd"]], log) as process:
        with Client(int(container.environment["MEDAI_INTERNAL_PORT"])) as internal:
            ready = eventually(lambda: process.poll() is not None or _ready(internal), START_LIMIT_S)
            said = log.read_text("utf-8", "replace")[-4_000:]
            assert (ready, process.poll()) == (True, None), said
        yield process


def _ready(client):
    try:
        return client.get("/readyz").status == 200
    except OSError:
        time.sleep(0.2)
        return False


# ---- what it is


def test_a_build_without_a_base_says_what_to_pass(builder):
    assert "--build-arg BASE_IMAGE=" in builder.refusal()


def test_it_is_nobody_that_is_root(config):
    assert config["User"] == f"{USER}:{USER}"


def test_it_starts_without_a_shell(config):
    assert (config["Entrypoint"], config["Cmd"]) == (["medai"], ["serve", "--host", "0.0.0.0"])


def test_it_says_which_commit_it_was_built_from(config):
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc123"
    assert "MEDAI_COMMIT=abc123" in config["Env"]


def test_it_says_which_base_it_was_built_on_by_digest(config):
    labels = config["Labels"]
    assert re.fullmatch(r"localhost/base@sha256:[0-9a-f]{64}", labels["org.opencontainers.image.base.name"])


def test_its_home_is_its_one_volume(config):
    assert list(config["Volumes"]) == [HOME]


def test_nothing_of_the_machine_that_built_it_is_left_in_it(config, root):
    assert not (root / "etc" / "pip.conf").exists() or (root / "etc" / "pip.conf").read_bytes() == b""
    assert [each for each in config["Env"] if "://" in each or each.startswith("PIP_")] == []


# ---- what is in it


def test_it_holds_exactly_what_the_lock_names(repository, root):
    pinned = {(pin.name, pin.version) for pin in lockfile.parse((repository / "requirements.lock").read_text("utf-8"))}
    site = root / "app" / ".venv" / "lib" / "python3.11" / "site-packages"
    installed = {
        (lockfile.normalise(name), version)
        for path in site.glob("*.dist-info")
        for name, _, version in [path.name.removesuffix(".dist-info").rpartition("-")]
    }
    assert {each for each in installed if each[0] != "medai-flow"} == pinned


def programs(root, names):
    return [name for name in names for folder in FOLDERS if os.path.lexists(root / folder / name)]


def test_nothing_that_installs_or_builds_is_in_it(root):
    assert programs(root, COMPILERS) == []
    assert [path.name for path in root.glob("app/.venv/lib/*/site-packages/pip*")] == []
    assert list(root.glob("usr/lib/python3*/ensurepip")) == []


def test_no_shell_is_in_it(root):
    assert programs(root, SHELLS) == []


def test_what_is_installed_is_still_listed_for_scanners(root):
    assert "Package: libc6" in (root / "var" / "lib" / "dpkg" / "status").read_text("utf-8").splitlines()


def test_no_test_no_embedded_database_and_no_key_is_in_it(root):
    top = {path.name for path in (root / "app").iterdir()} - {".venv"}
    assert top == {"audit", "migrations", "pyproject.toml", "requirements.lock", "sbom", "service", "traceability"}


def test_every_module_of_ours_is_compiled(root):
    sources = [
        path for name in ("audit", "service", "sbom", "traceability") for path in (root / "app" / name).rglob("*.py")
    ]
    cached = [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()]
    assert cached == []


def test_the_standard_library_is_compiled(root):
    (folder,) = [
        path
        for path in (*root.glob("usr/lib/python3.11"), *root.glob("usr/local/lib/python3.11"))
        if (path / "os.py").is_file()
    ]
    assert [
        path.name
        for path in folder.glob("*.py")
        if not (folder / "__pycache__" / f"{path.stem}.cpython-311.pyc").is_file()
    ] == []


def test_no_program_in_it_lends_its_owners_rights(root):
    lent = stat.S_ISUID | stat.S_ISGID
    found = [
        path for path in root.rglob("*") if not path.is_symlink() and path.is_file() and path.stat().st_mode & lent
    ]
    assert found == []


# ---- what it does


def test_it_becomes_ready_as_an_ordinary_user_with_no_capability(serving):
    status = Path(f"/proc/{serving.pid}/status").read_text("utf-8")
    told = dict(re.findall(r"(?m)^(Uid|CapEff|CapBnd|NoNewPrivs):\s+(\S+)", status))
    assert told == {"Uid": USER, "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}


def test_its_findings_are_proved(repository, serving, container, ct_slice, tmp_path):
    issued = container.run("medai", "token", "issue", "ward", "--scope", "infer")
    with Client(int(container.environment["MEDAI_PORT"]), issued.stdout.strip()) as client:
        # The file of tokens is read each second.
        assert eventually(lambda: client.infer(ct_slice).status != 401, START_LIMIT_S)
        answer = client.infer(ct_slice)
    assert answer.status == 200, answer.body
    (tmp_path / "answer.json").write_bytes(answer.body)
    key = container.run("medai", "audit", "key").stdout.strip()
    verifier = [sys.executable, "-I", "-S", repository / "audit" / "verifier.py", "--key", key]
    done = run([*verifier, tmp_path / "answer.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_in_it_is_as_it_was_published(container):
    """Otherwise it would refuse to start in production: what runs there is what was released."""
    done = container.run("python3.11", "-c", "from sbom import installed; print([*installed.altered()])")
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_it_says_over_http_which_commit_it_is(serving, container):
    with Client(int(container.environment["MEDAI_PORT"])) as client:
        assert client.get("/version").json()["commit"] == "abc123"


WALK = """
import json, os
written = []
for folder, folders, _ in os.walk("/", followlinks=False):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    try:
        handle = os.open(os.path.join(folder, ".written"), os.O_CREAT | os.O_WRONLY, 0o600)
    except OSError:
        continue
    os.close(handle)
    os.unlink(os.path.join(folder, ".written"))
    written.append(folder)
print(json.dumps(written))
"""


def test_it_can_write_to_its_volumes_and_nowhere_else(container):
    done = container.run("python3.11", "-c", WALK)
    written = json.loads(done.stdout)
    assert {each for each in written if each != "/tmp" and not each.startswith(HOME)} == set(), done.stderr
    assert HOME in written

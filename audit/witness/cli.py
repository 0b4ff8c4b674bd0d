"""`medai audit witness init | key | run`: a witness of one's own, for whoever does not want to trust the log.

Exit codes: 0 done, or ended by SIGTERM; 1 a state that was altered; 2 usage or a setting that cannot be obeyed.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from audit import cosignature, signing
from audit.cosignature import Cosigner
from audit.errors import AuditError, SettingInvalid, VerificationFailed
from audit.witness import folder, logs, settings
from audit.witness.answers import Answers
from audit.witness.rates import Rates
from audit.witness.server import Server
from audit.witness.settings import Places, WitnessSettings
from audit.witness.witness import Witness

EXIT_ALTERED: Final = 1
EXIT_USAGE: Final = 2

_LOGS: Final = """\
# The logs that this witness knows, and the keys that it trusts for each. Restart the witness after a change.
#
# [[log]]
# origin = "hospital.example/log"
# keys = ["hospital.example/log+ID+BASE64"]
"""


def main(arguments: Sequence[str]) -> int:
    """The exit code. What goes wrong in the world is one sentence on standard error, never a traceback."""
    parser = argparse.ArgumentParser(
        prog="medai audit witness",
        description="A C2SP witness: it cosigns the checkpoints of logs, each along one history only.",
    )
    chosen = parser.add_subparsers(dest="command", required=True, metavar="init|key|run")
    init = chosen.add_parser("init", help="make the keys, the state and an empty list of logs")
    init.add_argument("--name", required=True, help="the witness's name, for ever: a URL without https://")
    init.add_argument("--ml-dsa", action="store_true", help="an ML-DSA-44 key besides (FIPS 204, post-quantum)")
    chosen.add_parser("key", help="print the verifier keys, for policies")
    run = chosen.add_parser("run", help="serve until SIGTERM")
    run.add_argument("--host", help="the address to listen on (default: MEDAI_WITNESS_HOST)")
    run.add_argument("--port", help="the port, 0 for any that is free (default: MEDAI_WITNESS_PORT)")
    options = parser.parse_args(arguments)
    commands: dict[str, Callable[[argparse.Namespace], int]] = {"init": _init, "key": _key, "run": _run}
    try:
        return commands[options.command](options)
    except VerificationFailed as error:
        return _complain(error, EXIT_ALTERED)
    except AuditError as error:
        return _complain(error, EXIT_USAGE)


def _init(options: argparse.Namespace) -> int:
    """Idempotent: what is there stays, with `--ml-dsa` also later the second key is added.

    The state knows a key before the key is there. So a crash leaves no key without a state, and a key without one has
    lost it: such a key may have cosigned anything, and begins nothing anew.
    """
    where = settings.places(os.environ)
    held = _cosigners(where)
    for cosigner in held:
        if cosigner.name != options.name:
            raise SettingInvalid(f"--name: the key that is there is of {cosigner.name}; name another home")
    if held:
        folder.open_state(where.state, [cosigner.verifier for cosigner in held], lock_deadline_ms=0)
    wanted = [(where.ed25519_key, cosignature.ALGORITHM_ED25519)]
    if options.ml_dsa:
        wanted.append((where.ml_dsa_key, cosignature.ALGORITHM_ML_DSA_44))
    for path, algorithm in wanted:
        if not path.exists():
            made = Cosigner(options.name, secrets.token_bytes(signing.SEED_BYTES), algorithm)
            folder.create_state(where.state, [made.verifier])
            signing.write(path, made.skey)
    if not where.logs.exists():
        where.logs.write_text(_LOGS, encoding="utf-8")
    print(f"witness {options.name} begun under {where.home}; name its logs in {where.logs}. For policies:")
    return _key(options)


def _key(_: argparse.Namespace) -> int:
    for cosigner in _required(settings.places(os.environ)):
        print(cosigner.verifier)
    return 0


def _run(options: argparse.Namespace) -> int:
    given = {"HOST": options.host, "PORT": options.port}
    told = {settings.PREFIX + name: value for name, value in given.items() if value is not None}
    environment = {**os.environ, **told}
    where, limits = settings.places(environment), settings.read(environment)
    answers = _answers(where, limits)
    asyncio.run(_serve(Server(answers.answer, limits), where.host))
    return 0


def _answers(where: Places, limits: WitnessSettings) -> Answers:
    """All that is not the network. Everything that can be found wrong is found here, before anybody is answered."""
    cosigners, known = _required(where), logs.read(where.logs)
    verifiers = [cosigner.verifier for cosigner in cosigners]
    state = folder.open_state(where.state, verifiers, lock_deadline_ms=limits.lock_deadline_ms)
    witness = Witness(
        known,
        cosigners,
        state,
        lambda: int(time.time()),
        Rates(limits.log_rate_per_s, time.monotonic, at_most=max(1, len(known))).admits,
        clock_tolerance_s=limits.clock_tolerance_s,
        max_kept_conflicts=limits.max_kept_conflicts,
        fresh_s=limits.fresh_s,
    )
    return Answers(
        witness,
        Rates(limits.peer_rate_per_s, time.monotonic, at_most=limits.max_peers),
        Rates(limits.log_rate_per_s, time.monotonic, at_most=max(1, len(known))),
        _report,
        max_proof_hashes=limits.max_proof_hashes,
    )


async def _serve(server: Server, host: str) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        port = await server.listen(host)
    except OSError as error:
        raise SettingInvalid(f"witness: cannot listen on {host}:{server.settings.port} ({error.strerror})") from error
    print(f"witness listening on http://{host}:{port}", flush=True)
    await ended.wait()
    await server.close()


def _cosigners(where: Places) -> list[Cosigner]:
    """Those that are there, Ed25519 first."""
    return [signing.load_cosigner(path) for path in (where.ed25519_key, where.ml_dsa_key) if path.exists()]


def _required(where: Places) -> list[Cosigner]:
    found = _cosigners(where)
    if not found:
        raise SettingInvalid(f"witness: no key under {where.home}; `medai audit witness init` makes one")
    return found


def _report(origin: str, old_size: int, size: int, status: int) -> None:
    """One line a checkpoint, on standard output. The origin is one of our own list."""
    print(json.dumps({"log": origin, "old": old_size, "size": size, "status": status}), flush=True)


def _complain(error: AuditError, code: int) -> int:
    print(f"medai: {error.code}: {error}", file=sys.stderr)
    return code

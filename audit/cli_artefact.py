"""`medai audit verify --receipt F | --answer F`: one saved artefact, judged by a policy or by one key.

C2SP tlog-policy: a policy names logs, witnesses and a quorum; where it names no logs, the key is given besides.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Final

import msgspec

from audit import cli_logs, command, evidence, key_chain, policy
from audit.errors import AuditError, SettingInvalid
from audit.receipt import Policy
from audit.rotation import KeyHistory
from audit.settings import places

MAX_SAVED_BYTES: Final = 4 * 1024 * 1024  # as in `audit/verifier.py`; an answer has some 5 KB


def verify(options: argparse.Namespace) -> int:
    """Prints the verdict, and gives its exit code. Raises `SettingInvalid` for what cannot be read."""
    history = None if options.chain is None else _history(options.chain, options.key)
    trusted = policy_of(options.policy, options.key)
    if history is not None:
        trusted = msgspec.structs.replace(trusted, logs=history.verifiers)
    saved = read(options.receipt or options.answer, MAX_SAVED_BYTES)
    check = evidence.check_receipt if options.receipt is not None else evidence.check_answer
    verdict = check(saved, trusted)
    proof = cli_logs.receipt_in(saved)
    if verdict.exit_code == 0 and history is not None and proof is not None:
        history.open(proof.checkpoint)  # a policy takes any of the keys; each has its own sizes
    lost = None if proof is None else cli_logs.lost(proof, places(os.environ).home)
    words = verdict.words if lost is None else f"{verdict.words}; {lost}"
    if options.json:
        command.say(json.dumps({"exit_code": verdict.exit_code, "words": words, "steps": verdict.steps}))
    else:
        for step in verdict.steps:
            command.say(f"  {step}")
        command.say(words)
    return verdict.exit_code


def _history(path: Path, key: str | None) -> KeyHistory:
    """The keys that a file of `medai audit key --chain` proves to follow from the given one. Raises `AuditError`."""
    if key is None:
        raise SettingInvalid("--chain: give a key that you trust with --key VKEY")
    return key_chain.verify(key_chain.decode(read(path, key_chain.MAX_BYTES)), command.verifier_of(key))


def policy_of(path: Path | None, key: str | None) -> Policy:
    """The policy of the file, with the log's key from `key` where it names no log; else that key alone.

    Raises `SettingInvalid` where both name logs: which of them is meant, nobody could say afterwards.
    """
    if path is None:
        return Policy(logs=(command.verifier_of(key),))
    try:
        found = policy.parse(read(path, policy.MAX_POLICY_BYTES))
    except AuditError as error:
        raise SettingInvalid(f"--policy: {path.name}: {error}") from error
    if not found.logs:
        return msgspec.structs.replace(found, logs=(command.verifier_of(key),))
    if key is not None:
        raise SettingInvalid("--key: the policy names its logs; give one or the other")
    return found


def read(path: Path, at_most: int) -> bytes:
    try:
        with path.open("rb") as file:
            saved = file.read(at_most + 1)
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"{path.name}: cannot be read ({error})") from error
    if len(saved) > at_most:
        raise SettingInvalid(f"{path.name}: larger than {at_most} bytes")
    return saved

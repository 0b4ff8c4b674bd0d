"""The evaluator of the restricted standard: each of its controls refuses what it is there for, and nothing else."""

import copy
from typing import Any

import pytest

from tests import pod_security

GOOD = {
    "metadata": {"annotations": {}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {
                "name": "before",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "containers": [
            {"name": "main", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}
MAIN, BEFORE = ("spec", "containers", 0), ("spec", "initContainers", 0)
POD, CONTEXT = ("spec", "securityContext"), (*MAIN, "securityContext")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/main"
BAD = [  # the control, the place, what is put there
    ("hostNamespaces", ("spec", "hostNetwork"), True),
    ("hostNamespaces", ("spec", "hostPID"), True),
    ("hostNamespaces", ("spec", "hostIPC"), True),
    ("windowsHostProcess", (*POD, "windowsOptions"), {"hostProcess": True}),
    ("windowsHostProcess", (*CONTEXT, "windowsOptions"), {"hostProcess": True}),
    ("privileged", (*CONTEXT, "privileged"), True),
    ("privileged", (*BEFORE, "securityContext", "privileged"), True),
    ("capabilities", (*CONTEXT, "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    ("capabilities", (*CONTEXT, "capabilities"), {"drop": ["ALL"], "add": ["CHOWN"]}),
    ("capabilities", (*CONTEXT, "capabilities"), {"drop": ["NET_RAW"]}),
    ("capabilities", (*CONTEXT, "capabilities"), None),
    ("hostPathVolumes", ("spec", "volumes", 0), {"name": "host", "hostPath": {"path": "/"}}),
    ("restrictedVolumes", ("spec", "volumes", 0), {"name": "share", "nfs": {"server": "a", "path": "/"}}),
    ("restrictedVolumes", ("spec", "volumes", 0), {"name": "disk", "azureDisk": {}}),
    ("hostPorts", (*MAIN, "ports"), [{"containerPort": 8080, "hostPort": 8080}]),
    ("hostProbesAndHostLifecycle", (*MAIN, "livenessProbe"), {"httpGet": {"host": "10.0.0.1", "port": 80}}),
    ("hostProbesAndHostLifecycle", (*MAIN, "lifecycle"), {"preStop": {"tcpSocket": {"host": "a", "port": 1}}}),
    ("appArmorProfile", (*CONTEXT, "appArmorProfile"), {"type": "Unconfined"}),
    ("appArmorProfile", ("metadata", "annotations", APPARMOR), "unconfined"),
    ("seLinuxOptions", (*CONTEXT, "seLinuxOptions"), {"type": "spc_t"}),
    ("seLinuxOptions", (*POD, "seLinuxOptions"), {"user": "system_u"}),
    ("procMount", (*CONTEXT, "procMount"), "Unmasked"),
    ("sysctls", (*POD, "sysctls"), [{"name": "kernel.msgmax", "value": "1"}]),
    ("allowPrivilegeEscalation", (*CONTEXT, "allowPrivilegeEscalation"), True),
    ("allowPrivilegeEscalation", (*CONTEXT, "allowPrivilegeEscalation"), None),
    ("runAsNonRoot", (*POD, "runAsNonRoot"), None),
    ("runAsNonRoot", (*CONTEXT, "runAsNonRoot"), False),
    ("runAsUser", (*POD, "runAsUser"), 0),
    ("runAsUser", (*CONTEXT, "runAsUser"), 0),
    ("seccompProfile", (*POD, "seccompProfile"), None),
    ("seccompProfile", (*CONTEXT, "seccompProfile"), {"type": "Unconfined"}),
]


def changed(place, value):
    pod = copy.deepcopy(GOOD)
    inner: Any = pod
    for step in place[:-1]:
        inner = inner[step]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return pod


def test_a_pod_that_says_all_that_is_asked_for_is_admitted():
    assert pod_security.breaches(GOOD) == []


@pytest.mark.parametrize("control, place, value", BAD)
def test_each_control_refuses_what_it_is_there_for_and_no_other_does(control, place, value):
    refused = {breach.partition(":")[0] for breach in pod_security.breaches(changed(place, value))}
    assert refused == {control}


def test_every_control_has_something_that_it_refuses():
    assert {control for control, _, _ in BAD} == set(pod_security.CONTROLS)


@pytest.mark.parametrize(
    "place, value",
    [
        ((*CONTEXT, "capabilities"), {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
        ((*POD, "sysctls"), [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
        ((*CONTEXT, "seccompProfile"), {"type": "Localhost", "localhostProfile": "a"}),
        ((*CONTEXT, "seLinuxOptions"), {"type": "container_t"}),
        (("spec", "volumes", 0), {"name": "vault", "csi": {"driver": "a"}}),
    ],
)
def test_what_the_standard_admits_is_not_refused(place, value):
    assert pod_security.breaches(changed(place, value)) == []

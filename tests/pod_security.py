"""The restricted Pod Security Standard, judged without a cluster: one function a control, by the name that the
admission controller of Kubernetes gives it (k8s.io/pod-security-admission, policy/, at its newest version: 1.34 and
later).

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Pod = Mapping[str, Any]
"""`metadata` and `spec`, as a pod or a pod template has them."""

SAFE_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"}
    | {"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
SAFE_SYSCTLS = frozenset(
    {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies"}
    | {"net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports"}
    | {"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"}
    | {"net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
    | {"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"}
)
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
VOLUMES = frozenset(
    {"configMap", "downwardAPI", "emptyDir", "projected", "secret", "csi", "persistentVolumeClaim", "ephemeral"}
    | {"image"}
)
SECCOMP = frozenset({"RuntimeDefault", "Localhost"})


def breaches(pod: Pod) -> list[str]:
    """`control: where` for everything that the restricted standard does not admit; empty for a pod that it does."""
    return [f"{control}: {where}" for control, judge in CONTROLS.items() for where in judge(pod)]


def _containers(pod: Pod) -> Iterator[Mapping[str, Any]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod["spec"].get(kind, ())


def _contexts(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The pod's security context first, then each container's."""
    yield "pod", pod["spec"].get("securityContext") or {}
    for container in _containers(pod):
        yield container["name"], container.get("securityContext") or {}


def _host_namespaces(pod: Pod) -> Iterator[str]:
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod["spec"].get(name))


def _windows_host_process(pod: Pod) -> Iterator[str]:
    for where, context in _contexts(pod):
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield where


def _privileged(pod: Pod) -> Iterator[str]:
    yield from (where for where, context in _contexts(pod) if context.get("privileged"))


def _capabilities(pod: Pod) -> Iterator[str]:
    """Restricted: all are dropped, and NET_BIND_SERVICE alone may be added."""
    for container in _containers(pod):
        capabilities = (container.get("securityContext") or {}).get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            yield f"{container['name']} does not drop ALL"
        for added in sorted(set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}):
            yield f"{container['name']} adds {added}{'' if added in SAFE_CAPABILITIES else ', which no level admits'}"


def _host_path(pod: Pod) -> Iterator[str]:
    yield from (volume["name"] for volume in pod["spec"].get("volumes", ()) if "hostPath" in volume)


def _restricted_volumes(pod: Pod) -> Iterator[str]:
    for volume in pod["spec"].get("volumes", ()):
        for kind in sorted(set(volume) - {"name", "hostPath"} - VOLUMES):
            yield f"{volume['name']} is of kind {kind}"


def _host_ports(pod: Pod) -> Iterator[str]:
    for container in _containers(pod):
        yield from (container["name"] for port in container.get("ports", ()) if port.get("hostPort"))


def _host_of_probes(pod: Pod) -> Iterator[str]:
    for container in _containers(pod):
        handlers = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        handlers += (container.get("lifecycle") or {}).values()
        for handler in filter(None, handlers):
            if any((handler.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
                yield container["name"]


def _app_armor(pod: Pod) -> Iterator[str]:
    for where, context in _contexts(pod):
        if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
            yield where
    for name, value in (pod.get("metadata", {}).get("annotations") or {}).items():
        named = name.startswith("container.apparmor.security.beta.kubernetes.io/")
        if named and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            yield name


def _selinux(pod: Pod) -> Iterator[str]:
    for where, context in _contexts(pod):
        options = context.get("seLinuxOptions") or {}
        if options.get("type", "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
            yield where


def _proc_mount(pod: Pod) -> Iterator[str]:
    yield from (where for where, context in _contexts(pod) if context.get("procMount", "Default") != "Default")


def _sysctls(pod: Pod) -> Iterator[str]:
    sysctls = (pod["spec"].get("securityContext") or {}).get("sysctls") or ()
    yield from (sysctl["name"] for sysctl in sysctls if sysctl["name"] not in SAFE_SYSCTLS)


def _privilege_escalation(pod: Pod) -> Iterator[str]:
    for container in _containers(pod):
        if (container.get("securityContext") or {}).get("allowPrivilegeEscalation") is not False:
            yield container["name"]


def _non_root(pod: Pod) -> Iterator[str]:
    """True in the pod, or in every container; and false nowhere."""
    (_, whole), *each = _contexts(pod)
    for where, context in each:
        if context.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
            yield where


def _user(pod: Pod) -> Iterator[str]:
    yield from (where for where, context in _contexts(pod) if context.get("runAsUser") == 0)


def _seccomp(pod: Pod) -> Iterator[str]:
    """Said in the pod or in every container, and never anything else."""
    (_, whole), *each = _contexts(pod)
    for where, context in each:
        if ((context.get("seccompProfile") or whole.get("seccompProfile")) or {}).get("type") not in SECCOMP:
            yield where


CONTROLS: Mapping[str, Callable[[Pod], Iterator[str]]] = {
    "hostNamespaces": _host_namespaces,
    "windowsHostProcess": _windows_host_process,
    "privileged": _privileged,
    "capabilities": _capabilities,
    "hostPathVolumes": _host_path,
    "restrictedVolumes": _restricted_volumes,
    "hostPorts": _host_ports,
    "hostProbesAndHostLifecycle": _host_of_probes,
    "appArmorProfile": _app_armor,
    "seLinuxOptions": _selinux,
    "procMount": _proc_mount,
    "sysctls": _sysctls,
    "allowPrivilegeEscalation": _privilege_escalation,
    "runAsNonRoot": _non_root,
    "runAsUser": _user,
    "seccompProfile": _seccomp,
}

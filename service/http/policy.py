"""The bounds of the HTTP edge, one named number each; `service.settings` reads them from the environment."""

from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True):
    """What is refused, folded or waited for. Every number is for one process."""

    max_head_bytes: int = 64 * 1024
    """Request line and header fields of one request, trailer fields included."""
    head_timeout_ms: int = 15_000
    """From the connection, or a request's first byte, to the end of its header."""
    max_connections: int = 900
    """Open at once on one socket; one address at most `caller_share_percent` of what others leave."""
    connections_per_s: int = 200
    """New connections of one address in a second, and at once."""
    max_body_bytes: int = 64 * 1024 * 1024
    max_bodies_bytes: int = 512 * 1024 * 1024
    """All bodies held in memory together; past it a request is told to come back."""
    body_timeout_ms: int = 30_000
    max_admitted: int = 64
    """Requests to `/infer` that are uploading, waiting or running."""
    caller_share_percent: int = 50
    """How much of `max_admitted` and of `max_bodies_bytes` one caller may hold, slow bodies hold both; of what others
    leave, so that several together never hold all."""
    max_running: int = 4
    """Of these, how many decode and infer at once; the others wait in order."""
    queue_timeout_ms: int = 10_000
    caller_rate_per_s: int = 2_000
    caller_burst: int = 4_000
    peer_rate_per_s: int = 50
    peer_burst: int = 100
    """Requests to the routes that need no token, for each peer."""
    refusals_per_minute: int = 30
    """Refusals of one peer that are recorded singly; what follows in that minute is folded into a window."""
    refusals_per_minute_total: int = 600
    """The same of all peers together; what follows in that minute is folded into one window, whoever's it is."""
    max_log_reads: int = 32
    """Checkpoints, tiles, bundles and proofs being read at once; past it a request is told to come back."""
    answers_per_minute: int = 300
    """Answers to one peer without a token that are recorded singly, as refusals are."""
    answers_per_minute_total: int = 600
    """The same of all peers together."""
    windows_per_minute: int = 100
    """Peers that have windows of their own in a minute; the others share one for each subject."""
    max_peers: int = 10_000
    """Peers told apart in a minute; the others share one name."""
    window_grace_ms: int = 120_000
    """How long after its minute a window may stay open before a process of another home closes it without a count."""
    refusal_delay_ms: int = 500
    """How long a refusal that is folded waits before it is sent, to a caller without a token."""
    retry_after_s: int = 1
    linger_ms: int = 1_000
    """How long an unread body is drained after a refusal, so that the refusal reaches its caller."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """In which header a trusted proxy names its peer."""
    peer_ipv6_bits: int = 64
    """How much of an IPv6 address is one peer."""

    @property
    def flood_records_per_minute(self) -> int:
        """The most records that one process makes in a minute of requests without a valid token, however many there
        are, from however many addresses. Each single one may be followed by one that says that its caller was gone;
        each window is two, and there is one of each subject for all peers beyond `windows_per_minute`."""
        singles = self.answers_per_minute_total + self.refusals_per_minute_total
        return 2 * singles + 2 * (self.windows_per_minute + 2)

"""Where one message of PostgreSQL's protocol 3 ends and the next begins, from both sides of one connection.

PostgreSQL, "Message Formats" (chapter 54.7): a type byte, then four bytes of length, which count themselves and what
follows. What a client sends first has no type byte; what answers a request for encryption is one byte alone.
"""

from typing import Literal

from msgspec import Struct

Side = Literal["client", "server"]

LENGTH = 4
# Codes in the place of a protocol version, of requests that come before the startup message.
CANCEL, SSL, GSS = 80877102, 80877103, 80877104
BEFORE_STARTUP = {CANCEL: "CancelRequest", SSL: "SSLRequest", GSS: "GSSENCRequest"}

OF_CLIENT = {
    "B": "Bind", "C": "Close", "D": "Describe", "E": "Execute", "H": "Flush", "P": "Parse", "Q": "Query",
    "S": "Sync", "X": "Terminate",
}  # fmt: skip
OF_SERVER = {
    "1": "ParseComplete", "2": "BindComplete", "3": "CloseComplete", "A": "NotificationResponse",
    "C": "CommandComplete", "D": "DataRow", "E": "ErrorResponse", "I": "EmptyQueryResponse", "K": "BackendKeyData",
    "N": "NoticeResponse", "n": "NoData", "S": "ParameterStatus", "s": "PortalSuspended", "T": "RowDescription",
    "t": "ParameterDescription", "v": "NegotiateProtocolVersion", "Z": "ReadyForQuery",
}  # fmt: skip
AUTHENTICATION = {
    0: "AuthenticationOk", 3: "AuthenticationCleartextPassword", 5: "AuthenticationMD5Password",
    10: "AuthenticationSASL", 11: "AuthenticationSASLContinue", 12: "AuthenticationSASLFinal",
}  # fmt: skip


class Message(Struct, frozen=True, kw_only=True):
    """One message, whole: who sent it, its name in the manual, its bytes as they were on the wire."""

    side: Side
    name: str
    content: bytes

    @property
    def backend_pid(self) -> int:
        """Of a BackendKeyData: the server process that serves this connection."""
        assert self.name == "BackendKeyData"
        return int.from_bytes(self.content[5:9], "big")


class Conversation:
    """Cuts what two sides send into messages. One for each connection."""

    def __init__(self) -> None:
        self._left: dict[Side, bytearray] = {"client": bytearray(), "server": bytearray()}
        self._has_begun = False
        self._passwords = 0
        self._bare_answers = 0

    def feed(self, side: Side, content: bytes) -> list[Message]:
        """The messages that are whole now, in order."""
        left = self._left[side]
        left += content
        messages = []
        while (message := self._next(side, left)) is not None:
            del left[: len(message.content)]
            messages.append(message)
        return messages

    def _next(self, side: Side, left: bytearray) -> Message | None:
        if side == "client" and not self._has_begun:
            return self._first(left)
        if side == "server" and self._bare_answers and left:
            self._bare_answers -= 1
            return Message(side=side, name="EncryptionResponse", content=bytes(left[:1]))
        if len(left) < 1 + LENGTH:
            return None
        end = 1 + int.from_bytes(left[1 : 1 + LENGTH], "big")
        if len(left) < end:
            return None
        content = bytes(left[:end])
        return Message(side=side, name=self._name(side, content), content=content)

    def _first(self, left: bytearray) -> Message | None:
        if len(left) < 2 * LENGTH or len(left) < (end := int.from_bytes(left[:LENGTH], "big")):
            return None
        name = BEFORE_STARTUP.get(int.from_bytes(left[LENGTH : 2 * LENGTH], "big"), "StartupMessage")
        self._has_begun = name == "StartupMessage"
        self._bare_answers += name in ("SSLRequest", "GSSENCRequest")
        return Message(side="client", name=name, content=bytes(left[:end]))

    def _name(self, side: Side, content: bytes) -> str:
        kind = chr(content[0])
        if side == "server":
            return AUTHENTICATION[int.from_bytes(content[5:9], "big")] if kind == "R" else OF_SERVER[kind]
        if kind == "p":  # the same letter for all that answers an authentication request
            self._passwords += 1
            return "SASLInitialResponse" if self._passwords == 1 else "SASLResponse"
        return OF_CLIENT[kind]

"""`link: {type: serial}` of a device profile: a port and its settings, and the line that they describe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from harness.core.errors import UserInputError
from harness.core.fields import EnvName, not_allowed
from harness.links.profile import LineLinkProfile, LinkPlace
from harness.links.serial.line import PortLine
from harness.links.serial.port import SerialSettings, known_ports

if TYPE_CHECKING:
    from harness.links.serial.line import Line

_PATH = re.compile(r"(?!.*/\.\.(/|$))(/[A-Za-z0-9._+@:,=-]+)+|COM[0-9]{1,3}")
#: `ign_set_control`: the one of pyserial's options that a terminal server may need (it does not confirm the control lines)
_URL = re.compile(
    r"(socket://[A-Za-z0-9_.\[\]:-]+|rfc2217://[A-Za-z0-9_.\[\]:-]+):(?P<port>[0-9]{1,5})(?P<option>\?ign_set_control)?"
)
_MOST_PORT = 65_535
PORT_WORDS = (
    "an absolute path such as /dev/serial/by-id/..., COM3, socket://HOST:PORT, rfc2217://HOST:PORT or "
    f"rfc2217://HOST:PORT?ign_set_control, with a PORT of 1 to {_MOST_PORT}"
)


def is_port(text: str) -> bool:
    """Whether a text can be a serial port: a device's path, or a URL of a kind that carries a serial line."""
    if _PATH.fullmatch(text) is not None:
        return True
    url = _URL.fullmatch(text)
    if url is None or (url["option"] and not text.startswith("rfc2217://")):
        return False
    return 1 <= int(url["port"]) <= _MOST_PORT


def _check_port(value: str) -> str:
    if not is_port(value):
        raise not_allowed(PORT_WORDS)
    return value


SerialPortName = Annotated[str, AfterValidator(_check_port)]


class SerialLinkProfile(LineLinkProfile):
    """The board hangs on a serial line. `port_env` names an environment variable that, when set, wins over `port`.

    `dtr` and `rts` are the control lines' levels while the port is open: some boards reset by one of them.
    """

    type: Literal["serial"]
    port: SerialPortName | None = None
    port_env: EnvName | None = None
    baud: Annotated[int, Field(ge=300, le=12_000_000)] = 115_200
    dtr: bool = True
    rts: bool = True

    def settings(self, place: LinkPlace) -> SerialSettings:
        """The port, the environment's value in place.

        Raises:
            UserInputError: no port is known, or the environment's value is none.
        """
        port = place.from_environment(self.port_env, SerialPortName, "serial port") or self.port
        if port is None:
            raise place.no_value("serial port", self.port_env, "port: /dev/serial/by-id/...", twin_helps=True)
        return SerialSettings(port=port, baud=self.baud, dtr=self.dtr, rts=self.rts)

    def require_address(self, place: LinkPlace) -> None:
        """A port is known."""
        self.settings(place)

    def absence(self, place: LinkPlace) -> str | None:
        """A port of this machine that does not exist."""
        try:
            port = self.settings(place).port
        except UserInputError:
            return None
        if not port.startswith("/") or Path(port).exists():
            return None
        return f"there is no port {port} (is the board plugged in? {known_ports()})"

    def make_line(self, place: LinkPlace) -> Line:
        """The port."""
        return PortLine(self.settings(place))

    def text(self, place: LinkPlace) -> str:
        """`serial PORT at BAUD baud`; `serial` alone without a port."""
        try:
            settings = self.settings(place)
        except UserInputError:
            return self.type
        return f"serial {settings.port} at {settings.baud} baud"

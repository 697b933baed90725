"""`link: {type: ssh}` of a device profile: address, login and keys, and the connection that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from harness.core.errors import UserInputError
from harness.core.fields import EnvName, Host, LocalPath, Part, Port, Seconds, User, inconsistent, is_loopback
from harness.links.base import Jump, SshLink
from harness.links.profile import LinkPlace, ProgramLinkProfile

if TYPE_CHECKING:
    from harness.links.base import Link


class JumpHost(Part):
    """An SSH host on the way to the board."""

    host: Host
    port: Port = 22
    user: User | None = None


class SshLinkProfile(ProgramLinkProfile):
    """The board is reached over SSH.

    `*_env` name environment variables that, when set, win over the value in the file. Without `port` it is 22, unless
    `port_env` is there: then the port must come from the variable.
    """

    type: Literal["ssh"]
    host: Host | None = None
    host_env: EnvName | None = None
    port: Port | None = None
    port_env: EnvName | None = None
    user: User | None = None
    user_env: EnvName | None = None
    #: private keys to try; none means the SSH agent and the usual files in ~/.ssh
    key_files: tuple[LocalPath, ...] = ()
    key_env: EnvName | None = None
    use_agent: bool = True
    #: name of the environment variable that holds a password; passwords themselves never stand in a profile
    password_env: EnvName | None = None
    jump: JumpHost | None = None
    connect_timeout_s: Seconds = 10.0
    keepalive_s: Annotated[int, Field(ge=1, le=3600)] = 15

    @model_validator(mode="after")
    def _has_address(self) -> SshLinkProfile:
        if self.host is None and self.host_env is None:
            raise inconsistent("an SSH link needs `host`, or `host_env` with the name of the variable that holds it")
        return self

    def require_address(self, place: LinkPlace) -> None:
        """An address and a port are known, and the key files are there."""
        self.ssh(place)

    def make_link(self, place: LinkPlace) -> Link:
        """The connection, not yet open."""
        return self.ssh(place).link()

    def text(self, place: LinkPlace) -> str:
        """`ssh USER@HOST:PORT`; `ssh` alone without an address."""
        try:
            settings = self.ssh(place)
        except UserInputError:
            return self.type
        return f"ssh {settings.user + '@' if settings.user else ''}{settings.host}:{settings.port}"

    def other_machine(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The host, unless it is a loopback name or address."""
        host = (environ or {}).get(self.host_env or "") or self.host
        return None if host is None or is_loopback(host) else host

    def ssh(self, place: LinkPlace) -> SshLink:
        """The settings of the connection, the environment's values in place.

        Raises:
            UserInputError: no address or port, a value of the environment that is none, a key file that is not there.
        """
        host = place.from_environment(self.host_env, Host, "host") or self.host
        if not host:
            raise place.no_value("address", self.host_env, "host: 192.0.2.7")
        port = place.from_environment(self.port_env, Port, "port") or self.port
        if port is None and self.port_env:
            raise place.no_value("port", self.port_env, "port: 2222")
        jump = self.jump
        return SshLink(
            host=host,
            port=port or 22,
            user=place.from_environment(self.user_env, User, "user") or self.user,
            key_files=self._key_files(place),
            use_agent=self.use_agent,
            password_env=self.password_env,
            jump=Jump(host=jump.host, port=jump.port, user=jump.user) if jump else None,
            connect_timeout_s=self.connect_timeout_s,
            keepalive_s=self.keepalive_s,
            device=place.device,
        )

    def _key_files(self, place: LinkPlace) -> tuple[str, ...]:
        key = place.from_environment(self.key_env, LocalPath, "key")
        key_files = tuple(str(Path(k).expanduser()) for k in ((key,) if key else self.key_files))
        for path in key_files:
            if not Path(path).is_file():
                source = f"${self.key_env}" if key else "`link.key_files`"
                raise UserInputError(
                    f"the key file {path} does not exist", where=place.device, hint=f"correct {source}"
                )
        return key_files

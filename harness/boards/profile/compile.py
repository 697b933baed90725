"""The `compile:` block of a backend: an offline compiler that a model goes through before it travels to the board.

Field by field in docs/guides/vela.md. Whatever stands here ends up in an argument list, so every value is one of a known set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, model_validator

from harness.core.errors import UserInputError
from harness.core.fields import Part, inconsistent, not_allowed
from harness.envs.hostenv import parse_tool

if TYPE_CHECKING:
    from harness.tflite.vela.compiler import VelaOptions

#: accelerators that the compiler's current core supports (`vela --help`, 5.2.0)
Accelerator = Literal[
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
]
#: `System_Config.*` sections of Arm/vela.ini, which comes with the compiler (5.2.0)
SystemConfig = Literal[
    "Ethos_U55_Deep_Embedded",
    "Ethos_U55_High_End_Embedded",
    "Ethos_U65_Embedded",
    "Ethos_U65_Mid_End",
    "Ethos_U65_High_End",
    "Ethos_U65_Client_Server",
    "Ethos_U85_SYS_Flash_Low",
    "Ethos_U85_SYS_Flash_High",
    "Ethos_U85_SYS_DRAM_Low",
    "Ethos_U85_SYS_DRAM_Mid",
    "Ethos_U85_SYS_DRAM_High",
]
#: `Memory_Mode.*` sections of the same file
MemoryMode = Literal[
    "Sram_Only",
    "Shared_Sram",
    "Dedicated_Sram",
    "Dedicated_Sram_256KB",
    "Dedicated_Sram_384KB",
    "Dedicated_Sram_512KB",
]
#: system configurations whose second memory is flash: read-only while the NPU works
_WITH_FLASH = frozenset(
    {
        "Ethos_U55_Deep_Embedded",
        "Ethos_U55_High_End_Embedded",
        "Ethos_U65_Embedded",
        "Ethos_U85_SYS_Flash_Low",
        "Ethos_U85_SYS_Flash_High",
    }
)


def _check_tool(value: str) -> str:
    try:
        parse_tool(value)
    except UserInputError as error:
        raise not_allowed(str(error)) from None
    return value


class CompileProfile(Part):
    """How Arm's Vela compiles a model for an Ethos-U.

    Attributes:
        tool: the compiler.
        package: its pinned Python package; it gets an environment of its own on this machine.
        accelerator: NPU and MACs per cycle.
        system_config: clock and memory bandwidths that the estimates assume.
        memory_mode: where constants, tensors and the NPU's cache lie.
        optimise: `performance` or `size` (least memory).
    """

    tool: Literal["vela"]
    package: Annotated[str, AfterValidator(_check_tool)] = "ethos-u-vela==5.2.0"
    accelerator: Accelerator
    system_config: SystemConfig
    memory_mode: MemoryMode
    optimise: Literal["performance", "size"] = "performance"

    def vela_options(self) -> VelaOptions:
        """The block in the compiler's words."""
        from harness.tflite.vela.compiler import VelaOptions

        return VelaOptions(
            accelerator=self.accelerator,
            system_config=self.system_config,
            memory_mode=self.memory_mode,
            optimise=self.optimise,
            package=self.package,
        )

    @model_validator(mode="after")
    def _same_family(self) -> CompileProfile:
        family = self.accelerator.split("-")[1].upper()
        words = None
        if not self.system_config.startswith(f"Ethos_{family}_"):
            words = f"system_config {self.system_config} describes another NPU than {self.accelerator}"
        elif self.system_config in _WITH_FLASH and self.memory_mode.startswith("Dedicated"):
            words = (
                f"memory_mode {self.memory_mode} needs DRAM, and system_config {self.system_config} has flash instead"
            )
        if words:
            raise inconsistent(words)
        return self

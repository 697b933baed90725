"""Waiting for a cooler board: as long as the profile says, told in the record."""

from __future__ import annotations

from itertools import chain, repeat

import pytest

from harness.boards.surroundings import CoolDown, Reading
from harness.core.errors import TransientDeviceError
from harness.judge.cell import judge
from harness.run.cell import new_measurement
from harness.run.cooling import wait_until_cool
from harness.run.measurement import Cooling
from tests.judge.facts import OUTPUTS, context, measured, model
from tests.support.fake_board import FakeBoard

WANTED = CoolDown(below_c=60.0, at_most_s=10.0)


class WarmBoard(FakeBoard):
    """A board whose sensors give these temperatures one after the other, then the last one."""

    def heat(self, *celsius: float | None):
        self.temperatures = chain(celsius, repeat(celsius[-1]))
        return self

    def sense(self):
        value = next(self.temperatures)
        if isinstance(value, Exception):
            raise value
        return None if value is None else Reading(temperature_c=value)


def waited(board, wanted=WANTED, measurement=None):
    now = [0.0]
    measurement = measurement or new_measurement()
    stages: list[str] = []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    wait_until_cool(board, wanted, measurement, stages.append, clock=lambda: now[0], sleep=sleep)
    return measurement.cooling, stages, measurement


def board(*celsius):
    return WarmBoard(name="board", outputs=OUTPUTS).heat(*celsius)


def test_a_cell_waits_until_the_board_is_cool_and_says_how_long():
    cooling, stages, _ = waited(board(72.0, 66.0, 59.5))
    assert cooling == Cooling(below_c=60.0, waited_s=2.0, first_c=72.0, last_c=59.5)
    assert stages == ["cooling, 72 °C", "cooling, 66 °C"]


def test_a_cool_board_is_not_waited_for_and_a_profile_without_a_wait_asks_nothing():
    assert waited(board(45.0))[0] == Cooling(below_c=60.0, waited_s=0.0, first_c=45.0, last_c=45.0)
    assert waited(board(99.0), wanted=None)[0] is None


def test_all_starts_of_a_cell_share_one_deadline():
    hot = board(90.0)
    cooling, _, measurement = waited(hot)
    assert (cooling.waited_s, cooling.last_c) == (10.0, 90.0)
    assert waited(hot, measurement=measurement)[0].waited_s == 10.0


def test_a_board_without_a_sensor_is_not_waited_for():
    assert waited(board(None))[0] == Cooling(below_c=60.0)


def test_a_link_that_breaks_while_it_waits_is_the_devices_fault():
    with pytest.raises(TransientDeviceError):
        waited(board(80.0, TransientDeviceError("gone")))


@pytest.mark.parametrize(
    ("cooling", "code"),
    [
        (Cooling(below_c=60.0, waited_s=4.25, first_c=70.0, last_c=59.0), None),
        (Cooling(below_c=60.0, waited_s=10.0, first_c=70.0, last_c=66.0), "still-hot"),
        (Cooling(below_c=60.0), "no-temperature"),
    ],
)
def test_the_record_says_how_long_it_waited_and_whether_that_was_of_use(cooling, code):
    record = judge(measured(cooling=cooling), model(), context())
    assert record.cooled_s == cooling.waited_s
    assert [f.code for f in record.findings] == ([code] if code else [])

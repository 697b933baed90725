"""The screen and the confirmation: the test is exact, its budget is kept, suspects are what lies beyond the noise."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from harness.verdict.confirm import LOOKS, error_share, look, rank_sum_p
from harness.verdict.screen import LEAST, board_shift, screen, session_spread

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("count", LOOKS)
def test_the_rank_sum_is_the_exact_one(count):
    old, new = RNG.normal(size=count), RNG.normal(size=count) + 0.3
    assert rank_sum_p(new, old) == pytest.approx(mannwhitneyu(new, old, alternative="greater", method="exact").pvalue)


def test_ties_count_for_no_change():
    same = np.array([1.0, 1.0, 2.0, 2.0])
    assert rank_sum_p(same, same) > 0.5
    assert rank_sum_p(np.full(4, 3.0), np.full(4, 3.0)) == 1.0


def sessions(shift, count, spread=0.005):
    return list(10 + shift + spread * RNG.standard_normal(count))


def test_a_step_is_confirmed_and_none_is_refuted():
    assert look(sessions(0, 8), sessions(0.1, 8), error_share(3)).state == "confirmed"
    states = [look(sessions(0, 4), sessions(0, 4), error_share(3)).state for _ in range(200)]
    assert "confirmed" not in states and states.count("refuted") > 100
    assert look(sessions(0, 16), sessions(0.0, 16), error_share(3)).state == "refuted"


def test_the_margin_of_one_percent_is_no_change():
    states = [look(sessions(0, 16, 0.001), sessions(0.008, 16, 0.001), 0.005).state for _ in range(50)]
    assert "confirmed" not in states


def test_faster_is_mirrored():
    assert look(sessions(0.1, 8), sessions(0, 8), error_share(3), worse=False).state == "confirmed"


def test_what_eight_sessions_cannot_reach_passes_on_to_sixteen():
    alpha = 1e-4  # half of it lies below the smallest p of eight a side, 7.8e-5
    eight = look(sessions(0, 8), sessions(0.3, 8), alpha)
    assert eight.state == "more" and eight.alpha == 0
    sixteen = look(sessions(0, 16), sessions(0.3, 16), alpha)
    assert sixteen.state == "confirmed" and sixteen.alpha == pytest.approx(alpha)


def test_a_session_without_a_time_is_refused():
    with pytest.raises(ValueError):
        look([1.0, 2.0, 3.0, math.nan], [1.0, 2.0, 3.0, 4.0], 0.01)
    with pytest.raises(ValueError):
        look([1.0] * 5, [1.0] * 5, 0.01)


def test_the_screen_suspects_beyond_two_percent_and_the_noise():
    history = 10 + 0.004 * RNG.standard_normal((3, 30))
    tonight = np.array([10.0, 10.05, 9.95])
    found = screen(history, tonight)
    assert found.slower.tolist() == [False, True, False] and found.faster.tolist() == [False, False, True]
    assert (found.threshold >= LEAST).all() and (found.detectable > 0.02).all()


def test_a_second_night_has_a_prior_and_no_night_no_verdict():
    found = screen(np.array([[10.0], [np.nan]]), np.array([10.03, 10.5]))
    assert found.nights.tolist() == [1, 0]
    assert not found.slower.any()  # 3 % lies within what 1 % of noise and one night leave open
    assert np.isnan(found.detectable[1])
    assert screen(np.array([[10.0]]), np.array([10.2])).slower.all()


def test_a_cell_without_a_time_is_no_suspect():
    found = screen(np.full((1, 10), 10.0), np.array([np.nan]))
    assert not found.slower.any() and not found.faster.any()


def test_a_slow_mode_widens_what_is_stated():
    plain = 10 + 0.003 * RNG.standard_normal((1, 30, 3))
    second = plain + 0.1 * (RNG.random((1, 30, 3)) < 0.2)
    assert session_spread(second)[0] > 3 * session_spread(plain)[0]
    assert np.isnan(session_spread(plain[..., :1])[0])


def test_a_board_that_changes_is_told_by_its_controls_and_taken_off_its_cells():
    controls = 10 + 0.003 * RNG.standard_normal((5, 20))
    shift = board_shift(controls, np.full(5, 10.08))
    assert shift.changed and shift.value == pytest.approx(0.08, abs=0.01)
    cells = 10 + 0.003 * RNG.standard_normal((50, 20))
    assert not screen(cells, np.full(50, 10.08), shift=shift.value).slower.any()
    assert not board_shift(controls, np.full(5, 10.004)).changed
    assert not board_shift(controls[:4], np.full(4, 10.5)).changed  # too few to tell

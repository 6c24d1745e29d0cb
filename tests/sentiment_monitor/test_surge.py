"""The surge detector on made-up hours whose truth is known."""

from __future__ import annotations

import json
import timeit
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from sentiment_monitor.baseline import (
    DAY_H,
    WEEK_H,
    Baseline,
    History,
    SurgeSettings,
    baseline,
    fresh,
    hour_of_week,
    learn,
    mature,
    shared_profile,
)
from sentiment_monitor.surge import (
    SurgeReading,
    SurgeState,
    advance,
    calibrated,
    clear_p,
    episode_peaks,
    evaluate,
    fire_p,
    freezes,
    scan,
)

START_H = 20_000 * DAY_H
S = SurgeSettings()
DAYS = 70


def quiet(seed: int, rates: tuple[float, ...] = (2.0,), share: float = 0.25, days: int = DAYS) -> History:
    """Poisson news without rhythm, drift or copies: stories an hour, `share` of them negative."""
    rng = np.random.default_rng(seed)
    shape = (len(rates), days * DAY_H)
    total = rng.poisson(np.array(rates)[:, None], shape)
    return History(START_H, rng.binomial(total, share).astype(float), total.astype(float), np.ones(shape))


def add(h: History, at: int, hours: int, negative: float, other: float = 0.0, seed: int = 1) -> History:
    """The same news with so many more stories an hour, from column `at`."""
    rng, neg, total = np.random.default_rng(seed), h.negative.copy(), h.total.copy()
    more, rest = rng.poisson(negative, (len(neg), hours)), rng.poisson(other, (len(neg), hours))
    neg[:, at : at + hours] += more
    total[:, at : at + hours] += more + rest
    return replace(h, negative=neg, total=total)


def columns(h: History, first: int, last: int) -> History:
    cols = slice(first, last)
    return History(h.start_h + first, h.negative[:, cols], h.total[:, cols], h.exposure[:, cols])


def replay(h: History, begin: int, s: SurgeSettings = S) -> tuple[list, np.ndarray]:
    """Readings and states of the first entity hour by hour from a midnight, and the hours it froze."""
    state, out, frozen = SurgeState(), [], np.zeros(h.total.shape, bool)
    b = baseline(h, begin, s)
    for now in range(begin, h.total.shape[1]):
        if now > begin and now % DAY_H == 0:
            day = columns(h, now - 2 * DAY_H, now - DAY_H)
            open_h = day.exposure * ~frozen[:, now - 2 * DAY_H : now - DAY_H]
            b = learn(b, replace(day, exposure=open_h), s) if now >= 2 * DAY_H else b
        reading = evaluate(h, now, b, s)
        state = advance(state, reading, s)
        frozen[0, now] = freezes(state, s)
        out.append((now, reading, state))
    return out, frozen


def rate(b: Baseline) -> float:
    return float(b.total[0] / b.hours[0])


def reading(p: float, kind: str = "negative_surge", s: SurgeSettings = S) -> SurgeReading:
    level = "surge" if p <= fire_p(s) else "raised" if p <= clear_p(s) else "normal"
    return SurgeReading(kind if level != "normal" else "none", level, p, 3, 9, 2, 0.7, 0.2, 1.0)  # type: ignore[arg-type]


SURGE, RAISED, CALM = reading(1e-6), reading(0.03), reading(0.6)
BLIND = replace(CALM, level="no_data", coverage=0.0)


def phases(readings: list[SurgeReading]) -> list[SurgeState]:
    states = [SurgeState()]
    for r in readings:
        states.append(advance(states[-1], r, S))
    return states[1:]


def test_more_bad_news_fires_a_negative_surge_within_hours_and_names_its_numbers() -> None:
    begin = 65 * DAY_H
    h = add(quiet(1), begin + 5, DAY_H, negative=4.0)
    run, _ = replay(h, begin)
    now, first, _ = next(x for x in run if x[2].alarms)
    assert first.kind == "negative_surge"
    assert begin + 5 <= now <= begin + 9
    window = slice(now + 1 - first.window_h, now + 1)
    assert first.observed == h.negative[0, window].sum() > S.least_ratio * first.expected
    assert first.share == pytest.approx(h.negative[0, window].sum() / h.total[0, window].sum())
    assert first.baseline_share == pytest.approx(0.25, abs=0.05)
    assert first.score > 2


def test_an_earnings_day_is_a_volume_surge_and_not_bad_news() -> None:
    begin = 65 * DAY_H
    run, _ = replay(add(quiet(2), begin + 5, DAY_H, negative=3.0, other=9.0), begin)
    kinds = {r.kind for _, r, _ in run if r.level == "surge"}
    assert kinds == {"volume_surge"}
    assert run[-1][2].alarms == 1


def test_quiet_news_stays_within_the_budget() -> None:
    h = quiet(3, rates=tuple(np.repeat([0.3, 1.0, 4.0, 20.0], 5)), days=120)
    raised, b = 0, baseline(h, 60 * DAY_H, S)
    for today in range(60 * DAY_H, 120 * DAY_H, DAY_H):
        found = scan(h, today, today + DAY_H, b, S)
        raised += int((found.p_values() <= fire_p(S)).any(axis=1).sum())
        b = learn(b, columns(h, today - DAY_H, today), S)
    entity_years = 20 * 60 / 365
    assert raised <= 2 * S.alarms_per_year / S.watched * entity_years


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 39 * DAY_H))
def test_hours_after_now_never_change_what_is_decided_now(seed: int, now: int) -> None:
    rng = np.random.default_rng(seed)
    h = add(quiet(seed, rates=(0.5, 3.0), days=40), int(rng.integers(0, 39 * DAY_H)), DAY_H, 3.0)
    h = replace(h, exposure=rng.choice([0.0, 0.5, 1.0], h.total.shape, p=[0.1, 0.1, 0.8]))
    frozen = rng.random(h.total.shape) < 0.05
    past = columns(h, 0, now + 1)
    for entity in (0, 1):
        whole = evaluate(h, now, baseline(h, now, S, frozen=frozen), S, entity)
        known = evaluate(past, now, baseline(past, now, S, frozen=frozen[:, : now + 1]), S, entity)
        assert whole == known


def test_one_scan_of_a_day_says_what_each_hour_says_alone() -> None:
    h = add(quiet(4, rates=(0.5, 5.0)), 61 * DAY_H - 4, 12, negative=3.0)
    first = 60 * DAY_H
    b = baseline(h, first, S)
    found = scan(h, first, first + DAY_H, b, S)
    for entity in (0, 1):
        for hour in range(DAY_H):
            one, many = evaluate(h, first + hour, b, S, entity), found.reading(entity, hour)
            assert (one.kind, one.level, one.window_h) == (many.kind, many.level, many.window_h)
            assert (one.p_value, one.expected) == pytest.approx((many.p_value, many.expected), rel=1e-9)


def test_the_p_value_is_the_middle_of_the_negative_binomial_tail() -> None:
    s = replace(S, windows_h=(24,), clumping=0.0, least_ratio=0.0, least_stories=0)
    h = add(quiet(5, rates=(1.0,)), 60 * DAY_H, DAY_H, negative=0.0, other=1.0)
    now = 61 * DAY_H - 1
    b = baseline(h, now, s)
    found = scan(h, now, now + 1, b, s)
    mean = float(b.profile[0, hour_of_week(h.start_h + now - 23, 24)].sum() * rate(b))
    size = 1 / (1 / b.total[0] + b.volume_spread[0, 0])
    tail = nbinom(size, size / (size + mean))
    count = h.total[0, now - 23 : now + 1].sum()
    assert found.p_values("volume_surge")[0, 0] == pytest.approx((tail.sf(count) + tail.sf(count - 1)) / 2)


def test_more_bad_news_is_never_less_surprising() -> None:
    h = quiet(6, days=62)
    b, p_values = baseline(h, 61 * DAY_H, S), []
    for extra in range(40):
        more = np.zeros_like(h.total)
        more[0, -1] = extra
        last = replace(h, negative=h.negative + more, total=h.total + more)
        p_values.append(scan(last, 62 * DAY_H - 1, 62 * DAY_H, b, S).p_values()[0, 0])
    assert np.all(np.diff(p_values) <= 1e-12)
    assert p_values[0] > clear_p(S)
    assert p_values[-1] < fire_p(S)


def test_learning_day_by_day_is_the_fold_over_the_history() -> None:
    h = add(quiet(19, days=30), 400, 30, negative=5.0)
    day_by_day = fresh(1, S)
    for first in range(0, 28 * DAY_H, DAY_H):
        day_by_day = learn(day_by_day, columns(h, first, first + DAY_H), S)
    whole = baseline(h, 29 * DAY_H, S)
    for name in ("profile", "negative", "total", "hours", "volume_spread", "share_spread"):
        np.testing.assert_array_equal(getattr(day_by_day, name), getattr(whole, name))


def test_a_surge_does_not_raise_its_own_bar() -> None:
    begin = 56 * DAY_H
    h = quiet(7)
    loud = add(h, begin + 6, 48, negative=8.0)
    calm_rate = rate(baseline(h, DAYS * DAY_H - 1, S))
    _, frozen = replay(loud, begin)
    assert frozen[0, begin + 10 : begin + 48].all()
    kept = baseline(loud, DAYS * DAY_H - 1, S, frozen=frozen)
    assert rate(kept) == pytest.approx(calm_rate, rel=0.06)
    naive = 1 + 8.0 * 48 / (2.0 * 40 * DAY_H)
    assert rate(baseline(loud, DAYS * DAY_H - 1, S)) < calm_rate * naive


def test_a_lasting_change_is_learnt_and_the_alarm_ends() -> None:
    begin = 30 * DAY_H
    run, _ = replay(add(quiet(8), begin + 6, DAYS * DAY_H - begin - 6, negative=1.5, other=4.5), begin)
    assert run[-1][2].alarms == 1
    assert run[-1][2].phase == "normal"
    assert rate(baseline(add(quiet(8), begin + 6, 40 * DAY_H - 6, 1.5, 4.5), DAYS * DAY_H - 1, S)) > 4


def test_hours_without_coverage_say_nothing_about_the_rate() -> None:
    h = quiet(9, rates=(3.0,))
    up = (np.random.default_rng(0).random(h.total.shape) < 0.6).astype(float)
    lame = History(START_H, h.negative * up, h.total * up, up)
    now = DAYS * DAY_H - 1
    assert rate(baseline(lame, now, S)) == pytest.approx(rate(baseline(h, now, S)), rel=0.05)
    assert rate(baseline(replace(lame, exposure=np.ones_like(up)), now, S)) < 2.2


def test_half_covered_hours_expect_half_the_stories() -> None:
    h = quiet(10)
    now = 60 * DAY_H
    b = baseline(h, now, S)
    dim = replace(h, exposure=np.full_like(h.exposure, 0.5))
    full, half = (scan(x, now, now + 1, b, S).expected_total for x in (h, dim))
    np.testing.assert_allclose(half, full / 2)


def test_dead_sources_give_no_data_and_neither_fire_nor_resolve() -> None:
    h = quiet(11)
    now = 60 * DAY_H
    dead = h.exposure.copy()
    dead[:, now - 5 :] = 0.0
    seen = evaluate(replace(h, exposure=dead), now, baseline(h, now, S), S)
    assert (seen.level, seen.kind, seen.coverage) == ("no_data", "none", 0.0)
    assert advance(SurgeState(), seen, S) == SurgeState()
    firing = phases([SURGE, CALM])[-1]
    assert phases([SURGE, CALM] + [BLIND] * 100)[-1] == firing


def test_a_new_entity_does_not_alarm_on_its_ordinary_news() -> None:
    for stories_per_h in (0.1, 1.0, 60.0):
        run, _ = replay(quiet(12, rates=(stories_per_h,), days=20), begin=1)
        assert run[-1][2].alarms == 0


def test_a_new_entity_is_warned_about_after_three_days() -> None:
    run, _ = replay(add(quiet(13, days=5), 3 * DAY_H, DAY_H, negative=6.0), begin=2 * DAY_H)
    first = next(now for now, _, state in run if state.alarms)
    assert 3 * DAY_H <= first <= 3 * DAY_H + 8
    assert not mature(baseline(quiet(13, days=5), 3 * DAY_H, S), S)[0]


def test_weekends_are_expected_to_be_quiet() -> None:
    rng = np.random.default_rng(14)
    weekday = hour_of_week(START_H, DAYS * DAY_H) < 5 * DAY_H
    total = rng.poisson(np.where(weekday, 4.0, 0.4), (6, DAYS * DAY_H)).astype(float)
    h = History(START_H, rng.binomial(total.astype(int), 0.25).astype(float), total, np.ones_like(total))
    shared = shared_profile(h)
    assert shared.mean() == pytest.approx(1.0)
    assert shared[: 5 * DAY_H].mean() > 3 * shared[5 * DAY_H :].mean()
    young = columns(h, 0, 4 * DAY_H)  # has not seen a whole week: the shared profile speaks
    b = baseline(young, 4 * DAY_H - 1, S, shared=shared)
    assert b.profile[:, 5 * DAY_H :].max() < b.profile[:, : 5 * DAY_H].min()


def test_a_bigger_watch_list_shares_the_same_budget() -> None:
    small, large = SurgeSettings(52, 50), SurgeSettings(52, 500)
    assert fire_p(large) < fire_p(small)
    assert fire_p(SurgeSettings(520, 500)) == pytest.approx(fire_p(small))
    budgets = [fire_p(SurgeSettings(b, 50)) for b in (1, 5, 25, 50, 250, 2500, 1e9)]
    assert budgets == sorted(budgets)
    assert budgets[0] > 0
    assert budgets[-1] <= 0.5
    for alarms, p in S.calibration:
        assert fire_p(SurgeSettings(alarms * 50, 50)) == pytest.approx(p)


def test_a_calibrated_budget_would_have_raised_just_so_many_alarms() -> None:
    peaks = np.random.default_rng(15).uniform(0, 0.05, 400)
    for budget in (0.5, 1.0, 1.5, 5.0):
        s = calibrated(
            replace(S, alarms_per_year=budget * 50), peaks, entity_years=40.0, budgets=(0.5, 1, 1.5, 5)
        )
        assert (peaks <= fire_p(s) * (1 + 1e-9)).sum() == budget * 40


def test_too_short_a_backtest_calibrates_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        calibrated(S, np.array([0.01, 0.02]), entity_years=1.0)


@given(st.lists(st.sampled_from([1e-6, 1e-4, 0.03, 0.2, 0.9]), max_size=120))
def test_episodes_are_the_alarms_the_state_machine_raises(p_values: list[float]) -> None:
    for budget in (2.0, 50.0):
        s = replace(S, alarms_per_year=budget)
        state = SurgeState()
        for p in p_values:
            state = advance(state, reading(p, s=s), s)
        peaks = episode_peaks(np.array(p_values), s)
        assert state.alarms <= (peaks <= fire_p(s)).sum()
        assert (state.alarms > 0) == bool((peaks <= fire_p(s)).any())


def test_two_days_of_wavering_fire_once_and_end_once() -> None:
    states = phases([SURGE, CALM, RAISED, CALM] * 12 + [CALM] * (S.recovery_h - 1))
    assert states[-1].alarms == 1
    names = [x.phase for x in states]
    assert names.count("normal") == 1
    assert names[-1] == "normal"
    assert set(names[:-1]) == {"firing", "recovering"}


def test_clearing_needs_quiet_hours_in_a_row() -> None:
    almost = phases([SURGE] + [CALM] * (S.recovery_h - 1))[-1]
    assert (almost.phase, almost.calm_h) == ("recovering", S.recovery_h - 1)
    assert advance(almost, RAISED, S).calm_h == 0
    assert advance(almost, CALM, S).phase == "normal"


def test_bad_news_on_an_earnings_day_alarms_again_but_not_the_other_way_round() -> None:
    busy = reading(1e-6, "volume_surge")
    worse = phases([busy, busy, SURGE, SURGE])
    assert [x.alarms for x in worse] == [1, 1, 2, 2]
    assert worse[-1].kind == "negative_surge"
    milder = phases([SURGE, busy, busy])
    assert [x.alarms for x in milder] == [1, 1, 1]
    assert milder[-1].phase == "recovering"


def test_raised_alone_never_fires() -> None:
    assert phases([RAISED] * 50)[-1] == SurgeState()


def test_the_baseline_thaws_when_a_surge_never_ends() -> None:
    states = phases([SURGE] * (S.longest_freeze_h + 2))
    assert [freezes(x, S) for x in states].count(True) == S.longest_freeze_h
    assert not freezes(SurgeState(), S)


def test_a_state_survives_being_stored_as_json() -> None:
    state = phases([SURGE, CALM])[-1]
    assert SurgeState(**json.loads(json.dumps(asdict(state)))) == state


def test_a_day_is_learnt_only_once_it_lies_a_day_back() -> None:
    h = quiet(16, days=10)
    b = [baseline(h, now, S).slot_hours.sum() for now in (2 * DAY_H - 1, 2 * DAY_H, 3 * DAY_H - 1, 3 * DAY_H)]
    assert b[0] == 0
    assert b[1] == b[2] == DAY_H
    assert b[3] > b[2]
    assert b[3] < 2 * DAY_H  # the older day counts for a little less


def test_an_uneven_company_earns_a_wider_spread_than_a_steady_one() -> None:
    rng = np.random.default_rng(17)
    steady = quiet(17, rates=(6.0,), days=90)
    mood = np.repeat(rng.gamma(2.0, 0.5, 90), DAY_H)
    total = rng.poisson(6.0 * mood).astype(float)[None, :]
    uneven = History(START_H, total * 0.25, total, np.ones_like(total))
    spreads = [baseline(h, 90 * DAY_H - 1, S).volume_spread[0, -1] for h in (steady, uneven)]
    assert spreads[0] < 0.15 < 0.3 < spreads[1]
    assert spreads[0] >= S.spread_floor


def test_one_evaluation_takes_less_than_a_millisecond() -> None:
    h = quiet(18)
    now = 60 * DAY_H + 7
    b = baseline(h, now, S)
    assert min(timeit.repeat(lambda: evaluate(h, now, b, S), number=1, repeat=60)) < 1e-3


def test_the_hour_of_week_begins_on_monday() -> None:
    monday = 4 * DAY_H  # 1970-01-05
    assert hour_of_week(monday, 2).tolist() == [0, 1]
    assert hour_of_week(monday - 1, 1).tolist() == [WEEK_H - 1]

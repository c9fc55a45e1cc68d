"""Which worked examples prove which rule of the tariffs chapter: each is priced here under the rule's own id."""

import pytest

from tests.tariffs import test_pricing

PROOFS = {
    "TAR-06": ["hourly_dated_prices_in_summer_time", "weekend_surcharge_saturday"],
    "TAR-07": ["chapter_tariffs_energy_parking_start", "fee_and_energy_with_one_rate"],
    "TAR-08": ["chapter_tariffs_simple_2_per_hour_parking_is_free"],
    "TAR-10": ["chapter_tariffs_free_of_charge"],
    "TAR-11": ["chapter_tariffs_max_power", "power_from_energy_and_time"],
    "TAR-12": [
        "local_time_in_summer",
        "local_time_in_winter",
        "night_window_in_the_night_of_23_hours",
        "night_window_in_the_night_of_25_hours",
        "window_of_the_hour_that_comes_twice",
        "window_of_the_hour_that_is_skipped",
    ],
    "TAR-13": ["window_past_midnight", "weekday_of_a_window_past_midnight"],
    "TAR-14": ["end_date_is_excluded"],
    "TAR-15": ["energy_tiers_within_one_period", "chapter_tariffs_max_power"],
    "TAR-16": ["duration_counts_from_the_charge", "power_from_energy_and_time"],
    "TAR-17": ["chapter_tariffs_reservation_fee_13min", "reservation_and_charge_in_one_period"],
    "TAR-18": ["chapter_tariffs_reservation_expired_90min_expire_time", "reservation_fee_and_expiry_fee"],
    "TAR-19": ["chapter_cdrs_step_time_21_parking_16", "chapter_cdrs_step_time_21_parking_7"],
    "TAR-20": ["chapter_cdrs_step_energy_4_3_and_1_1", "energy_rounded_by_the_last_step"],
    "TAR-21": ["chapter_cdrs_step_time_6_and_22", "chapter_tariffs_step_size_300_8min_parking"],
    "TAR-22": ["chapter_tariffs_price_component_step_1wh", "flat_of_zero"],
    "TAR-23": ["limit_hit_on_one_side_only", "chapter_tariffs_max_price_caps_50kwh"],
    "TAR-24": ["energy_only_without_vat", "flat_of_zero"],
    "TAR-26": ["period_names_its_tariff"],
    "TAR-29": ["thirds_that_do_not_end", "yen_have_no_decimals", "dinars_have_three_decimals"],
    "TAR-30": [
        "chapter_tariffs_simple_025_kwh",
        "chapter_tariffs_025_kwh_start_fee",
        "chapter_tariffs_min_price_applies_below_2kwh",
        "chapter_tariffs_min_price_not_reached_by_20kwh",
    ],
    "TAR-31": [
        "chapter_tariffs_energy_parking_start",
        "chapter_tariffs_max_price_caps_50kwh",
        "chapter_tariffs_max_price_not_reached_30kwh",
    ],
    "TAR-32": ["chapter_tariffs_simple_2_per_hour", "chapter_tariffs_3_per_hour_5_parking"],
    "TAR-33": ["chapter_tariffs_step_100wh"],
    "TAR-34": ["chapter_tariffs_complex_monday_16A", "chapter_tariffs_complex_saturday_43A"],
    "TAR-35": [
        "chapter_tariffs_reservation_15min",
        "chapter_tariffs_reservation_fee_13min",
        "chapter_tariffs_reservation_22min_used_expire_fee_tariff",
        "chapter_tariffs_reservation_22min_used_expire_time_tariff",
    ],
    "TAR-36": [
        "chapter_tariffs_reservation_expired_1h_expire_fee",
        "chapter_tariffs_reservation_expired_90min_expire_time",
    ],
    "TAR-37": [
        "chapter_tariffs_step_size_switch_1",
        "chapter_tariffs_step_size_switch_2",
        "chapter_tariffs_step_size_switch_to_free",
    ],
    "TAR-38": ["chapter_tariffs_max_power", "chapter_tariffs_max_duration"],
}


@pytest.mark.parametrize(
    ("requirement", "case"), [(key, case) for key, cases in PROOFS.items() for case in cases]
)
def test_the_rule_holds_in_its_example(requirement: str, case: str) -> None:
    """TAR-06, 07, 08, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38"""
    assert (test_pricing.CASES / case).is_dir(), f"{requirement} names a case that is not there"
    test_pricing.test_case_costs_what_its_why_explains(case)

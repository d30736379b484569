use super::super::difference::{Change, Differences, Latency, STATUS};
use super::super::noise::FEWEST;
use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// A comparison that found these paths.
pub fn comparison(paths: &[&str]) -> Comparison {
    let mut differences = Differences::default();
    for path in paths {
        differences.note_at(path, Change::Value, (path.as_bytes(), b"other"));
    }
    let latency =
        Latency { production: Duration::from_millis(10), staging: Duration::from_millis(15) };
    Comparison { differences, latency }
}

pub fn record(report: &mut Report, path: &str, paths: &[&str], control: Option<&[&str]>) {
    let (staging, control) = (comparison(paths), control.map(comparison));
    let at = report.total().compared;
    report.record(&Observation {
        at,
        route: &Route::of(b"GET", path.as_bytes()),
        request: at,
        staging: &staging,
        control: control.as_ref(),
    });
}

/// Of a request that staging took and did not answer, at once.
pub fn record_missing(report: &mut Report, path: &str) {
    let mut staging = comparison(&[]);
    staging.differences.note_at(STATUS, Change::Missing, (b"200", b""));
    let (at, route) = (report.total().compared, Route::of(b"GET", path.as_bytes()));
    report.record(&Observation {
        at,
        route: &route,
        request: at,
        staging: &staging,
        control: None,
    });
}

fn counts(report: &Report) -> (u64, u64, u64, u64) {
    let Counts { compared, equal, noise, differing } = report.total();
    (compared, equal, noise, differing)
}

#[test]
fn comparisons_are_counted_by_route_and_path() {
    let mut report = Report::default();
    record(&mut report, "/users/1", &["$.a", "$.b"], None);
    record(&mut report, "/users/2", &["$.a"], None);
    record(&mut report, "/users/3", &[], None);
    record(&mut report, "/", &[], None);
    assert_eq!(counts(&report), (4, 2, 0, 2));
    let users = &report.routes()[0];
    assert_eq!((users.route.as_str(), users.compared), ("GET /users/{n}", 3));
    let rows: Vec<_> = users.rows().iter().map(|row| (row.path.as_str(), row.differing)).collect();
    assert_eq!(rows, [("$.a", 2), ("$.b", 1)]);
    assert_eq!((users.rows()[0].first, users.rows()[0].last), (0, 1));
    assert_eq!(users.rows()[0].examples.iter().flatten().count(), 2);
}

#[test]
fn what_the_control_differs_in_too_is_noise_and_the_rest_is_not() {
    let mut report = Report::default();
    for round in 0..100 {
        let planted: &[&str] = if round % 10 == 0 { &["$.now", "$.price"] } else { &["$.now"] };
        record(&mut report, "/", planted, Some(&["$.now"]));
    }
    let route = &report.routes()[0];
    let standings: Vec<_> =
        route.rows().iter().map(|row| (row.path.as_str(), report.standing(route, row))).collect();
    assert_eq!(standings, [("$.now", Standing::Noise), ("$.price", Standing::Real)]);
    assert_eq!(counts(&report), (100, 0, 90, 10));
}

/// Staging's statuses and the control's, beside production's 200; where a body is compared, its moment differs.
fn record_statuses(report: &mut Report, [staging, control]: [u16; 2]) {
    let comparison = |status: u16| match status {
        200 => comparison(&["$.now"]),
        _ => {
            let mut ended = Comparison::default();
            ended.differences.note_at(STATUS, Change::Type, (b"200", b"500"));
            ended
        }
    };
    let (staging, control) = (comparison(staging), comparison(control));
    let at = report.total().compared;
    let route = Route::of(b"GET", b"/");
    let control = Some(&control);
    report.record(&Observation { at, route: &route, request: at, staging: &staging, control });
}

fn standings(report: &Report) -> Vec<(&str, Standing)> {
    let route = &report.routes()[0];
    let rows = route.rows().iter().filter(|row| row.differing > 0);
    rows.map(|row| (row.path.as_str(), report.standing(route, row))).collect()
}

#[test]
fn where_a_control_or_staging_answers_with_another_status_neither_tells_of_the_rest() {
    let mut report = Report::default();
    for round in 0..100 {
        let control = if round < 99 { 500 } else { 200 };
        record_statuses(&mut report, [200, control]);
    }
    assert_eq!(standings(&report), [("$.now", Standing::Noise)]);
    let mut report = Report::default();
    (0..100)
        .for_each(|round| record_statuses(&mut report, [if round < 99 { 500 } else { 200 }, 200]));
    assert_eq!(standings(&report), [("status", Standing::Real), ("$.now", Standing::Noise)]);
    let evidence = report.routes()[0].rows()[1].evidence(100);
    assert_eq!((evidence.paired, evidence.control), (1, 1));
}

#[test]
fn statuses_that_flicker_on_both_sides_are_noise_and_a_control_that_is_down_excuses_nobody() {
    let mut report = Report::default();
    for round in 0..100 {
        record_statuses(
            &mut report,
            [(0, 5), (1, 5)].map(|(at, of)| if round % of == at { 500 } else { 200 }),
        );
    }
    assert_eq!(standings(&report)[0], ("status", Standing::Noise));
    let mut report = Report::default();
    (0..100).for_each(|_| record_statuses(&mut report, [500, 500]));
    assert_eq!(standings(&report), [("status", Standing::Real)]);
}

#[test]
fn without_a_control_values_that_change_for_the_same_request_are_probable_noise() {
    let mut report = Report::default();
    let route = Route::of(b"GET", b"/");
    for round in 0..2 * FEWEST as u8 {
        let mut staging = comparison(&[]);
        staging.differences.note_at("$.nonce", Change::Value, (&[round], b""));
        staging.differences.note_at("$.price", Change::Value, (b"1", b"2"));
        report.record(&Observation {
            at: 0,
            route: &route,
            request: 1,
            staging: &staging,
            control: None,
        });
    }
    let route = &report.routes()[0];
    let standings: Vec<_> = route.rows().iter().map(|row| report.standing(route, row)).collect();
    assert_eq!(standings, [Standing::ProbableNoise, Standing::Real]);
}

#[test]
fn of_a_full_table_the_route_seen_least_goes_and_is_counted() {
    let mut report = Report::default();
    for _ in 0..2 {
        record(&mut report, "/often", &["$.a"], None);
    }
    for index in 0..ROUTES + 9 {
        let path = format!("/x/{}", ["a", "b", "c"].map(|c| c.repeat(index % 7 + 1)).join("/"));
        record(&mut report, &format!("{path}/{}", "y".repeat(index % 29 + 1)), &["$.b"], None);
    }
    assert_eq!(report.routes().len(), ROUTES);
    assert!(report.routes().iter().any(|route| route.route.as_str() == "GET /often"));
    let Evicted { routes, compared, differing, .. } = report.evicted();
    assert_eq!((routes, compared, differing), (10, 10, 10));
    assert_eq!(report.total().compared, 2 + ROUTES as u64 + 9);
    assert_eq!(report.total().differing, 2 + ROUTES as u64 + 9);
}

#[test]
fn of_a_full_route_the_row_seen_least_goes_and_its_comparisons_still_differ() {
    let mut report = Report::default();
    for _ in 0..3 {
        record(&mut report, "/", &["$.often"], None);
    }
    for index in 0..ROWS + 4 {
        record(&mut report, "/", &[&format!("$.x{index}")], None);
    }
    let route = &report.routes()[0];
    assert_eq!(route.rows().len(), ROWS);
    assert_eq!(route.rows()[0].path, "$.often");
    assert_eq!(report.evicted().rows, 5);
    assert_eq!(counts(&report), (ROWS as u64 + 7, 0, 0, ROWS as u64 + 7));
}

#[test]
fn noise_in_the_place_of_a_row_does_not_make_noise_of_what_was_there() {
    let mut report = Report::default();
    for index in 0..ROWS {
        record(&mut report, "/", &[&format!("$.x{index}")], Some(&[]));
    }
    record(&mut report, "/", &["$.now"], Some(&["$.now"]));
    assert_eq!(report.evicted().rows, 1);
    assert_eq!(counts(&report), (ROWS as u64 + 1, 0, 1, ROWS as u64));
}

#[test]
fn the_median_of_latencies_is_rounded_down_by_less_than_a_step() {
    let mut report = Report::default();
    assert_eq!(report.median_ratio(), None);
    record(&mut report, "/", &[], None);
    let ratio = report.median_ratio().unwrap();
    assert!(ratio <= 1.5 && ratio > 1.5 / 1.0443, "{ratio}");
}

/// A route, staging's paths and the control's, by number.
type Seen = (u8, Vec<u8>, Option<Vec<u8>>);

fn observations() -> impl Strategy<Value = Vec<Seen>> {
    let paths = || prop::collection::vec(0_u8..40, 0..6);
    prop::collection::vec((0_u8..4, paths(), prop::option::of(paths())), 0..60)
}

fn report(observations: &[Seen]) -> Report {
    let mut report = Report::default();
    let names = |numbers: &[u8]| numbers.iter().map(|n| format!("$.p{n}")).collect::<Vec<_>>();
    for (route, paths, control) in observations {
        let (paths, control) = (names(paths), control.as_deref().map(names));
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let control: Option<Vec<_>> =
            control.as_ref().map(|paths| paths.iter().map(String::as_str).collect());
        let path = format!("/{}", "r".repeat(1 + usize::from(*route)));
        record(&mut report, &path, &paths, control.as_deref());
    }
    report
}

/// What can be seen of a report.
fn shown(report: &Report) -> String {
    let mut routes: Vec<_> = report
        .routes()
        .iter()
        .map(|route| {
            let rows: Vec<_> = route
                .rows()
                .iter()
                .map(|row| {
                    (
                        &row.path,
                        row.change,
                        row.evidence(route.controlled),
                        row.places,
                        row.first,
                        row.last,
                        &row.examples,
                    )
                })
                .collect();
            format!(
                "{} {:?} {:?} {rows:?} {:?}",
                route.route,
                report.counts(route),
                route.median_ratio(),
                (route.first, route.last)
            )
        })
        .collect();
    routes.sort_unstable();
    format!("{:?} {routes:#?}", report.evicted())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_comparison_is_equal_noise_or_differing(seen in observations()) {
        let report = report(&seen);
        let Counts { compared, equal, noise, differing } = report.total();
        prop_assert_eq!(compared, seen.len() as u64);
        prop_assert_eq!(equal + noise + differing, compared);
        let without = seen.iter().filter(|(_, paths, _)| paths.is_empty()).count();
        prop_assert_eq!(equal, without as u64);
        for route in report.routes() {
            prop_assert_eq!(report.counts(route).compared, route.compared);
        }
    }

    #[test]
    fn what_was_encoded_is_decoded_the_same(seen in observations(), cut in any::<prop::sample::Index>()) {
        let report = report(&seen);
        let encoded = report.encode(usize::MAX);
        let decoded = Report::decode(&encoded, Sensitivity::default()).unwrap();
        prop_assert_eq!(shown(&decoded), shown(&report));
        // Nothing at all is an empty report.
        let part = &encoded[..1 + cut.index(encoded.len() - 1)];
        prop_assert!(Report::decode(part, Sensitivity::default()).is_none());
    }

    #[test]
    fn an_encoded_report_keeps_its_bound_and_its_count(seen in observations(), most in 60_usize..4000) {
        let report = report(&seen);
        let encoded = report.encode(most);
        prop_assert!(encoded.len() <= most);
        let decoded = Report::decode(&encoded, Sensitivity::default()).unwrap();
        prop_assert_eq!(decoded.total().compared, report.total().compared);
        prop_assert_eq!(decoded.total().differing, report.total().differing);
    }

    #[test]
    fn two_reports_merged_count_what_both_do(one in observations(), other in observations()) {
        let (one, other) = (report(&one), report(&other));
        let mut merged = one.clone();
        merged.merge(&other);
        prop_assert_eq!(merged.total().compared, one.total().compared + other.total().compared);
        prop_assert_eq!(merged.total().equal, one.total().equal + other.total().equal);
        for route in merged.routes() {
            prop_assert_eq!(merged.counts(route).compared, route.compared);
        }
    }

    #[test]
    fn any_bytes_decode_to_a_report_or_to_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        if let Some(form) = bytes.first_mut() {
            *form = 1;
        }
        if let Some(report) = Report::decode(&bytes, Sensitivity::default()) {
            prop_assert!(report.routes().len() <= ROUTES);
        }
    }
}

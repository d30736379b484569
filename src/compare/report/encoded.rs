//! A report as bytes, for memory that processes share: numbers in as few bytes as they need, texts with their length.

use super::super::difference::{Change, EXAMPLE_BYTES, Example, PATH_BYTES, cut};
use super::super::noise::{Recurrence, Sensitivity};
use super::super::route::{ROUTE_BYTES, Route};
use super::of_route::RATIOS;
use super::pattern::Pattern;
use super::{Evicted, ROUTES, ROWS, Report, RouteReport, Row};

/// The form's number: another one is not read.
const FORM: u64 = 1;

impl Report {
    /// The report in at most `most` bytes: of the routes those most compared, the others as evicted. What is
    /// remembered of values for the sake of noise stays behind, what was learned of it is there.
    pub fn encode(&self, most: usize) -> Vec<u8> {
        let mut routes: Vec<_> = self.routes.iter().collect();
        routes.sort_unstable_by_key(|route| std::cmp::Reverse((route.compared, route.last)));
        let (mut evicted, mut body) = (self.evicted, Vec::new());
        let mut count = 0;
        // The form's number, the count of routes and what was evicted.
        let room = most.saturating_sub(6 * LONGEST);
        for route in routes {
            let mut bytes = Bytes::default();
            bytes.route(route);
            if body.len() + bytes.0.len() <= room {
                body.extend_from_slice(&bytes.0);
                count += 1;
            } else {
                evicted.count(route, &self.sensitivity);
            }
        }
        let mut all = Bytes::default();
        let Evicted { routes, compared, differing, rows } = evicted;
        all.numbers(&[FORM, count, routes, compared, differing, rows]);
        all.0.extend_from_slice(&body);
        if all.0.len() > most { Vec::new() } else { all.0 }
    }

    /// Reads what [`Report::encode`] wrote; `None` where it is anything else. No bytes are an empty report.
    pub fn decode(bytes: &[u8], sensitivity: Sensitivity) -> Option<Report> {
        let mut report = Report::new(sensitivity);
        if bytes.is_empty() {
            return Some(report);
        }
        let mut read = Read(bytes);
        if read.number()? != FORM {
            return None;
        }
        let count = read.count(ROUTES)?;
        let [routes, compared, differing, rows] = read.numbers()?;
        report.evicted = Evicted { routes, compared, differing, rows };
        for _ in 0..count {
            report.routes.push(read.route()?);
        }
        read.0.is_empty().then_some(report)
    }
}

/// The most bytes of a number.
const LONGEST: usize = 10;

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.number(*number));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn route(&mut self, route: &RouteReport) {
        self.text(route.route.as_str());
        let RouteReport {
            compared,
            controlled,
            first,
            last,
            production_micros,
            staging_micros,
            ..
        } = *route;
        self.numbers(&[compared, controlled, first, last, production_micros, staging_micros]);
        let ratios = || route.ratios.iter().enumerate().filter(|(_, count)| **count > 0);
        self.number(ratios().count() as u64);
        for (place, count) in ratios() {
            self.number(place as u64);
            self.number(*count);
        }
        self.number(route.patterns.iter().len() as u64);
        for (pattern, count) in route.patterns.iter() {
            self.number(pattern.bits());
            self.number(count);
        }
        self.number(route.rows.len() as u64);
        route.rows.iter().for_each(|row| self.row(row));
    }

    fn row(&mut self, row: &Row) {
        self.text(&row.path);
        let change = Change::ALL.iter().position(|change| *change == row.change);
        self.number(change.unwrap_or_default() as u64);
        let Row { differing, places, paired, control, first, last, generated, .. } = *row;
        self.numbers(&[differing, places, paired, control, first, last, generated]);
        let Recurrence { request_same, request_changed, value_again } = row.recurrence;
        self.numbers(&[request_same, request_changed, value_again]);
        self.number(row.examples.iter().flatten().count() as u64);
        for Example { production, staging } in row.examples.iter().flatten() {
            self.text(production);
            self.text(staging);
        }
    }
}

struct Read<'a>(&'a [u8]);

impl Read<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Some(numbers)
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= most)
    }

    fn text(&mut self, most: usize) -> Option<String> {
        let length = self.count(most)?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(cut(std::str::from_utf8(text).ok()?.to_owned(), most))
    }

    fn route(&mut self) -> Option<RouteReport> {
        let route = Route::written(&self.text(ROUTE_BYTES)?);
        let [compared, controlled, first, last, production_micros, staging_micros] =
            self.numbers()?;
        let mut report = RouteReport {
            compared,
            controlled,
            last,
            production_micros,
            staging_micros,
            ..RouteReport::new(route, first)
        };
        for _ in 0..self.count(RATIOS)? {
            let [place, count] = self.numbers()?;
            *report.ratios.get_mut(usize::try_from(place).ok()?)? = count;
        }
        for _ in 0..self.count(2 * ROWS)? {
            let [bits, count] = self.numbers()?;
            report.patterns.add(Pattern::of(bits), count, Pattern::default());
        }
        for _ in 0..self.count(ROWS)? {
            report.rows.push(self.row()?);
        }
        Some(report)
    }

    fn row(&mut self) -> Option<Row> {
        let path = self.text(PATH_BYTES)?;
        let change = *Change::ALL.get(usize::try_from(self.number()?).ok()?)?;
        let [differing, places, paired, control, first, last, generated] = self.numbers()?;
        let [request_same, request_changed, value_again] = self.numbers()?;
        let mut row = Row::new(&path, change, first);
        row.recurrence = Recurrence { request_same, request_changed, value_again };
        (row.differing, row.places, row.paired, row.control) = (differing, places, paired, control);
        (row.last, row.generated) = (last, generated);
        let examples = self.count(row.examples.len())?;
        for place in row.examples.iter_mut().take(examples) {
            let (production, staging) = (self.text(EXAMPLE_BYTES)?, self.text(EXAMPLE_BYTES)?);
            *place = Some(Example { production, staging });
        }
        Some(row)
    }
}

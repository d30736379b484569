//! The figures: median, minimum and maximum, what is required of them, and whether they meet it.

use std::fmt;

/// What is required of a figure.
pub enum Required {
    Nothing,
    /// Of the median.
    AtMost(f64),
    /// Of every single run.
    Always(f64),
    /// No more than what differs where nothing does: of the median, against the largest of these.
    Noise(Vec<f64>),
}

/// All figures.
#[derive(Default)]
pub struct Table(Vec<Line>);

enum Line {
    Title(String),
    Figure { name: &'static str, figures: Vec<f64>, required: Required },
}

impl Table {
    /// What the next figures are of.
    pub fn title(&mut self, title: String) {
        self.0.push(Line::Title(title));
    }

    /// A figure, from all its runs.
    pub fn row(&mut self, name: &'static str, mut figures: Vec<f64>, required: Required) {
        figures.sort_by(f64::total_cmp);
        self.0.push(Line::Figure { name, figures, required });
    }

    /// Whether all is as required.
    pub fn is_met(&self) -> bool {
        self.0.iter().all(|line| match line {
            Line::Title(_) => true,
            Line::Figure { figures, required, .. } => required.is_met_by(figures),
        })
    }
}

impl Required {
    fn is_met_by(&self, sorted: &[f64]) -> bool {
        match self {
            Required::Nothing => true,
            Required::AtMost(most) => median(sorted) <= *most,
            Required::Always(value) => sorted.iter().all(|figure| figure == value),
            Required::Noise(noise) => median(sorted) <= noise.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Required::Nothing => Ok(()),
            Required::AtMost(most) => write!(f, "at most {}", digits(*most)),
            Required::Always(value) => write!(f, "always {}", digits(*value)),
            Required::Noise(_) => write!(f, "within noise"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["median", "min", "max"].map(|name| format!("{name:>9}")).concat();
        writeln!(f, "{:38}{head}  {:15}met", "", "required")?;
        for line in &self.0 {
            match line {
                Line::Title(title) => writeln!(f, "{title}")?,
                Line::Figure { name, figures, required } => {
                    let [least, most] = [figures.first(), figures.last()].map(Option::unwrap);
                    let shown = [&median(figures), least, most]
                        .map(|figure| format!("{:>9}", digits(*figure)))
                        .concat();
                    let met = match (required, required.is_met_by(figures)) {
                        (Required::Nothing, _) => "",
                        (_, true) => "yes",
                        (_, false) => "NO",
                    };
                    let line = format!("  {name:36}{shown}  {:15}{met}", required.to_string());
                    writeln!(f, "{}", line.trim_end())?;
                }
            }
        }
        Ok(())
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

/// About three significant digits.
fn digits(figure: f64) -> String {
    match figure.abs() {
        0.0 | 100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

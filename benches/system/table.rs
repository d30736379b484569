//! The figures: median, minimum and maximum, what is required of them, and whether they meet it.

use std::fmt;

/// What is required of a figure.
pub enum Required {
    Nothing,
    /// Of the median.
    AtMost(f64),
    /// Of the median.
    AtLeast(f64),
    /// Of every single run.
    Always(f64),
    /// No more than what differs where nothing does: of the median, against the largest of these.
    Noise(Vec<f64>),
}

/// All figures.
#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
    /// What share of the cores others took, in each part, in percent.
    others: Vec<f64>,
}

enum Line {
    Title(String),
    Figure { name: &'static str, figures: Vec<f64>, required: Required },
}

impl Table {
    /// What the next figures are of.
    pub fn title(&mut self, title: String) {
        self.lines.push(Line::Title(title));
    }

    /// A figure, from all its runs.
    pub fn row(&mut self, name: &'static str, mut figures: Vec<f64>, required: Required) {
        assert!(!figures.is_empty(), "{name}: no figure");
        figures.sort_by(f64::total_cmp);
        self.lines.push(Line::Figure { name, figures, required });
    }

    /// What share of both cores others took while the last figures were measured, in percent.
    pub fn others(&mut self, shares: Vec<f64>) {
        self.others.push(median_of(shares));
    }

    /// The largest share of both cores that others took in any part, in percent.
    pub fn disturbance(&self) -> f64 {
        self.others.iter().copied().fold(0.0, f64::max)
    }

    /// Those required figures that are missed.
    pub fn missed(&self) -> Vec<String> {
        let mut title = "";
        let mut missed = Vec::new();
        for line in &self.lines {
            match line {
                Line::Title(of) => title = of,
                Line::Figure { name, figures, required } if !required.is_met_by(figures) => {
                    missed.push(format!("{title}: {name}"));
                }
                Line::Figure { .. } => {}
            }
        }
        missed
    }

    /// The same for docs.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Title(title) => {
                    text += &format!(
                        "\n**{title}**\n\n| | median | min | max | required | met |\n\
                         |---|---:|---:|---:|---|---|\n"
                    );
                }
                Line::Figure { name, figures, required } => {
                    let [median, least, most] = spread(figures);
                    let met = required.met(figures);
                    text +=
                        &format!("| {name} | {median} | {least} | {most} | {required} | {met} |\n");
                }
            }
        }
        text
    }
}

/// Median, minimum and maximum, to be read.
fn spread(sorted: &[f64]) -> [String; 3] {
    let [least, most] = [sorted.first(), sorted.last()].map(Option::unwrap);
    [&median(sorted), least, most].map(|figure| digits(*figure))
}

impl Required {
    fn is_met_by(&self, sorted: &[f64]) -> bool {
        match self {
            Required::Nothing => true,
            Required::AtMost(most) => median(sorted) <= *most,
            Required::AtLeast(least) => median(sorted) >= *least,
            Required::Always(value) => sorted.iter().all(|figure| figure == value),
            Required::Noise(noise) => median(sorted) <= noise.iter().copied().fold(0.0, f64::max),
        }
    }

    fn met(&self, sorted: &[f64]) -> &'static str {
        match (self, self.is_met_by(sorted)) {
            (Required::Nothing, _) => "",
            (_, true) => "yes",
            (_, false) => "NO",
        }
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Required::Nothing => Ok(()),
            Required::AtMost(most) => write!(f, "at most {}", digits(*most)),
            Required::AtLeast(least) => write!(f, "at least {}", digits(*least)),
            Required::Always(value) => write!(f, "always {}", digits(*value)),
            Required::Noise(_) => write!(f, "within noise"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["median", "min", "max"].map(|name| format!("{name:>9}")).concat();
        writeln!(f, "{:40}{head}  {:15}met", "", "required")?;
        for line in &self.lines {
            match line {
                Line::Title(title) => writeln!(f, "{title}")?,
                Line::Figure { name, figures, required } => {
                    let shown = spread(figures).map(|figure| format!("{figure:>9}")).concat();
                    let met = required.met(figures);
                    let line = format!("  {name:38}{shown}  {:15}{met}", required.to_string());
                    writeln!(f, "{}", line.trim_end())?;
                }
            }
        }
        Ok(())
    }
}

/// The median of figures in any order.
pub fn median_of(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    median(&figures)
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

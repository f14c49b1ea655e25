//! The cost of a task over the number of tasks.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::family::{Contestant, Size, median, timed};
use crate::tasks;

/// Tasks at once, the powers of ten and what lies between.
const COUNTS: [usize; 7] = [1_000, 3_162, 10_000, 31_623, 100_000, 316_228, 1_000_000];

/// Tasks in one round, at least.
const TASKS: usize = 100_000;

/// Name, colour, and the work for this many tasks.
type Line = (&'static str, RGBColor, fn(usize) -> Contestant);

const LINES: [Line; 4] = [
    ("JoinSet, a child token each", RGBColor(214, 39, 40), |n| {
        Contestant::on_workers("", n, |n| timed(rounds(n) * n, repeated(n, tasks::tokens)))
    }),
    ("taskscope, a group", RGBColor(31, 119, 180), |n| {
        Contestant::on_workers("", n, |n| timed(rounds(n) * n, repeated(n, tasks::group)))
    }),
    ("JoinSet", RGBColor(255, 127, 14), |n| {
        Contestant::on_workers("", n, |n| {
            timed(rounds(n) * n, repeated(n, tasks::join_set))
        })
    }),
    (
        "tokio::spawn, a Vec of handles",
        RGBColor(127, 127, 127),
        |n| Contestant::on_workers("", n, |n| timed(rounds(n) * n, repeated(n, tasks::plain))),
    ),
];

fn rounds(count: usize) -> usize {
    TASKS.div_ceil(count)
}

async fn repeated<F: Future>(count: usize, work: fn(usize) -> F) {
    for _ in 0..rounds(count) {
        work(count).await;
    }
}

/// Measures and draws.
///
/// # Errors
///
/// When the file cannot be written.
pub fn draw(file: &Path, size: Size, rounds: usize) -> Result<(), Box<dyn Error>> {
    let lines = measure(size, rounds);
    let highest = lines
        .iter()
        .flatten()
        .map(|point| point.1)
        .fold(0.0, f64::max);
    let root = SVGBackend::new(file, (760, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("spawn and join: cost of one task", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((1e3..1e6).log_scale(), 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .x_desc("tasks at once")
        .y_desc("ns per task")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    for ((name, colour, _), points) in LINES.iter().zip(lines) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    root.present()?;
    Ok(())
}

/// The points of each line, measured in turn.
fn measure(size: Size, rounds: usize) -> [Vec<(f64, f64)>; LINES.len()] {
    let mut lines = [const { Vec::new() }; LINES.len()];
    for count in COUNTS {
        let contestants = LINES.map(|(_, _, contestant)| contestant(size.of(count)));
        let mut costs = [const { Vec::new() }; LINES.len()];
        for round in 0..=rounds {
            for (contestant, costs) in contestants.iter().zip(&mut costs) {
                let cost = contestant.round();
                if round > 0 {
                    costs.push(cost);
                }
            }
        }
        for (line, costs) in lines.iter_mut().zip(costs) {
            line.push((count as f64, median(costs)));
        }
    }
    lines
}

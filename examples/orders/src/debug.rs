//! What runs just now, for when something seems wrong: as text and as a picture.

use std::fmt::{self, Write};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use taskscope::observe::{Entry, Tree};
use taskscope::tree;

/// More rows than that nobody looks at.
const MOST_ROWS: usize = 500;
const ROW: usize = 22;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/debug/tasks", get(text))
        .route("/debug/tasks.svg", get(picture))
}

async fn text() -> String {
    tree().to_string()
}

async fn picture() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "image/svg+xml")],
        Picture(tree()).to_string(),
    )
}

/// A tree as SVG: a row for each scope and task, indented by where it lies.
struct Picture(Tree);

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.0.len().min(MOST_ROWS);
        write!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{}" font-family="sans-serif" font-size="12">"#,
            (rows + 1) * ROW
        )?;
        for (number, entry) in self.0.entries().take(rows).enumerate() {
            row(f, number * ROW, entry)?;
        }
        if self.0.len() > rows {
            let more = self.0.len() - rows;
            write!(
                f,
                r#"<text x="4" y="{}">and {more} more</text>"#,
                rows * ROW + 15
            )?;
        }
        f.write_str("</svg>")
    }
}

/// Cancelled ones are orange, tasks are round.
fn row(f: &mut fmt::Formatter<'_>, y: usize, entry: &Entry) -> fmt::Result {
    let x = entry.depth() * 20;
    let colour = if entry.reason().is_some() {
        "#e8b96a"
    } else {
        "#9ccfae"
    };
    let round = if entry.kind() == taskscope::observe::Kind::Task {
        9
    } else {
        0
    };
    write!(
        f,
        r#"<rect x="{x}" y="{}" width="440" height="18" rx="{round}" fill="{colour}"/><text x="{}" y="{}">"#,
        y + 2,
        x + 8,
        y + 15,
    )?;
    escaped(f, entry.name())?;
    write!(
        f,
        r#", {:.1?}</text><text x="{}" y="{}" fill="gray">{}</text>"#,
        entry.age(),
        x + 450,
        y + 15,
        entry.location()
    )
}

/// Names of requests are made of what clients send.
fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '<' => f.write_str("&lt;")?,
            '&' => f.write_str("&amp;")?,
            c if c.is_control() => f.write_char(' ')?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

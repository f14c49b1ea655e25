//! The questions that an editor asks, and what it shows of the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::{Value, json};

use crate::lsp::Server;
use crate::situation::{Code, Situation};

/// The severity of an error.
const ERROR: u64 = 1;

/// What an editor shows, line by line, for comparison.
pub type Shown = BTreeSet<String>;

/// One kind of question.
pub struct Question {
    pub name: &'static str,
    pub situations: &'static str,
    /// What is worse in the annotated code, given what is shown in both.
    pub loss: fn(&Situation, &Shown, &Shown) -> Vec<String>,
    pub ask: fn(&mut Server, &Code) -> io::Result<Shown>,
}

pub const QUESTIONS: &[Question] = &[
    Question {
        name: "completion",
        situations: include_str!("../situations/completion.txt"),
        loss: not_offered,
        ask: complete,
    },
    Question {
        name: "hover",
        situations: include_str!("../situations/hover.txt"),
        loss: differs,
        ask: hover,
    },
    Question {
        name: "definition",
        situations: include_str!("../situations/navigation.txt"),
        loss: differs,
        ask: define,
    },
    Question {
        name: "references",
        situations: include_str!("../situations/navigation.txt"),
        loss: differs,
        ask: refer,
    },
    Question {
        name: "rename",
        situations: include_str!("../situations/navigation.txt"),
        loss: differs,
        ask: rename,
    },
    Question {
        name: "hints",
        situations: include_str!("../situations/hints.txt"),
        loss: differs,
        ask: hints,
    },
    Question {
        name: "signature",
        situations: include_str!("../situations/signature.txt"),
        loss: differs,
        ask: signature,
    },
    Question {
        name: "errors",
        situations: include_str!("../situations/errors.txt"),
        loss: differs,
        ask: errors,
    },
];

/// What the plain code offers of what is wanted, and the annotated one does not.
fn not_offered(situation: &Situation, annotated: &Shown, plain: &Shown) -> Vec<String> {
    let wanted = situation.want.iter();
    wanted
        .filter(|want| plain.contains(**want) && !annotated.contains(**want))
        .map(|want| format!("`{want}` is not offered"))
        .collect()
}

fn differs(_: &Situation, annotated: &Shown, plain: &Shown) -> Vec<String> {
    let missing = plain
        .difference(annotated)
        .map(|line| format!("without {line}"));
    let added = annotated
        .difference(plain)
        .map(|line| format!("besides {line}"));
    missing.chain(added).collect()
}

pub fn complete(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let context = json!({ "context": { "triggerKind": 1 } });
    let answer = server.ask("textDocument/completion", code.cursor, context)?;
    let items = answer["items"].as_array().or(answer.as_array());
    let labels = items
        .into_iter()
        .flatten()
        .filter_map(|item| item["label"].as_str());
    // `spawn(…)` and `len() (as Iterator)` are the name and what follows it.
    let names = labels.filter_map(|label| label.split(['(', ' ']).next());
    Ok(names.map(str::to_owned).collect())
}

/// The first lines: what the word is. The documentation follows.
fn hover(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let answer = server.ask("textDocument/hover", code.cursor, json!({}))?;
    let text = answer["contents"]["value"].as_str().unwrap_or_default();
    let lines = text.lines().filter(|line| {
        !line.is_empty()
            && !line.starts_with("```")
            && *line != "---"
            && !line.starts_with("user::")
    });
    let shown = lines.take(3).collect::<Vec<_>>().join(" / ");
    Ok(Shown::from([shown]))
}

fn define(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let answer = server.ask("textDocument/definition", code.cursor, json!({}))?;
    Ok(locations(&answer, server.uri(), &code.text))
}

fn refer(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let context = json!({ "context": { "includeDeclaration": true } });
    let answer = server.ask("textDocument/references", code.cursor, context)?;
    let count = answer.as_array().map_or(0, Vec::len);
    let mut shown = locations(&answer, server.uri(), &code.text);
    shown.insert(format!("{count} places"));
    Ok(shown)
}

/// How many words of each file are renamed.
fn rename(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let name = json!({ "newName": "renamed" });
    let answer = server.ask("textDocument/rename", code.cursor, name)?;
    let mut renamed = BTreeMap::new();
    for change in answer["documentChanges"].as_array().into_iter().flatten() {
        let uri = change["textDocument"]["uri"].as_str().unwrap_or_default();
        let edits = change["edits"].as_array().map_or(0, Vec::len);
        *renamed.entry(file_name(uri)).or_insert(0) += edits;
    }
    let shown = renamed
        .iter()
        .map(|(file, words)| format!("{words} in {file}"));
    Ok(shown.collect())
}

fn hints(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let answer = server.ask_all("textDocument/inlayHint", &code.text)?;
    let hints = answer.as_array().into_iter().flatten().map(|hint| {
        let line = line_at(&code.text, &hint["position"]);
        format!("`{}` in `{line}`", label(&hint["label"]))
    });
    Ok(hints.collect())
}

fn label(label: &Value) -> String {
    match label.as_array() {
        Some(parts) => parts
            .iter()
            .filter_map(|part| part["value"].as_str())
            .collect(),
        None => label.as_str().unwrap_or_default().to_owned(),
    }
}

fn signature(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let answer = server.ask("textDocument/signatureHelp", code.cursor, json!({}))?;
    let signatures = answer["signatures"].as_array().into_iter().flatten();
    let labels = signatures.filter_map(|signature| signature["label"].as_str());
    Ok(labels.map(str::to_owned).collect())
}

/// The lines that an error begins in: a macro and a parser say different things of the same mistake.
fn errors(server: &mut Server, code: &Code) -> io::Result<Shown> {
    let answer = server.ask_file("textDocument/diagnostic", json!({}))?;
    let items = answer["items"].as_array().into_iter().flatten();
    let mut lines = BTreeMap::new();
    for error in items.filter(|item| item["severity"] == ERROR) {
        *lines
            .entry(line_at(&code.text, &error["range"]["start"]))
            .or_insert(0) += 1;
    }
    let shown = lines
        .iter()
        .map(|(line, errors)| format!("{errors} in `{line}`"));
    Ok(shown.collect())
}

/// The files of the answer, and the words there. In the file that is asked about the two
/// texts have the same words on other columns.
fn locations(answer: &Value, uri: &str, text: &str) -> Shown {
    let one = std::slice::from_ref(answer);
    let all = answer.as_array().map_or(one, Vec::as_slice);
    let locations = all.iter().filter_map(|location| {
        let target = location["targetUri"]
            .as_str()
            .or(location["uri"].as_str())?;
        let range = location
            .get("targetSelectionRange")
            .or(location.get("range"))?;
        Some(match target == uri {
            true => format!("`{}`", word_at(text, range)),
            false => format!("{}:{}", file_name(target), range["start"]["line"]),
        })
    });
    locations.collect()
}

fn line_at<'t>(text: &'t str, position: &Value) -> &'t str {
    let line = position["line"].as_u64().unwrap_or_default();
    let line = text.lines().nth(line as usize);
    line.unwrap_or_default().trim()
}

fn word_at(text: &str, range: &Value) -> String {
    let number = |end: &str, key: &str| range[end][key].as_u64().unwrap_or_default() as usize;
    let line = text
        .lines()
        .nth(number("start", "line"))
        .unwrap_or_default();
    let (start, end) = (number("start", "character"), number("end", "character"));
    let word = line.chars().skip(start).take(end.saturating_sub(start));
    word.collect()
}

fn file_name(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}

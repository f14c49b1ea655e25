//! A client of rust-analyzer, over its standard input and output.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long one answer may take. The first ones wait for the whole project to be read.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long the server must be at rest before it counts as ready.
const REST: Duration = Duration::from_secs(3);

/// The code is not the content that the request was about: ask again.
const CONTENT_MODIFIED: i64 = -32801;
const SERVER_CANCELLED: i64 = -32802;

/// What the user of an editor has by default, without what needs the network or a compiler.
fn settings() -> Value {
    json!({
        "checkOnSave": false,
        "cargo": { "buildScripts": { "enable": true } },
        "procMacro": { "enable": true, "attributes": { "enable": true } },
        "completion": {
            "autoimport": { "enable": false },
            "postfix": { "enable": false },
            "limit": null,
        },
        "inlayHints": {
            "typeHints": { "enable": true },
            "chainingHints": { "enable": true },
            "parameterHints": { "enable": true },
        },
    })
}

/// A position in the text, in lines and UTF-16 units, as the protocol counts.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub line: usize,
    pub character: usize,
}

impl Position {
    /// The position of a byte.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count(),
            character: before[start..].encode_utf16().count(),
        }
    }

    fn json(self) -> Value {
        json!({ "line": self.line, "character": self.character })
    }
}

/// rust-analyzer, with one open file.
pub struct Server {
    process: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    uri: String,
    version: u32,
    requests: u64,
    quiescent: Option<Instant>,
}

impl Server {
    /// Starts the server in `project`, opens `file`, and waits until everything is read.
    pub fn start(project: &Path, file: &str, text: &str) -> io::Result<Self> {
        let mut process = Command::new("rust-analyzer")
            .current_dir(project)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            unreachable!("both are piped");
        };
        let root = format!("file://{}", project.display());
        let mut server = Self {
            process,
            input,
            messages: read_all(output),
            uri: format!("{root}/{file}"),
            version: 1,
            requests: 0,
            quiescent: None,
        };
        server.request("initialize", initialize(&root))?;
        server.notify("initialized", json!({}))?;
        let document =
            json!({ "uri": server.uri, "languageId": "rust", "version": 1, "text": text });
        server.notify("textDocument/didOpen", json!({ "textDocument": document }))?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Replaces the text of the open file.
    pub fn change(&mut self, text: &str) -> io::Result<()> {
        self.version += 1;
        let document = json!({ "uri": self.uri, "version": self.version });
        let changes = json!([{ "text": text }]);
        self.notify(
            "textDocument/didChange",
            json!({ "textDocument": document, "contentChanges": changes }),
        )
    }

    /// Asks about a position of the open file. `more` are further parameters.
    pub fn ask(&mut self, method: &str, at: Position, mut more: Value) -> io::Result<Value> {
        more["position"] = at.json();
        self.ask_file(method, more)
    }

    /// Asks about the whole of the open file, which has `text`.
    pub fn ask_all(&mut self, method: &str, text: &str) -> io::Result<Value> {
        let (start, end) = (Position::of(text, 0), Position::of(text, text.len()));
        let range = json!({ "start": start.json(), "end": end.json() });
        self.ask_file(method, json!({ "range": range }))
    }

    /// Asks about the open file.
    pub fn ask_file(&mut self, method: &str, mut params: Value) -> io::Result<Value> {
        params["textDocument"] = json!({ "uri": self.uri });
        self.request(method, params)
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }

    fn request(&mut self, method: &str, params: Value) -> io::Result<Value> {
        loop {
            self.requests += 1;
            let id = self.requests;
            self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))?;
            let answer = self.wait_for(id)?;
            match answer["error"]["code"].as_i64() {
                None => return Ok(answer["result"].clone()),
                Some(CONTENT_MODIFIED | SERVER_CANCELLED) => {}
                // Not a fault of the connection: the editor shows nothing.
                Some(_) => return Ok(answer["error"]["message"].clone()),
            }
        }
    }

    fn notify(&mut self, method: &str, params: Value) -> io::Result<()> {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    fn send(&mut self, message: &Value) -> io::Result<()> {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        self.input.flush()
    }

    fn wait_for(&mut self, id: u64) -> io::Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).map_err(io::Error::other)?;
            if message["id"] == id && message["method"].is_null() {
                return Ok(message);
            }
            self.take(&message)?;
        }
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.quiescent.is_none_or(|since| since.elapsed() < REST) {
            if Instant::now() > end {
                return Err(io::Error::other("rust-analyzer does not come to rest"));
            }
            match self.messages.recv_timeout(Duration::from_millis(100)) {
                Ok(message) => self.take(&message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(gone) => return Err(io::Error::other(gone)),
            }
        }
        Ok(())
    }

    /// Handles what the server sends by itself.
    fn take(&mut self, message: &Value) -> io::Result<()> {
        let params = &message["params"];
        if message["method"] == "experimental/serverStatus" {
            let rests = params["quiescent"] == true;
            self.quiescent = rests.then(|| self.quiescent.unwrap_or_else(Instant::now));
        }
        if message["method"].is_null() || message["id"].is_null() {
            return Ok(());
        }
        let items = params["items"].as_array().map_or(0, Vec::len);
        let result = match message["method"].as_str() {
            Some("workspace/configuration") => json!(vec![settings(); items]),
            _ => Value::Null,
        };
        self.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn initialize(root: &str) -> Value {
    json!({
        "processId": std::process::id(),
        "rootUri": root,
        "workspaceFolders": [{ "uri": root, "name": "user" }],
        "initializationOptions": settings(),
        "capabilities": {
            "experimental": { "serverStatusNotification": true },
            "workspace": { "configuration": true },
            "textDocument": {
                "completion": { "completionItem": { "snippetSupport": true } },
                "hover": { "contentFormat": ["markdown"] },
                // Editors that ask for diagnostics get other references in macros than those
                // that wait for them; most ask.
                "publishDiagnostics": {},
                "diagnostic": {},
                "rename": { "prepareSupport": true },
            },
        },
    })
}

/// Reads the messages of the server on a thread of its own.
fn read_all(output: impl Read + Send + 'static) -> Receiver<Value> {
    let (sender, messages) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        while let Ok(message) = read_message(&mut output) {
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    messages
}

fn read_message(output: &mut impl BufRead) -> io::Result<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut content = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
    output.read_exact(&mut content)?;
    Ok(serde_json::from_slice(&content)?)
}

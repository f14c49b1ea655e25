//! `treehash` from outside: a process, its files, its messages, its exit code.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// No run takes as long: one that does hangs.
const HANGS: Duration = Duration::from_secs(120);

/// A directory of this test's own, removed at its end. Commands run in it.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        Self::within(Path::new(env!("CARGO_TARGET_TMPDIR")), name)
    }

    fn within(parent: &Path, name: &str) -> Self {
        let path = parent.join(format!("treehash-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// A file and the directories that lead to it.
    fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A tree of small files at `tree`, as many as `count`.
    fn tree(&self, count: usize) {
        for number in 0..count {
            self.file(format!("tree/{}/{number}", number % 50), content(number));
        }
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn treehash<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_treehash"));
        Ran::from(finish(command.args(args).spawn().unwrap()))
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_treehash"));
        command.args(args).spawn().unwrap()
    }

    /// A named pipe.
    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }

    /// `sha256sum` accepts the manifest, every line of it.
    #[track_caller]
    fn verify(&self, manifest: &str) {
        let mut command = self.command("sha256sum");
        command.args(["--check", "--strict", "--quiet", manifest]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sha256sum: {said}");
    }

    fn entries(&self, folder: &str) -> BTreeSet<OsString> {
        let entries = fs::read_dir(self.path.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What a run came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    fn succeeded(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self
    }

    /// Exit code 1, nothing on standard output, and the path with its cause on the first line of the rest.
    #[track_caller]
    fn failed(&self, path: &str, cause: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        let expected = format!("treehash: {path}: {cause}");
        let first = self.stderr.lines().next().unwrap_or_default();
        assert!(
            first.starts_with(&expected),
            "{expected:?} is not in {self:?}"
        );
        self.counts("failed");
    }

    /// The numbers of the last line: files done, files cancelled.
    #[track_caller]
    fn counts(&self, what: &str) -> (u64, u64) {
        let last = self.stderr.lines().last().unwrap_or_default();
        let counts = || {
            let rest = last.strip_prefix(&format!("treehash: {what}: "))?;
            let (done, rest) = rest.split_once(" files done, ")?;
            let left = rest.strip_suffix(" cancelled")?;
            Some((done.parse().ok()?, left.parse().ok()?))
        };
        counts().unwrap_or_else(|| panic!("no counts of what {what} in {self:?}"))
    }
}

/// Waits for a child, but not for ever. Its output is small enough for a pipe, or read by a thread.
fn finish(child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let waiting = thread::spawn(move || child.wait_with_output().unwrap());
    let started = Instant::now();
    while !waiting.is_finished() {
        if started.elapsed() > HANGS {
            let _ = kill_process(pid, Signal::KILL);
            panic!("treehash hangs: {:?}", waiting.join());
        }
        thread::sleep(Duration::from_millis(1));
    }
    waiting.join().unwrap()
}

/// A few kilobytes, not the same for any two numbers.
fn content(number: usize) -> Vec<u8> {
    let line = format!("{number}\n");
    line.repeat(1 + number * 7919 % 3000).into_bytes()
}

// --- The manifest ---------------------------------------------------------------------------------------

#[test]
fn the_manifest_verifies() {
    let place = Place::new("verifies");
    place.tree(500);
    place.file("tree/empty", "");
    place.file("tree/large", vec![7; 5 << 20]);
    place.treehash(["tree", "-o", "SUMS"]).succeeded();
    place.verify("SUMS");
    let manifest = fs::read_to_string(place.path.join("SUMS")).unwrap();
    assert_eq!(manifest.lines().count(), 502);
    assert_eq!(
        place.entries("."),
        ["SUMS", "tree"].map(OsString::from).into()
    );
}

#[test]
fn it_is_sorted_by_the_bytes_of_the_paths_and_the_same_for_any_number_of_jobs() {
    let place = Place::new("sorted");
    place.tree(300);
    for name in ["a/b", "a-b", "a.b", "é", "Z", "a b", "a/b2/c"] {
        place.file(Path::new("tree").join(name), name);
    }
    let one = place.treehash(["tree", "-j", "1"]).succeeded().stdout;
    let many = place.treehash(["tree", "--jobs", "64"]).succeeded().stdout;
    assert_eq!(one, many);
    let paths: Vec<&[u8]> = one.lines().map(|line| &line.as_bytes()[66..]).collect();
    assert_eq!(paths.len(), 307);
    assert!(paths.is_sorted());
}

#[test]
fn standard_output_gets_what_a_file_gets() {
    let place = Place::new("stdout");
    place.tree(100);
    let printed = place.treehash(["tree"]).succeeded().stdout;
    place.treehash(["tree", "-o", "SUMS"]).succeeded();
    assert_eq!(
        fs::read_to_string(place.path.join("SUMS")).unwrap(),
        printed
    );
}

#[test]
fn odd_names_are_escaped_as_gnu_does() {
    let place = Place::new("names");
    let names = [
        "back\\slash",
        "line\nbreak",
        "carriage\r",
        "both\\n\n",
        " leading",
        "trailing ",
        "*star",
        "#hash",
        "é中",
        "-dash",
        "\\",
        "\t",
        "\x1b[0m",
    ];
    for name in names {
        place.file(Path::new("tree").join(name), name);
    }
    place.treehash(["tree", "-o", "SUMS"]).succeeded();
    place.verify("SUMS");
    let manifest = fs::read_to_string(place.path.join("SUMS")).unwrap();
    assert_eq!(manifest.lines().count(), names.len());
    assert!(manifest.contains("  tree/line\\nbreak\n"), "{manifest}");
}

#[test]
fn paths_stand_as_the_directory_was_given() {
    let place = Place::new("paths");
    place.file("tree/sub/file", "x");
    let absolute = place.path.join("tree");
    for (dir, expected) in [
        ("tree", "tree/sub/file".to_owned()),
        ("tree/", "tree/sub/file".to_owned()),
        ("./tree", "./tree/sub/file".to_owned()),
        (".", "./tree/sub/file".to_owned()),
        ("tree/../tree", "tree/../tree/sub/file".to_owned()),
        (
            absolute.to_str().unwrap(),
            format!("{}/sub/file", absolute.display()),
        ),
    ] {
        let printed = place.treehash([dir]).succeeded().stdout;
        assert_eq!(&printed[66..], format!("{expected}\n"), "{dir}");
    }
}

#[test]
fn a_manifest_inside_the_tree_leaves_itself_out() {
    let place = Place::new("inside");
    place.tree(100);
    for _ in 0..2 {
        place.treehash([".", "-o", "tree/SUMS"]).succeeded();
        place.verify("tree/SUMS");
    }
    let mut redirected = place.command("sh");
    redirected.args(["-c", "\"$0\" . > OUT", env!("CARGO_BIN_EXE_treehash")]);
    Ran::from(finish(redirected.spawn().unwrap())).succeeded();
    place.verify("OUT");
}

#[test]
fn an_old_manifest_is_replaced_and_a_link_to_it_stays_a_link() {
    let place = Place::new("replaced");
    place.tree(10);
    place.file("kept/OLD", "old\n");
    symlink("kept/OLD", place.path.join("SUMS")).unwrap();
    place.treehash(["tree", "-o", "SUMS"]).succeeded();
    place.verify("kept/OLD");
    assert!(place.path.join("SUMS").is_symlink());
    assert_eq!(place.entries("kept"), ["OLD"].map(OsString::from).into());
}

#[test]
fn an_empty_tree_has_an_empty_manifest() {
    let place = Place::new("empty");
    fs::create_dir_all(place.path.join("tree/a/b")).unwrap();
    place.treehash(["tree", "-o", "SUMS"]).succeeded();
    assert_eq!(fs::read(place.path.join("SUMS")).unwrap(), b"");
}

#[test]
fn links_are_followed_and_what_is_no_file_is_skipped() {
    let place = Place::new("links");
    place.file("elsewhere/file", "x");
    place.file("tree/file", "y");
    symlink("../elsewhere", place.path.join("tree/folder")).unwrap();
    symlink("file", place.path.join("tree/link")).unwrap();
    symlink("/dev/zero", place.path.join("tree/device")).unwrap();
    place.pipe("tree/pipe");
    let printed = place.treehash(["tree"]).succeeded().stdout;
    let paths: Vec<&str> = printed.lines().map(|line| &line[66..]).collect();
    assert_eq!(paths, ["tree/file", "tree/folder/file", "tree/link"]);
}

// --- Errors ---------------------------------------------------------------------------------------------

/// A run over `tree`, where something is wrong, leaves nothing behind and says what.
#[track_caller]
fn fails_in_tree(place: &Place, path: &str, cause: &str) {
    let before = place.entries(".");
    place.treehash(["tree", "-o", "SUMS"]).failed(path, cause);
    assert_eq!(place.entries("."), before);
    place.treehash(["tree"]).failed(path, cause);
}

#[test]
fn a_missing_directory() {
    let place = Place::new("missing");
    fails_in_tree(&place, "tree", "No such file or directory");
}

#[test]
fn a_file_where_a_directory_is_wanted() {
    let place = Place::new("notdir");
    place.file("tree", "x");
    fails_in_tree(&place, "tree", "Not a directory");
}

#[test]
fn a_link_to_nothing() {
    let place = Place::new("dangling");
    place.tree(200);
    symlink("gone", place.path.join("tree/7/link")).unwrap();
    fails_in_tree(&place, "tree/7/link", "No such file or directory");
}

#[test]
fn a_link_back_to_where_it_lies() {
    let place = Place::new("loop");
    place.tree(200);
    symlink("../../tree/3", place.path.join("tree/3/back")).unwrap();
    fails_in_tree(
        &place,
        "tree/3/back",
        "symbolic link loop: leads back to tree/3",
    );
}

#[test]
fn a_link_back_to_the_top() {
    let place = Place::new("looptop");
    place.tree(200);
    fs::create_dir_all(place.path.join("tree/3/a/b")).unwrap();
    symlink(place.path.join("tree"), place.path.join("tree/3/a/b/top")).unwrap();
    fails_in_tree(
        &place,
        "tree/3/a/b/top",
        "symbolic link loop: leads back to tree",
    );
}

#[test]
fn a_link_to_itself() {
    let place = Place::new("selflink");
    place.tree(20);
    symlink("self", place.path.join("tree/3/self")).unwrap();
    fails_in_tree(&place, "tree/3/self", "Too many levels of symbolic links");
}

#[test]
fn a_name_that_is_not_utf8() {
    let place = Place::new("utf8");
    place.tree(200);
    place.file(Path::new("tree/5").join(OsStr::from_bytes(b"caf\xe9")), "x");
    fails_in_tree(&place, r"tree/5/caf\xE9", "name is not UTF-8");
}

#[test]
fn a_folder_that_is_not_utf8() {
    let place = Place::new("utf8dir");
    place.file(
        Path::new("tree")
            .join(OsStr::from_bytes(b"\xff\n"))
            .join("file"),
        "x",
    );
    fails_in_tree(&place, r"tree/\xFF\n", "name is not UTF-8");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_fails_when_it_is_read() {
    let place = Place::new("eio");
    place.tree(200);
    // Whoever may open it: address 0 of a process is never mapped.
    symlink("/proc/self/mem", place.path.join("tree/9/mem")).unwrap();
    fails_in_tree(&place, "tree/9/mem", "Input/output error");
}

#[test]
fn a_target_that_cannot_be_written() {
    let place = Place::new("target");
    place.tree(20);
    fs::create_dir(place.path.join("folder")).unwrap();
    let before = place.entries(".");
    for (target, cause) in [
        ("none/SUMS", "No such file or directory"),
        ("folder", "exists and is not a regular file"),
        ("new/", "exists and is not a regular file"),
        ("tree/1/1/SUMS", "Not a directory"),
    ] {
        place.treehash(["tree", "-o", target]).failed(target, cause);
    }
    assert_eq!(place.entries("."), before);
    assert_eq!(place.entries("folder"), BTreeSet::new());
}

fn is_pipe(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().file_type().is_fifo()
}

/// It is written into, as by every tool, and stays what it is.
#[test]
fn a_target_that_is_a_pipe() {
    let place = Place::new("fifo");
    place.tree(200);
    let before = place.entries(".");
    let printed = place.treehash(["tree"]).succeeded().stdout;
    let pipe = place.pipe("pipe");
    symlink("pipe", place.path.join("link")).unwrap();
    for target in ["pipe", "link"] {
        let child = place.start(&["tree", "-o", target]);
        let written = fs::read_to_string(&pipe).unwrap();
        let ran = Ran::from(finish(child)).succeeded();
        assert_eq!((ran.stdout.as_str(), written == printed), ("", true));
        assert!(is_pipe(&pipe));
    }
    let made: BTreeSet<_> = place.entries(".").difference(&before).cloned().collect();
    assert_eq!(made, ["link", "pipe"].map(OsString::from).into());
}

/// By its name: a pipe here, which the test reads.
#[test]
fn a_target_that_is_standard_output() {
    let place = Place::new("stdout");
    place.tree(200);
    let printed = place.treehash(["tree"]).succeeded().stdout;
    let ran = place.treehash(["tree", "-o", "/dev/stdout"]).succeeded();
    assert!(ran.stdout == printed);
    assert_eq!(place.entries("."), ["tree"].map(OsString::from).into());

    // A file, as in `treehash tree -o /dev/stdout >> LOG`.
    place.file("LOG", "before\n");
    let log = fs::OpenOptions::new()
        .append(true)
        .open(place.path.join("LOG"))
        .unwrap();
    let mut command = place.command(env!("CARGO_BIN_EXE_treehash"));
    command.args(["tree", "-o", "/dev/stdout"]).stdout(log);
    Ran::from(finish(command.spawn().unwrap())).succeeded();
    let log = fs::read_to_string(place.path.join("LOG")).unwrap();
    assert!(log == format!("before\n{printed}"));
}

/// Nobody reads the pipe, so it cannot be opened.
#[test]
fn a_pipe_without_a_reader_holds_nothing_up() {
    let place = Place::new("unread");
    place.tree(20);
    let pipe = place.pipe("pipe");
    let ran = place.treehash(["tree", "-o", "pipe", "--timeout", "0.3"]);
    assert_eq!(ran.code, Some(124), "{ran:?}");
    assert!(is_pipe(&pipe));
    assert_eq!(
        place.entries("."),
        ["pipe", "tree"].map(OsString::from).into()
    );
}

/// Starts a run that writes `SUMS`, and puts a pipe there once it has looked at what was there before. `None` if
/// the run was faster.
fn pipe_appears(place: &Place, old: Option<&str>) -> Option<(Ran, PathBuf)> {
    let _ = fs::remove_file(place.path.join("SUMS"));
    if let Some(old) = old {
        place.file("SUMS", old);
    }
    let child = place.start(&["tree", "-o", "SUMS"]);
    let is_temporary = |name: &OsString| name.as_bytes().starts_with(b".treehash.");
    while !place.entries(".").iter().any(is_temporary) {
        thread::yield_now();
    }
    let _ = kill_process(Pid::from_child(&child), Signal::STOP);
    let going = place.entries(".").iter().any(is_temporary);
    let _ = fs::remove_file(place.path.join("SUMS"));
    let pipe = place.pipe("SUMS");
    let _ = kill_process(Pid::from_child(&child), Signal::CONT);
    let ran = Ran::from(finish(child));
    going.then_some((ran, pipe))
}

#[test]
fn a_pipe_that_appears_in_between_is_not_replaced() {
    let place = Place::new("appears");
    place.tree(2000);
    for old in [None, Some("old\n")] {
        let mut tries = (0..10).filter_map(|_| pipe_appears(&place, old));
        let (ran, pipe) = tries
            .next()
            .expect("none is faster than this test ten times");
        ran.failed("SUMS", "exists and is not a regular file");
        assert!(is_pipe(&pipe));
        let left = ["SUMS", "tree"].map(OsString::from);
        assert_eq!(place.entries("."), left.into());
    }
}

#[test]
fn a_reader_that_has_gone() {
    let place = Place::new("epipe");
    place.tree(2000);
    let mut child = place.start(&["tree"]);
    drop(child.stdout.take());
    let ran = Ran::from(finish(child));
    ran.failed("standard output", "Broken pipe");
}

#[test]
fn wrong_usage() {
    let place = Place::new("usage");
    let none: [&str; 0] = [];
    assert_eq!(place.treehash(none).code, Some(2));
    for args in [
        ["tree", "-j0"],
        ["tree", "-jx"],
        ["tree", "--timeout=-1"],
        ["tree", "--wrong"],
    ] {
        let ran = place.treehash(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}");
    }
}

/// What permissions forbid: run by somebody who is not root, from where everybody can go.
struct Unprivileged {
    place: Place,
    program: PathBuf,
}

impl Unprivileged {
    /// The `nobody` of most systems.
    const USER: u32 = 65534;

    fn new(name: &str) -> Self {
        let place = Place::within(&env::temp_dir(), name);
        fs::set_permissions(&place.path, Permissions::from_mode(0o755)).unwrap();
        let program = place.path.join("treehash");
        fs::copy(env!("CARGO_BIN_EXE_treehash"), &program).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        Self { place, program }
    }

    fn forbid(&self, path: &str, mode: u32) {
        fs::set_permissions(self.place.path.join(path), Permissions::from_mode(mode)).unwrap();
    }

    fn treehash(&self, args: &[&str]) -> Ran {
        let mut command = self.place.command(&self.program);
        if geteuid().is_root() {
            command.uid(Self::USER).gid(Self::USER);
        }
        Ran::from(finish(command.args(args).spawn().unwrap()))
    }
}

#[test]
fn a_file_that_may_not_be_read() {
    let nobody = Unprivileged::new("eacces");
    nobody.place.tree(200);
    nobody.forbid("tree/11/11", 0o000);
    nobody
        .treehash(&["tree"])
        .failed("tree/11/11", "Permission denied");
}

#[test]
fn a_folder_that_may_not_be_read() {
    let nobody = Unprivileged::new("eaccesdir");
    nobody.place.tree(200);
    nobody.forbid("tree/11", 0o000);
    let ran = nobody.treehash(&["tree"]);
    nobody.forbid("tree/11", 0o755);
    ran.failed("tree/11", "Permission denied");
}

#[test]
fn a_target_that_may_not_be_written() {
    let nobody = Unprivileged::new("eaccestarget");
    nobody.place.tree(20);
    fs::create_dir(nobody.place.path.join("folder")).unwrap();
    nobody.forbid("folder", 0o555);
    let ran = nobody.treehash(&["tree", "-o", "folder/SUMS"]);
    ran.failed("folder/SUMS", "Permission denied");
    assert_eq!(nobody.place.entries("folder"), BTreeSet::new());
}

// --- Ending early ---------------------------------------------------------------------------------------

/// Numbers in 0..1 that lie close to evenly however many are taken: random moments, the same each time.
fn moments() -> impl Iterator<Item = f64> {
    (1_u32..).map(|number| (f64::from(number) * 0.618_033_988_749_895).fract())
}

/// What a signal makes of the exit code.
fn code_of(signal: Signal) -> i32 {
    128 + signal.as_raw()
}

/// Sends `signal` after `delay` to a run that writes `out/SUMS`. True if the run was faster.
#[track_caller]
fn interrupt(place: &Place, signal: Signal, delay: Duration, old: Option<&str>) -> bool {
    let manifest = place.path.join("out/SUMS");
    let _ = fs::remove_file(&manifest);
    if let Some(old) = old {
        place.file("out/SUMS", old);
    }
    let child = place.start(&["tree", "-o", "out/SUMS"]);
    thread::sleep(delay);
    // The child is not reaped before `finish`, so that this is its process and nobody else's.
    let _ = kill_process(Pid::from_child(&child), signal);
    let ran = Ran::from(finish(child));

    let left = fs::read_to_string(&manifest).ok();
    let names = place.entries("out");
    assert!(
        names.iter().all(|name| name == "SUMS"),
        "{names:?} after {delay:?}: {ran:?}"
    );
    match ran.code {
        Some(0) => place.verify("out/SUMS"),
        Some(code) => {
            assert_eq!(
                (code, left.as_deref()),
                (code_of(signal), old),
                "after {delay:?}: {ran:?}"
            );
            let what = if signal == Signal::INT {
                "interrupted"
            } else {
                "terminated"
            };
            ran.counts(what);
        }
        // So early that the program had not yet said that it takes signals itself.
        None => assert_eq!((ran.signal, left.as_deref()), (Some(signal.as_raw()), old)),
    }
    ran.code == Some(0)
}

/// Interrupts `times` runs, at moments from before the start until the end of a whole one; those that are
/// faster than their signal are not counted, but checked all the same.
fn interrupt_at_all_times(place: &Place, times: usize) {
    place.file("out/SUMS", "");
    let whole = (0..3).map(|_| {
        let started = Instant::now();
        place.treehash(["tree", "-o", "out/SUMS"]).succeeded();
        started.elapsed()
    });
    let whole = whole.min().unwrap();
    let (mut interrupted, mut faster) = (0, 0);
    for (number, moment) in moments().enumerate() {
        let signal = [Signal::INT, Signal::TERM][number % 2];
        let old = [None, Some("old\n")][number / 2 % 2];
        match interrupt(place, signal, whole.mul_f64(moment * 1.05), old) {
            true => faster += 1,
            false => interrupted += 1,
        }
        assert!(
            number < 10 * times,
            "{interrupted} interrupted, {faster} faster"
        );
        if interrupted == times {
            break;
        }
    }
    println!("{interrupted} runs of {whole:?} interrupted, {faster} faster than their signal");
}

#[test]
fn interrupted_at_any_moment_it_leaves_nothing_behind() {
    let place = Place::new("interrupted");
    place.tree(2000);
    interrupt_at_all_times(&place, 50);
}

#[test]
fn a_large_file_is_left_in_the_middle() {
    let place = Place::new("large");
    let large = fs::File::create(place.path.join("large")).unwrap();
    // Sparse: hours to hash, nothing on disk.
    large.set_len(1 << 42).unwrap();
    fs::create_dir(place.path.join("tree")).unwrap();
    fs::rename(place.path.join("large"), place.path.join("tree/large")).unwrap();
    fs::create_dir(place.path.join("out")).unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let started = Instant::now();
        assert!(!interrupt(&place, signal, Duration::from_millis(300), None));
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn out_of_time_it_says_so() {
    let place = Place::new("timeout");
    place.tree(20);
    let large = fs::File::create(place.path.join("tree/large")).unwrap();
    large.set_len(1 << 42).unwrap();
    for seconds in ["0", "0.05", "0.5"] {
        let started = Instant::now();
        let ran = place.treehash(["tree", "-o", "SUMS", "--timeout", seconds]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(124), ""), "{ran:?}");
        ran.counts("timed out");
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(place.entries("."), ["tree"].map(OsString::from).into());
    }
    fs::remove_file(place.path.join("tree/large")).unwrap();
    place
        .treehash(["tree", "-o", "SUMS", "--timeout", "60"])
        .succeeded();
    place.verify("SUMS");
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up() {
    let place = Place::new("stuck");
    // More than a pipe holds.
    place.tree(2000);
    let mut child = place.start(&["tree"]);
    let mut unread = child.stdout.take().unwrap();
    // Something is written, so all is hashed; the rest of it does not fit.
    unread.read_exact(&mut [0]).unwrap();
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let ran = Ran::from(finish(child));
    drop(unread);
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert_eq!(ran.counts("interrupted"), (2000, 0));
}

// --- Twenty thousand files ------------------------------------------------------------------------------

/// At least this many.
const MANY: usize = 20_000;
/// Larger files would make this a test of how fast an unoptimised build hashes.
const LARGEST: u64 = 64 << 10;

/// Real files, as many as there are of `MANY`: the toolchain's and the registry's, made up by generated ones.
///
/// Copies, since other builds on the same machine may be changing the originals.
fn many_files(place: &Place) {
    let mut copied = 0;
    for (number, source) in sources().iter().enumerate() {
        copied += copy_tree(
            source,
            &place.path.join(format!("tree/{number}")),
            MANY - copied,
        );
    }
    println!("{copied} real files, {} generated", MANY - copied);
    for number in copied..MANY {
        place.file(
            format!("tree/generated/{}/{number}", number % 100),
            content(number),
        );
    }
}

fn sources() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let sysroot = PathBuf::from(OsStr::from_bytes(sysroot.stdout.trim_ascii_end()));
    let registry = cargo.map(|cargo| cargo.join("registry/src"));
    [
        Some(sysroot.join("lib/rustlib/src")),
        registry,
        Some(sysroot),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Copies up to `most` files from below `from`. Says how many. What cannot be read is not there.
fn copy_tree(from: &Path, to: &Path, most: usize) -> usize {
    let mut copied = 0;
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if copied == most {
            break;
        } else if metadata.is_dir() {
            copied += copy_tree(&path, &to, most - copied);
        } else if metadata.is_file() && metadata.len() <= LARGEST && path.to_str().is_some() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            copied += usize::from(fs::copy(path, to).is_ok());
        }
    }
    copied
}

#[test]
fn twenty_thousand_real_files() {
    let place = Place::new("many");
    many_files(&place);
    let started = Instant::now();
    place.treehash(["tree", "-o", "SUMS"]).succeeded();
    println!("hashed in {:?}", started.elapsed());
    place.verify("SUMS");
    let manifest = fs::read_to_string(place.path.join("SUMS")).unwrap();
    assert_eq!(manifest.lines().count(), MANY);

    fs::remove_file(place.path.join("SUMS")).unwrap();
    fs::create_dir(place.path.join("out")).unwrap();
    for moment in moments().take(6) {
        interrupt(&place, Signal::INT, Duration::from_secs_f64(moment), None);
    }
}

#[test]
fn the_reader_of_a_whole_manifest_may_be_slow() {
    let place = Place::new("slow");
    place.tree(2000);
    let mut command = place.command("sh");
    command.args([
        "-c",
        "\"$0\" tree | (sleep 1; cat)",
        env!("CARGO_BIN_EXE_treehash"),
    ]);
    let ran = Ran::from(finish(command.spawn().unwrap())).succeeded();
    assert_eq!(ran.stdout.lines().count(), 2000);
    let mut check = place
        .command("sha256sum")
        .arg("-c")
        .arg("--quiet")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(ran.stdout.as_bytes())
        .unwrap();
    assert!(finish(check).status.success());
}

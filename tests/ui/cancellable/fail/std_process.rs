use std::io;
use taskscope::cancellable;

#[cancellable]
async fn commands(path: &str) -> io::Result<()> {
    let listed = std::process::Command::new("ls").arg(path).output()?;
    assert!(listed.status.success());
    std::process::Command::new("true").status()?;
    std::process::Command::new("true").spawn()?.wait()?;
    Ok(())
}

fn main() {}

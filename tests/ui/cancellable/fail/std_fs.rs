use std::io;
use std::path::Path;
use taskscope::cancellable;

#[cancellable]
async fn functions(path: &Path) -> io::Result<String> {
    std::fs::create_dir_all(path)?;
    if std::fs::exists(path)? {
        ::std::fs::remove_file(path)?;
    }
    std::fs::soft_link(path, "link")?;
    std::fs::read_to_string(path)
}

#[cancellable]
async fn types(path: &Path) -> io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut copy = std::fs::OpenOptions::new().append(true).open("copy")?;
    io::copy(&mut file, &mut copy)?;
    std::fs::DirBuilder::new().recursive(true).create(path)
}

fn main() {}

use taskscope::{Group, cancellable};

// rustc has to know the type of the future to see whether it is `Send`, and is just finding it out.
async fn walk(g: Group<'static>, depth: u32) {
    g.spawn(walk(g.clone(), depth - 1));
}

// The same in a circle of two.
#[cancellable]
async fn folder(g: Group<'static>, depth: u32) {
    if depth > 0 {
        g.spawn(entry(g.clone(), depth));
    }
}

#[cancellable]
async fn entry(g: Group<'static>, depth: u32) {
    g.spawn(folder(g.clone(), depth - 1));
}

fn main() {}

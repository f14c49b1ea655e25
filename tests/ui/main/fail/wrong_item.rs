#[taskscope::main]
fn plain() {}

#[taskscope::main]
async fn arguments(args: Vec<String>, (a, b): (u32, u32)) -> usize {
    args.len() + (a + b) as usize
}

#[taskscope::main]
async fn generic<T: Default>() -> T {
    T::default()
}

#[taskscope::main]
struct Program;

#[taskscope::main]
impl Program {}

#[tokio::main]
#[taskscope::main]
async fn above() {}

#[taskscope::main]
#[tokio::main]
async fn below() {}

#[taskscope::main]
#[taskscope::main]
async fn twice() {}

fn main() {
    plain();
    arguments();
    generic();
    above();
    below();
    twice();
    drop(Program);
}

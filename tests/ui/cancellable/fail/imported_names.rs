use taskscope::cancellable;

async fn work() {}

#[cancellable]
async fn imported_in_the_function() {
    use tokio::spawn as go;
    use tokio::task::{self as tasks, JoinSet as Set};
    go(work());
    tasks::spawn_blocking(|| ());
    Set::<()>::new().shutdown().await;
}

#[cancellable]
mod imported_in_the_module {
    use std::fs;
    use std::process::Command as Run;
    use tokio::select as first;

    pub(crate) async fn blocks() {
        drop(fs::read("file"));
        drop(Run::new("ls").output());
    }

    pub(crate) async fn drops() {
        first! { () = super::work() => {} }
    }

    pub(crate) async fn in_a_group() {
        use std::thread::sleep as nap;
        taskscope::task_group!(|_g| {
            nap(std::time::Duration::ZERO);
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[cancellable]
async fn by_the_type() {
    <tokio::task::JoinSet<()>>::new().shutdown().await;
    <tokio::task::JoinSet<()> as Default>::default().shutdown().await;
}

fn main() {
    drop((imported_in_the_function(), by_the_type()));
    drop((imported_in_the_module::blocks(), imported_in_the_module::drops()));
    drop(imported_in_the_module::in_a_group());
}

use taskscope::cancellable;

struct Worker;

impl Worker {
    fn with(self, _: u32) -> Self {
        self
    }

    async fn run(self) {}
}

macro_rules! starts {
    ($name:ident, $work:expr) => {
        #[cancellable]
        async fn $name() {
            tokio::spawn($work);
            std::thread::sleep($crate::limit( $work ));
        }
    };
}

starts!(generated, Worker.with(1 + 1).run());

fn limit<T>(_: T) -> std::time::Duration {
    std::time::Duration::ZERO
}

#[cancellable]
async fn several_lines() {
    tokio::spawn(
        Worker
            .with(  1+1  )
            .run( /* nothing */ )
    );
}

fn main() {}

//! Expansions mean what they mean, whatever the names around them are.

#![allow(dead_code, unused_macros, reason = "names that are in the way")]

mod shadowed {
    use ::std::assert_eq;
    use ::std::convert::Into;
    use ::std::string::{String, ToString};
    use ::taskscope::{defer, on_cancel};

    // Everything that an expansion might name without its full path.
    pub(crate) struct Ok;
    pub(crate) struct Err;
    pub(crate) struct Some;
    pub(crate) struct None;
    pub(crate) struct Result;
    pub(crate) struct Option;
    pub(crate) struct Future;
    pub(crate) struct Send;
    pub(crate) struct Box;
    pub(crate) struct Pin;
    pub(crate) struct Duration;
    pub(crate) struct Infallible;
    pub(crate) struct Main;
    pub(crate) struct Test;
    pub(crate) struct Frame;
    pub(crate) mod core {}
    pub(crate) mod std {}
    pub(crate) mod alloc {}
    pub(crate) mod taskscope {}
    pub(crate) mod tokio {}
    pub(crate) mod __private {}
    pub(crate) fn drop() {}
    pub(crate) fn gate() {}
    pub(crate) fn after() {}
    pub(crate) fn refused() {}
    pub(crate) fn refuse() {}
    pub(crate) fn __taskscope_body() {}

    macro_rules! unreachable {
        ($($t:tt)*) => {
            compile_error!("the user's own macro")
        };
    }
    macro_rules! panic {
        ($($t:tt)*) => {
            compile_error!("the user's own macro")
        };
    }
    macro_rules! pin {
        ($($t:tt)*) => {
            compile_error!("the user's own macro")
        };
    }
    macro_rules! matches {
        ($($t:tt)*) => {
            compile_error!("the user's own macro")
        };
    }
    macro_rules! format {
        ($($t:tt)*) => {
            compile_error!("the user's own macro")
        };
    }

    /// Methods that would be found before those that an expansion calls.
    pub(crate) trait InTheWay: ::std::marker::Sized {
        fn run(self) {}
        fn leave(self) {}
        fn body(self) {}
        fn cleanup(self) {}
        fn is_cancelled(&self) {}
        fn into_future(self) {}
        fn grace(self) {}
    }
    impl<T> InTheWay for T {}

    type Res<T, E = ::taskscope::BoxError> = ::std::result::Result<T, E>;

    async fn step(n: u32) -> u32 {
        n
    }

    #[::taskscope::cancellable]
    async fn guards(log: &::taskscope_tests::Log, n: u32) -> Res<u32> {
        defer! {
            step(1).await;
            log.add("outer");
        }
        for m in 0..n {
            defer! { log.add("round"); }
            on_cancel! { log.add("cancelled"); }
            if step(m).await == 1 {
                break;
            }
            if m == 7 {
                return ::std::result::Result::Err("seven".into());
            }
        }
        let (__taskscope_armed, __taskscope_exit, __taskscope_jump_0) = (1, 2, 3);
        ::std::result::Result::Ok(__taskscope_armed + __taskscope_exit + __taskscope_jump_0)
    }

    #[::taskscope::cancellable(loops)]
    async fn group() -> Res<u32> {
        let sum = ::taskscope::task_group!(limit = 2, |g| {
            let task = g.spawn(async { ::taskscope::Value(step(1).await) });
            let parsed = g.spawn_scoped(async {
                let n: u32 = "2".parse()?;
                ::std::result::Result::Ok(n)
            });
            ::std::result::Result::Ok(task.await? + parsed.await?)
        })
        .await?;
        let (a, b) = ::taskscope::join!(step(1), step(2));
        let (c, d) = ::taskscope::try_join!(async { Res::<_>::Ok(step(1).await) }, async {
            Res::<_>::Ok(step(2).await)
        })?;
        let e = ::taskscope::race! { n = step(3) => n, n = step(4) => n - 1 };
        ::std::result::Result::Ok(sum + a + b + c + d + e)
    }

    #[::taskscope::cancellable(blocking)]
    fn blocking(n: u32) -> Res<u32> {
        let __taskscope_cancelled = n;
        let mut sum = 0;
        for n in 0..__taskscope_cancelled {
            sum += n;
        }
        Res::Ok(sum)
    }

    #[::taskscope::cancellable(send)]
    async fn sent((a, _): (u32, u32), _: u32, __taskscope_output: &str) -> String {
        step(a).await;
        __taskscope_output.to_string()
    }

    #[::taskscope::main(flavor = "current_thread", grace = ::std::time::Duration::ZERO)]
    async fn main() -> Res<u32> {
        defer! { step(1).await; }
        let parsed: u32 = "5".parse()?;
        Res::Ok(step(parsed).await)
    }

    #[::core::prelude::v1::test]
    fn entry() {
        assert_eq!(main().unwrap(), 5);
    }

    #[::taskscope::test(flavor = "multi_thread", worker_threads = 1)]
    async fn names() -> Res<()> {
        let log = ::taskscope_tests::Log::new();
        assert_eq!(guards(&log, 3).await?, 6);
        log.is(&["round", "round", "outer"]);
        assert_eq!(group().await?, 12);
        assert_eq!(blocking(4)?, 6);
        assert_eq!(sent((1, 2), 3, "text").await, "text");
        let text: String = "t".into();
        assert_eq!(text.to_string(), "t");
        Res::Ok(())
    }
}

/// The crate is known by one path, and its macros come by another.
mod re_exported {
    mod facade {
        pub(crate) use taskscope as scopes;
    }

    #[taskscope::cancellable(crate = crate::hygiene::re_exported::facade::scopes)]
    async fn two() -> Result<u32, taskscope::BoxError> {
        taskscope::checkpoint().await;
        facade::scopes::defer! { taskscope::checkpoint().await; }
        let two = facade::scopes::task_group!(|_| {
            taskscope::checkpoint().await;
            Ok(2)
        });
        Ok(two.await?)
    }

    #[taskscope::test]
    async fn works() {
        assert_eq!(two().await.unwrap(), 2);
    }
}

/// What the user's code says about where it is.
mod lines {
    use std::panic::Location;

    use taskscope::{BoxError, cancellable, checkpoint, defer};
    use taskscope_tests::caught;

    #[track_caller]
    fn here() -> u32 {
        Location::caller().line()
    }

    #[cancellable]
    async fn of_statements() -> [(u32, u32); 4] {
        let first = (line!(), here());
        checkpoint().await;
        defer! { checkpoint().await; }
        let second = (line!(), here());
        let third = {
            defer! { checkpoint().await; }
            (line!(), here())
        };
        let fourth = async { (line!(), here()) }.await;
        [first, second, third, fourth]
    }

    #[cancellable(send)]
    async fn sent(_: u32) -> (u32, u32) {
        checkpoint().await;
        (line!(), here())
    }

    #[cancellable(blocking)]
    fn blocking() -> Result<(u32, u32), BoxError> {
        for _ in 0..1 {
            here();
        }
        Ok((line!(), here()))
    }

    #[cancellable]
    async fn panics() {
        defer! { checkpoint().await; }
        checkpoint().await;
        for _ in 0..2 {
            defer! { checkpoint().await; }
            panic!("at {}", line!());
        }
    }

    #[taskscope::test]
    async fn are_the_users() {
        for (line, caller) in of_statements().await {
            assert_eq!(line, caller);
            assert!(line > 170, "{line}");
        }
        let (line, caller) = sent(1).await;
        assert_eq!(line, caller);
        let (line, caller) = blocking().unwrap();
        assert_eq!(line, caller);
        assert_eq!((line!(), here()).0, here());
    }

    #[test]
    fn a_panic_names_the_users_line() {
        use std::sync::{Arc, Mutex};
        let seen = Arc::new(Mutex::new(None));
        let noted = seen.clone();
        let before = std::panic::take_hook();
        let this = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == this {
                let location = info.location().map(|l| (l.file().to_owned(), l.line()));
                *noted.lock().unwrap() = location;
            } else {
                before(info);
            }
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let panic = runtime.block_on(caught(panics())).unwrap_err();
        let text = taskscope_tests::text_of(&*panic);
        let (file, line) = seen.lock().unwrap().take().unwrap();
        assert_eq!(text, format!("at {line}"));
        assert!(file.ends_with("hygiene.rs"), "{file}");
    }
}

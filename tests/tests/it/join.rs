//! `join!` and `try_join!`: any number of branches, and what they are given.

use std::num::ParseIntError;

use taskscope::{cancellable, join, try_join};
use taskscope_tests::both;
use tokio::task::yield_now;

async fn step(n: u32) -> u32 {
    for _ in 0..n % 3 {
        yield_now().await;
    }
    n
}

async fn ok(n: u32) -> Result<u32, ParseIntError> {
    Ok(step(n).await)
}

async fn parse(text: &str) -> Result<u32, ParseIntError> {
    text.parse()
}

#[test]
fn no_branch() {
    both(|| async {
        let () = join!();
        assert_eq!(try_join!(), Ok::<(), ParseIntError>(()));
    });
}

#[test]
fn one_branch() {
    both(|| async {
        assert_eq!(join!(step(1)), (1,));
        assert_eq!(try_join!(ok(1)), Ok((1,)));
        assert!(try_join!(parse("x"),).is_err());
    });
}

#[test]
fn forty_branches() {
    both(|| async {
        #[rustfmt::skip]
        let joined = join!(
            step(0), step(1), step(2), step(3), step(4), step(5), step(6), step(7),
            step(8), step(9), step(10), step(11), step(12), step(13), step(14),
            step(15), step(16), step(17), step(18), step(19), step(20), step(21),
            step(22), step(23), step(24), step(25), step(26), step(27), step(28),
            step(29), step(30), step(31), step(32), step(33), step(34), step(35),
            step(36), step(37), step(38), step(39),
        );
        assert_eq!((joined.0, joined.19, joined.39), (0, 19, 39));
        #[rustfmt::skip]
        let joined = try_join!(
            ok(0), ok(1), ok(2), ok(3), ok(4), ok(5), ok(6), ok(7), ok(8), ok(9),
            ok(10), ok(11), ok(12), ok(13), ok(14), ok(15), ok(16), ok(17), ok(18),
            ok(19), ok(20), ok(21), ok(22), ok(23), ok(24), ok(25), ok(26), ok(27),
            ok(28), ok(29), ok(30), ok(31), ok(32), ok(33), ok(34), ok(35), ok(36),
            ok(37), ok(38), ok(39),
        );
        assert_eq!(joined.unwrap().39, 39);
    });
}

#[test]
fn fortieth_branch_fails() {
    both(|| async {
        #[rustfmt::skip]
        let joined = try_join!(
            ok(0), ok(1), ok(2), ok(3), ok(4), ok(5), ok(6), ok(7), ok(8), ok(9),
            ok(10), ok(11), ok(12), ok(13), ok(14), ok(15), ok(16), ok(17), ok(18),
            ok(19), ok(20), ok(21), ok(22), ok(23), ok(24), ok(25), ok(26), ok(27),
            ok(28), ok(29), ok(30), ok(31), ok(32), ok(33), ok(34), ok(35), ok(36),
            ok(37), ok(38),
            parse("x"),
        );
        let error = joined.map(|joined| joined.39).unwrap_err();
        assert_eq!(error, "x".parse::<u32>().unwrap_err());
    });
}

/// Of two branches that fail in one poll, the one that is written first counts.
#[test]
fn first_error_counts() {
    both(|| async {
        let failed: Result<(u32, u32), &str> =
            try_join!(async { Err("first") }, async { Err("second") });
        assert_eq!(failed, Err("first"));
        let failed: Result<(u32, u32), &str> = try_join!(
            async {
                yield_now().await;
                Err("first")
            },
            async { Err("second") },
        );
        assert_eq!(failed, Err("second"));
    });
}

/// Temporaries in the branches live as long as the statement.
#[test]
fn branches_may_borrow_temporaries() {
    #[cancellable]
    async fn parsed() -> Result<u32, ParseIntError> {
        let (one, two) = try_join!(parse(&1.to_string()), parse(&2.to_string()))?;
        Ok(one + two)
    }

    both(|| async {
        let (one, two) = join!(parse(&1.to_string()), parse(&2.to_string()));
        assert_eq!((one, two), (Ok(1), Ok(2)));
        assert_eq!(parsed().await, Ok(3));
    });
}

/// Where the crate has another name, its macros know it.
#[test]
fn crate_of_another_name() {
    use taskscope as renamed;

    #[renamed::cancellable(crate = renamed)]
    async fn two() -> Result<(u32, u32), ParseIntError> {
        let (one,) = renamed::join!(step(1));
        let (two,) = renamed::try_join!(ok(2))?;
        Ok((one, two))
    }

    both(|| async {
        assert_eq!(two().await, Ok((1, 2)));
    });
}

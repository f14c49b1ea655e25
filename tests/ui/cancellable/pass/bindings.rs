#![deny(warnings)]

use taskscope::{BoxError, cancellable, defer};

async fn maybe(n: u32) -> Option<u32> {
    (n > 0).then_some(n)
}

async fn step(n: u32) -> u32 {
    n
}

#[cancellable]
async fn let_else(n: u32) -> Result<u32, BoxError> {
    let Some(m) = maybe(n).await else {
        return Err(step(n).await.to_string().into());
    };
    let Some(m) = maybe(m).await else {
        loop {
            step(1).await;
        }
    };
    for n in 0..3 {
        let Some(n) = maybe(n).await else { continue };
        let 1.. = step(n).await else { break };
    }
    let ((Some(a), b) | (None, b @ Some(a))) = (maybe(m).await, maybe(1).await) else {
        panic!("{}", step(1).await)
    };
    Ok(a + b.unwrap_or(0))
}

#[cancellable]
async fn let_else_over_guards(n: u32, log: &mut Vec<&'static str>) -> u32 {
    defer! { log.push("outer"); }
    let Some(m) = maybe(n).await else {
        defer! { log.push("else"); }
        return step(0).await;
    };
    for _ in 0..2 {
        defer! { log.push("round"); }
        let Some(_) = maybe(m - 1).await else { break };
    }
    m
}

#[cancellable]
async fn chains(n: u32) -> u32 {
    if let Some(a) = maybe(n).await
        && step(a).await > 1
        && let Some(b) = maybe(a - 1).await
        && b > 0
    {
        return step(b).await;
    }
    let mut left = n;
    while let Some(m) = maybe(left).await
        && step(m).await > 0
    {
        left -= 1;
    }
    match maybe(n).await {
        Some(n) if step(n).await == 1 => 100,
        _ => left,
    }
}

#[cancellable]
async fn labelled(n: u32) -> u32 {
    let found = 'search: {
        if step(n).await == 0 {
            break 'search None;
        }
        for m in 0..n {
            if maybe(m).await == Some(2) {
                break 'search Some(m);
            }
        }
        maybe(n).await
    };
    'outer: loop {
        'inner: {
            defer! { step(1).await; }
            if found.is_none() {
                break 'outer 0;
            }
            if step(n).await > 1 {
                break 'inner;
            }
            break 'outer 1;
        }
        break found.unwrap_or(7);
    }
}

#[cancellable]
async fn temporaries(n: u32) -> usize {
    let text = &mut String::from("a");
    text.push_str(&step(n).await.to_string());
    let length = text.len() + format!("{}", step(n).await).len();
    let ref copy = step(n).await;
    let [first, .., last] = [step(1).await, *copy, step(3).await];
    length + (first + last) as usize
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(let_else(2).await.unwrap(), 3);
    assert_eq!(let_else(0).await.unwrap_err().to_string(), "0");
    let mut log = Vec::new();
    assert_eq!(let_else_over_guards(0, &mut log).await, 0);
    assert_eq!(let_else_over_guards(1, &mut log).await, 1);
    assert_eq!(let_else_over_guards(2, &mut log).await, 2);
    assert_eq!(
        log,
        ["else", "outer", "round", "outer", "round", "round", "outer"]
    );
    assert_eq!((chains(0).await, chains(1).await, chains(3).await), (0, 100, 2));
    assert_eq!((labelled(0).await, labelled(1).await, labelled(3).await), (0, 1, 2));
    assert_eq!(temporaries(5).await, 7);
}

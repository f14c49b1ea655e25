use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future polled by hand, with a waker that counts.
pub struct Driven<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

impl<F: Future> Driven<F> {
    /// Takes the future without polling it.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// Polls once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often the waker was called, since the beginning.
    pub fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }

    /// Polls and expects `Pending`.
    #[track_caller]
    pub fn pending(&mut self) {
        assert!(self.poll().is_pending(), "ready, where it should wait");
    }

    /// Polls as long as the waker is called, and expects the end.
    #[track_caller]
    pub fn finish(&mut self) -> F::Output {
        loop {
            let before = self.wakes();
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
            assert_ne!(before, self.wakes(), "waits, and nothing will wake it");
        }
    }

    /// Polls to the end, letting the runtime run in between.
    pub async fn finish_yielding(&mut self) -> F::Output {
        loop {
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The future itself, to be finished elsewhere.
    pub fn into_future(self) -> Pin<Box<F>> {
        self.future
    }
}

/// What a [`Counted`] future saw.
#[derive(Debug, Default)]
pub struct Counts {
    polls: AtomicUsize,
    drops: AtomicUsize,
}

impl Counts {
    /// How often the future was polled.
    pub fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// How often it was dropped: 0 or 1.
    pub fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }
}

/// A future that counts its polls.
pub struct Counted<F> {
    future: Pin<Box<F>>,
    counts: Arc<Counts>,
}

/// Counts the polls of `future`.
pub fn counted<F: Future>(future: F) -> (Counted<F>, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let future = Counted {
        future: Box::pin(future),
        counts: counts.clone(),
    };
    (future, counts)
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.counts.polls.fetch_add(1, Ordering::SeqCst);
        self.future.as_mut().poll(cx)
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        self.counts.drops.fetch_add(1, Ordering::SeqCst);
    }
}

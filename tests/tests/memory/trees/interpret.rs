//! Runs a tree for real, on the paused clock.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{FutureExt, TryFutureExt};
use taskscope::{
    BoxError, CancelHandle, Cancelled, Cause, Group, GroupError, Reason, Scope, TaskGroup,
    TaskHandle, cancellable, defer, join, on_cancel, shield, try_join,
};
use taskscope_tests::{caught, text_of};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::trace::{CutBy, Event, Fault, Outcome, Recorder, What};
use super::tree::{Body, Clock, Cut, DeferredWork, GroupWork, How, Kind, TaskWork, Work};

type Done = Result<(), BoxError>;
type Boxed<T = ()> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

#[derive(Debug)]
struct Failed(usize);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault-{}", self.0)
    }
}

impl std::error::Error for Failed {}

/// The error types of the groups.
trait Fails: From<BoxError> + fmt::Display + Send + 'static {}

impl Fails for BoxError {}

/// An error that cannot be asked for its sources.
struct Own(BoxError);

impl From<BoxError> for Own {
    fn from(error: BoxError) -> Own {
        Own(error)
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Fails for Own {}

/// What was seen of one run.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) events: Vec<Event>,
    pub(crate) outcomes: Vec<(usize, Outcome)>,
    /// The panic that came out at the top.
    pub(crate) panic: Option<usize>,
    pub(crate) end: u64,
}

struct World {
    log: Recorder,
    /// How often some of the cleanups give way.
    yields: usize,
    handles: Mutex<Vec<(usize, TaskHandle<usize>)>>,
    /// Of the handles that were awaited.
    outcomes: Mutex<Vec<(usize, Outcome)>>,
}

/// What a piece of work runs in: its enclosing scopes, the innermost last.
#[derive(Clone)]
struct Place {
    world: Arc<World>,
    scopes: Arc<[CancelHandle]>,
}

impl Place {
    fn inside(&self, handle: CancelHandle) -> Place {
        Place {
            world: self.world.clone(),
            scopes: self.scopes.iter().cloned().chain([handle]).collect(),
        }
    }

    fn log(&self, id: usize, what: What) {
        self.world.log.add(id, what);
    }
}

/// Tells when the future of a piece of work is gone.
struct Mark(Place, usize);

impl Mark {
    fn begin(place: &Place, id: usize) -> Mark {
        place.log(id, What::Begins);
        Mark(place.clone(), id)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.log(self.1, What::Gone);
    }
}

/// Runs the root.
pub(crate) async fn run_root(root: Work, clock: Clock) -> Seen {
    let world = Arc::new(World {
        log: Recorder::new(),
        yields: usize::from(clock == Clock::Crowded),
        handles: Mutex::default(),
        outcomes: Mutex::default(),
    });
    let place = Place {
        world: world.clone(),
        scopes: [].into(),
    };
    let outcome = caught(run(place, Arc::new([root]), 0)).await;
    let end = world.log.now();
    let handles = std::mem::take(&mut *world.handles.lock().unwrap());
    let mut outcomes = std::mem::take(&mut *world.outcomes.lock().unwrap());
    let others = handles.into_iter();
    outcomes.extend(others.map(|(id, handle)| (id, Outcome::of(id, handle.now_or_never()))));
    Seen {
        events: world.log.take(),
        outcomes,
        panic: outcome.err().map(|panic| panicked(&*panic)),
        end,
    }
}

fn panicked(panic: &(dyn Any + Send)) -> usize {
    match Fault::of_text(&text_of(panic)) {
        Fault::Panic(id) => id,
        Fault::Error(id) => panic!("an error that panicked: {id}"),
    }
}

/// The piece of work at `index`, boxed to be recursive.
fn run(place: Place, body: Body, index: usize) -> Boxed {
    Box::pin(work(place, body, index))
}

#[cancellable]
async fn sequence(place: Place, body: Body) -> Done {
    for index in 0..body.len() {
        run(place.clone(), body.clone(), index).await?;
    }
    Ok(())
}

#[cancellable]
async fn work(place: Place, body: Body, index: usize) -> Done {
    let Work { id, kind } = &body[index];
    let _mark = Mark::begin(&place, *id);
    let done = match kind {
        Kind::Sleep(takes) => pause(*takes).await,
        Kind::Fail(takes) => fail(*takes, *id).await,
        Kind::Panic(takes) => {
            pause(*takes).await?;
            std::panic::resume_unwind(Box::new(format!("panic-{id}")));
        }
        Kind::Cancel { after, up } => cancel(&place, *after, *id, *up).await,
        Kind::CancelTask { after, task } => cancel_task(&place, *after, *task).await,
        Kind::Defer {
            only_cancelled,
            body,
            cleanup,
        } => match only_cancelled {
            true => on_cancel(&place, *id, body, cleanup).await,
            false => defer(&place, *id, body, cleanup).await,
        },
        Kind::Shield(body) => shield(sequence(place.clone(), body.clone())).await,
        Kind::Catch(body) => match caught(sequence(place.clone(), body.clone())).await {
            Ok(done) => done,
            Err(panic) => {
                place.log(*id, What::Caught(panicked(&*panic)));
                Ok(())
            }
        },
        Kind::Scope { cut, after, body } => scope(&place, *id, *cut, *after, body).await,
        Kind::Join { fallible, branches } => branch_out(&place, *fallible, branches).await,
        Kind::Group(group) if group.own_error => match run_group::<Own>(&place, group).await {
            Ok(()) => Ok(()),
            Err(error) => group_failed(&place, *id, group.pass_on, &error),
        },
        Kind::Group(group) => match run_group::<BoxError>(&place, group).await {
            Ok(()) => Ok(()),
            Err(error) => group_failed(&place, *id, group.pass_on, &error),
        },
    };
    place.log(*id, What::Ends(done.is_ok()));
    done
}

#[cancellable]
async fn pause(takes: u64) -> Done {
    if takes > 0 {
        sleep(Duration::from_millis(takes)).await;
    }
    Ok(())
}

#[cancellable]
async fn fail(takes: u64, id: usize) -> Done {
    pause(takes).await?;
    Err(Failed(id))?
}

#[cancellable]
async fn cancel(place: &Place, after: u64, id: usize, up: usize) -> Done {
    pause(after).await?;
    let index = place.scopes.len().saturating_sub(up + 1);
    place.scopes[index].cancel_with(Reason::other(id.to_string()));
    Ok(())
}

#[cancellable]
async fn cancel_task(place: &Place, after: u64, task: Option<usize>) -> Done {
    pause(after).await?;
    let handles = place.world.handles.lock().unwrap();
    if let Some((_, handle)) = handles.iter().find(|(id, _)| Some(*id) == task) {
        handle.cancel();
    }
    Ok(())
}

/// Fails as work fails; what a cleanup returns is nobody's.
#[cancellable]
async fn clean(place: &Place, id: usize, cleanup: &Body) {
    place.log(id, What::CleanupBegins);
    for _ in 0..place.world.yields * (id % 3) {
        yield_now().await;
    }
    drop(sequence(place.clone(), cleanup.clone()).await);
    place.log(id, What::CleanupEnds);
}

#[cancellable]
async fn defer(place: &Place, id: usize, body: &Body, cleanup: &Body) -> Done {
    defer! { clean(place, id, cleanup).await; }
    sequence(place.clone(), body.clone()).await
}

#[cancellable]
async fn on_cancel(place: &Place, id: usize, body: &Body, cleanup: &Body) -> Done {
    on_cancel! { clean(place, id, cleanup).await; }
    sequence(place.clone(), body.clone()).await
}

#[cancellable]
async fn scope(place: &Place, id: usize, cut: Cut, after: u64, body: &Body) -> Done {
    let after = Duration::from_millis(after);
    let scope = match cut {
        Cut::Never => Scope::new(),
        Cut::Timeout(_) => Scope::new().timeout(after),
        Cut::When(_) => Scope::new().cancel_when(sleep(after)),
    };
    let inside = place.inside(scope.handle());
    let outcome: Result<Done, Cancelled> = scope.run(sequence(inside, body.clone())).await;
    outcome.unwrap_or_else(|cancelled| {
        place.log(id, What::Cut(CutBy::of(&cancelled)));
        Ok(())
    })
}

#[cancellable]
async fn branch_out(place: &Place, fallible: bool, branches: &[Body]) -> Done {
    let at = |index: usize| sequence(place.clone(), branches[index].clone());
    match (fallible, branches.len()) {
        (false, 2) => {
            let (a, b) = join!(at(0), at(1));
            a.and(b)
        }
        (false, _) => {
            let (a, b, c) = join!(at(0), at(1), at(2));
            a.and(b).and(c)
        }
        (true, 2) => try_join!(at(0), at(1)).map(drop),
        (true, _) => try_join!(at(0), at(1), at(2)).map(drop),
    }
}

#[cancellable]
async fn run_group<E: Fails>(place: &Place, group: &GroupWork) -> Result<(), GroupError<E>> {
    let mut builder = TaskGroup::<E>::new()
        .on_failure(group.on_failure)
        .describe(E::to_string);
    if let Some(limit) = group.limit {
        builder = builder.limit(limit);
    }
    if let Some(timeout) = group.timeout {
        builder = builder.timeout(Duration::from_millis(timeout));
    }
    builder
        .run(async |g| {
            let inside = place.inside(g.handle());
            start(&inside, &g, group);
            sequence(inside, group.body.clone()).await?;
            if group.awaits {
                await_tasks(&place.world, &group.tasks).await;
            }
            Ok(())
        })
        .await
}

/// Awaits the tasks in order of spawning.
#[cancellable]
async fn await_tasks(world: &World, tasks: &[TaskWork]) {
    for task in tasks.iter().filter(|task| !task.how.is_service()) {
        let outcome = poll_fn(|cx| poll_handle(world, task.id, cx)).await;
        world.outcomes.lock().unwrap().push((task.id, outcome));
    }
}

/// Polls the handle where it is; once ready, it is taken out.
fn poll_handle(world: &World, id: usize, cx: &mut Context<'_>) -> Poll<Outcome> {
    let mut handles = world.handles.lock().unwrap();
    let index = handles.iter().position(|(task, _)| *task == id).unwrap();
    let outcome = std::task::ready!(handles[index].1.poll_unpin(cx));
    handles.swap_remove(index);
    Poll::Ready(Outcome::of(id, Some(outcome)))
}

fn start<E: Fails>(inside: &Place, g: &Group<'_, E>, group: &GroupWork) {
    for deferred in &group.deferred {
        g.defer(late_cleanup(inside.clone(), *deferred).map_err(E::from));
    }
    for task in &group.tasks {
        let work = run_task(inside.clone(), task.id, task.how, task.body.clone());
        let handle = match task.how {
            How::Spawn => g.spawn(work),
            How::SpawnScoped => g.spawn_scoped(work),
            How::SpawnShielded => g.spawn_shielded(work),
            How::Service | How::EndlessService => g.service(work),
        };
        inside.world.handles.lock().unwrap().push((task.id, handle));
    }
}

#[cancellable]
async fn run_task(place: Place, id: usize, how: How, body: Body) -> Result<usize, BoxError> {
    let _mark = Mark::begin(&place, id);
    let done = sequence(place.clone(), body).await;
    if how == How::EndlessService && done.is_ok() {
        std::future::pending::<()>().await;
    }
    place.log(id, What::Ends(done.is_ok()));
    done.map(|()| id)
}

async fn late_cleanup(place: Place, deferred: DeferredWork) -> Done {
    let DeferredWork { id, takes, fails } = deferred;
    let _mark = Mark::begin(&place, id);
    sleep(Duration::from_millis(takes)).await;
    place.log(id, What::Ends(!fails));
    if fails {
        Err(Failed(id))?;
    }
    Ok(())
}

fn group_failed<E: Fails>(place: &Place, id: usize, pass_on: bool, error: &GroupError<E>) -> Done {
    let causes = error
        .failures()
        .iter()
        .map(|failure| match failure.cause() {
            Cause::Error(error) => Fault::of_text(&error.to_string()),
            Cause::Panic(text) => Fault::of_text(text),
            other => panic!("{other}"),
        });
    let failures: Vec<_> = causes.collect();
    let fails = pass_on && !failures.is_empty();
    place.log(
        id,
        What::GroupFailed {
            failures,
            cancelled: error.cancelled().map(CutBy::of),
        },
    );
    if fails {
        Err(Failed(id))?;
    }
    Ok(())
}

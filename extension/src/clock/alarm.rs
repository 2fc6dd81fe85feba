//! The loop's one timer, and what stands in for it where the runtime's timers are of no use.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant as Monotonic};

use policy::Instant;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until};

use super::Clock;

/// Rings at the time that it was set to last.
///
/// It is one timer that is put off again and again: a new one that is due before all others costs two system calls.
pub(crate) struct Alarm {
    clock: Clock,
    due: Monotonic,
    timer: Pin<Box<Sleep>>,
    /// A thread that waits, from the first setting on a clock that is behind the runtime's start.
    watch: Option<Watch>,
}

impl Alarm {
    /// An alarm that is due.
    pub(crate) fn new(clock: Clock) -> Self {
        let due = Monotonic::now();
        Self { clock, due, timer: Box::pin(sleep_until(due.into())), watch: None }
    }

    /// Sets it to ring at `due`.
    pub(crate) fn set(&mut self, due: Instant) {
        self.due = self.clock.reading(due);
        if self.clock.is_behind() {
            self.watch.get_or_insert_with(Watch::start).set(self.due);
        } else {
            self.watch = None;
            self.timer.as_mut().reset(self.due.into());
        }
    }

    /// Waits until it rings. What waits may be dropped, and wait again.
    pub(crate) async fn rings(&mut self) {
        let Some(watch) = &self.watch else { return self.timer.as_mut().await };
        while Monotonic::now() < self.due {
            watch.rung.notified().await;
        }
    }
}

/// A thread that waits for one time after the other.
struct Watch {
    times: Sender<Monotonic>,
    /// Told when a time has come.
    rung: Arc<Notify>,
}

impl Watch {
    /// Without a thread nothing rings: the loop then lives by what it hears.
    fn start() -> Self {
        let (times, received) = channel();
        let rung = Arc::<Notify>::default();
        let told = rung.clone();
        let _ = thread::Builder::new().spawn(move || keep_watch(&received, &told));
        Self { times, rung }
    }

    fn set(&self, due: Monotonic) {
        let _ = self.times.send(due);
    }
}

fn keep_watch(times: &Receiver<Monotonic>, rung: &Notify) {
    let mut due: Option<Monotonic> = None;
    loop {
        let heard = match due {
            Some(due) => times.recv_timeout(due.saturating_duration_since(Monotonic::now())),
            None => times.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match heard {
            Ok(time) => due = Some(time),
            Err(RecvTimeoutError::Timeout) => {
                due = None;
                rung.notify_one();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Waits for `time` on a thread of its own.
pub(super) async fn wait_on_a_thread(time: Duration) {
    let watch = Watch::start();
    watch.set(Monotonic::now() + time);
    watch.rung.notified().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn it_rings_when_it_is_due_and_not_before_wherever_the_process_is_restored() {
        for later in [Duration::ZERO, Duration::from_secs(86_400)] {
            let clock = Clock::restored(later);
            let mut alarm = Alarm::new(clock);
            let far = clock.now() + Duration::from_secs(3_600);
            for _ in 0..2 {
                alarm.set(far);
                tokio::select! {
                    biased;
                    () = alarm.rings() => panic!("{later:?}: it is not due"),
                    () = tokio::task::yield_now() => {}
                }
            }
            for _ in 0..2 {
                let due = clock.now() + SOON;
                alarm.set(due);
                alarm.rings().await;
                assert!(clock.now() >= due, "{later:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_wait_on_a_thread_takes_its_time() {
        let began = Monotonic::now();
        wait_on_a_thread(SOON).await;
        assert!(Monotonic::now() - began >= SOON);
    }
}

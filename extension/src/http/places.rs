//! Places for connections: a bounded number, and where all are taken, one that only sits there makes room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::clock::within;

/// Connections served at once. The environment has 1,024 file descriptors for all.
const PLACES: usize = 64;
/// With every place taken, how long a connection may go without its first request: a client that has connected
/// may be waiting for its share of the CPU.
const SILENT: Duration = Duration::from_millis(100);
/// With a request on every connection, how long a new one waits for an end of any. Whoever still has not
/// sent all of a request then will hardly ever: a loopback takes 16 MiB in some ten milliseconds.
const STALLED: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Places {
    table: Arc<Mutex<Table>>,
    /// Told when a request or a connection has ended.
    freed: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    taken: Vec<Taken>,
    /// Numbers what happens, to tell who has been idle, or busy, for longest.
    moments: u64,
}

struct Taken {
    name: u64,
    /// Requests under way.
    requests: usize,
    /// Whether there was one ever.
    was_asked: bool,
    /// When the last one began or ended.
    since: u64,
    connection: Option<AbortHandle>,
}

impl Places {
    /// Waits until a place is free, or makes one free.
    pub(super) async fn take(&self) -> Place {
        let (mut began, mut waited) = (self.table().moments, Duration::ZERO);
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            let before = self.table().moments;
            if within(SILENT, freed).await.is_some() {
                continue;
            }
            waited += SILENT;
            self.dismiss(before, |taken| taken.requests == 0);
            if waited >= STALLED {
                self.dismiss(began, |_| true);
                (began, waited) = (self.table().moments, Duration::ZERO);
            }
        }
    }

    /// A free place, or that of the connection that has been idle for longest.
    fn try_take(&self) -> Option<Place> {
        let mut table = self.table();
        if table.taken.len() == PLACES {
            let going = table.taken.iter().enumerate().filter(|(_, taken)| taken.is_idle());
            let (index, _) = going.min_by_key(|(_, taken)| taken.since)?;
            if let Some(connection) = table.taken.swap_remove(index).connection {
                connection.abort();
            }
        }
        table.moments += 1;
        let name = table.moments;
        table.taken.push(Taken { name, requests: 0, was_asked: false, since: name, connection: None });
        Some(Place { places: self.clone(), name })
    }

    /// Closes those of these connections on which no request has begun or ended since `before`.
    fn dismiss(&self, before: u64, these: impl Fn(&Taken) -> bool) {
        self.table().taken.retain(|taken| {
            let goes = taken.since <= before && these(taken);
            if let (true, Some(connection)) = (goes, &taken.connection) {
                connection.abort();
            }
            !goes
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, name: u64, change: impl FnOnce(&mut Taken)) {
        let mut table = self.table();
        table.moments += 1;
        let now = table.moments;
        if let Some(taken) = table.taken.iter_mut().find(|taken| taken.name == name) {
            taken.since = now;
            change(taken);
        }
    }
}

impl Taken {
    const fn is_idle(&self) -> bool {
        self.requests == 0 && self.was_asked
    }
}

/// The place of one connection; free again when it is dropped.
pub(super) struct Place {
    places: Places,
    name: u64,
}

impl Place {
    /// Whoever has this place is served by this task, and goes with it.
    pub(super) fn seat(&self) -> impl FnOnce(AbortHandle) + use<> {
        let (places, name) = (self.places.clone(), self.name);
        move |connection| places.change(name, |taken| taken.connection = Some(connection))
    }

    /// Counts the connection as busy for as long as the answer is not there.
    pub(super) fn busy(&self) -> impl Fn() -> Busy + use<> {
        let (places, name) = (self.places.clone(), self.name);
        move || {
            places.change(name, |taken| {
                taken.requests += 1;
                taken.was_asked = true;
            });
            Busy { places: places.clone(), name }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().taken.retain(|taken| taken.name != self.name);
        self.places.freed.notify_one();
    }
}

/// A request under way.
pub(super) struct Busy {
    places: Places,
    name: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.places.change(self.name, |taken| taken.requests -= 1);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (Places, Vec<Place>) {
        let places = Places::default();
        let taken = (0..PLACES).map(|_| places.try_take().expect("there is room")).collect();
        (places, taken)
    }

    fn names(places: &Places) -> Vec<u64> {
        places.table().taken.iter().map(|taken| taken.name).collect()
    }

    #[test]
    fn who_has_been_idle_for_longest_makes_room() {
        let (places, taken) = filled();
        assert!(places.try_take().is_none(), "who has just come may be about to ask");
        taken.iter().rev().for_each(|place| drop(place.busy()()));
        let _last = taken[PLACES - 1].busy()();
        let next_to_last = taken[PLACES - 2].name;
        let newcomer = places.try_take().expect("someone is idle");
        assert!(!names(&places).contains(&next_to_last), "the last has a request, and others had one later");
        assert!(names(&places).contains(&newcomer.name));
        assert_eq!(names(&places).len(), PLACES);
    }

    #[test]
    fn nobody_with_a_request_goes_at_once() {
        let (places, taken) = filled();
        let requests: Vec<_> = taken.iter().map(|place| place.busy()()).collect();
        assert!(places.try_take().is_none());
        drop(requests);
        assert!(places.try_take().is_some());
    }

    #[test]
    fn who_never_asks_anything_goes_after_a_while() {
        let (places, taken) = filled();
        let before = places.table().moments;
        let _request = taken[0].busy()();
        places.dismiss(before, |taken| taken.requests == 0);
        assert_eq!(names(&places), [taken[0].name]);
        let after = places.table().moments;
        places.dismiss(after, |_| true);
        assert_eq!(names(&places), [0; 0], "in the end, not even a request that never ends");
    }

    #[test]
    fn a_place_is_free_when_its_connection_ends() {
        let (places, mut taken) = filled();
        taken.truncate(10);
        assert_eq!(names(&places).len(), 10);
    }
}

//! Carries out what the agent wants.

use policy::{Input, Notice, Output, Receipt};

use super::super::disk::Body;
use super::{Event, World};

impl World {
    pub(super) fn carry_out(&mut self, output: Output<Body>) {
        match output {
            Output::Next => self.ask(),
            Output::Export { id, signal, entries, .. } => self.export(id, signal, entries),
            Output::Cancel(id) => self.cancel(id),
            Output::Park { entries, .. } => {
                let fails = self.faults_now().disk_fails && self.rng.below(3) == 0;
                self.note_parked();
                self.note_parking(&entries);
                self.coverage.note(if fails { "disk fails" } else { "parked" });
                let place = (!fails).then(|| self.disk.park(&entries));
                self.say(&format!("park {} {place:?}", entries.len()));
                let bound = self.config.bounds.spooled_bytes;
                // What is read back may be larger than what was written was taken to be.
                let most = bound + bound * 2 / 5;
                assert!(self.disk.parked_bytes() <= most, "{} on disk", self.disk.parked_bytes());
                self.later(self.now, Event::Spool(Input::Parked { place }));
            }
            Output::Unpark(place) => {
                self.check_unpark();
                let mut receipt = self.disk.unpark(place, &mut self.made);
                let is_lost = self.faults_now().disk_fails && self.rng.below(10) == 0;
                self.coverage.note(if is_lost { "spool unreadable" } else { "unparked" });
                if is_lost {
                    receipt = Receipt::EMPTY;
                }
                self.say(&format!("unpark {}", receipt.spans.len() + receipt.parcels.len()));
                self.later(self.now, Event::Spool(Input::Unparked(receipt)));
            }
            Output::Connect => {
                self.say("connect");
                self.connect();
            }
            Output::Measured(_) => unreachable!("lines are off"),
            Output::Reconnect => {
                self.coverage.note("reconnect");
                self.say("reconnect");
                self.check_reconnect();
                self.reconnect();
            }
            Output::Say(notice) => self.hear(&notice),
            Output::Close => self.later(self.now, Event::Spool(Input::Closed)),
            Output::Exit => {
                self.say("exit");
                self.has_exited = true;
                let asked = self.pending.values().filter(|event| matches!(event, Event::Spool(_))).count();
                assert_eq!(asked, 0, "the disk was asked, and nobody waits for what it says");
                self.check_left();
            }
        }
    }

    fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Summary(_) => return self.say("summary"),
            Notice::BackendDown => {
                self.held.is_down = true;
                self.deliveries.excused_at = self.now;
                self.coverage.note("breaker opened");
            }
            Notice::BackendBack => {
                (self.held.is_down, self.held.was_down) = (false, false);
                self.held.back_in = self.invocations;
                self.coverage.note("breaker closed again");
            }
            _ => {}
        }
        self.say(&format!("{notice:?}"));
    }

    fn ask(&mut self) {
        assert!(!std::mem::replace(&mut self.is_asked, true), "/next was asked twice");
        self.check_held();
        self.check_kept();
        self.asked_at = self.now;
        self.is_planned = false;
        self.note_next();
        self.running = None;
        self.say("next");
        self.freeze_if_idle();
    }
}

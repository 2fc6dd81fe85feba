//! Carries out what the agent wants.

use policy::{Input, LaneId, Notice, Output, Receipt};

use super::super::disk::Body;
use super::Served;
use super::network::HOLDER;
use super::telling::Lane;
use super::{Event, World};

impl World {
    pub(super) fn carry_out(&mut self, output: Output<Body>) {
        match output {
            Output::Next => self.ask(),
            Output::Export { id, lane, entries, .. } => {
                self.look_at(lane.destination, |world| world.export(id, lane.signal, entries));
            }
            Output::Cancel(id) => self.look_at(id.lane.destination, |world| world.cancel(id)),
            Output::Park { lane, entries } => {
                let fails = self.faults_now().disk_fails && self.rng.below(3) == 0;
                self.look_at(lane.destination, |world| world.note_parked(lane.signal));
                self.look_at(lane.destination, |world| world.note_parking(&entries));
                self.coverage.note(if fails { "disk fails" } else { "parked" });
                let place = (!fails).then(|| self.disk.park(&entries, lane.destination));
                self.look_at(lane.destination, |world| world.note_claim(lane.signal, place, &entries));
                if fails {
                    self.note_unwritten(&entries);
                }
                self.say(&format!("park {:?} {} {place:?}", Lane(lane), entries.len()));
                let bound = self.config.bounds.spooled_bytes;
                // What is read back may be larger than what was written was taken to be.
                let most = bound + bound * 2 / 5;
                assert!(self.disk.parked_bytes() <= most, "{} on disk", self.disk.parked_bytes());
                self.later(self.now, Event::Spool(Input::Parked { lane, place }));
            }
            Output::Unpark { lane, place } => {
                self.look_at(lane.destination, |world| {
                    world.check_unpark(lane.signal);
                    world.lanes.claims.remove(&place);
                });
                let mut receipt = self.disk.unpark(place, &mut self.made);
                let is_lost = self.faults_now().disk_fails && self.rng.below(10) == 0;
                self.coverage.note(if is_lost { "spool unreadable" } else { "unparked" });
                if is_lost {
                    self.note_unreadable(&receipt);
                    receipt = Receipt::EMPTY;
                }
                self.say(&format!("unpark {:?} {}", Lane(lane), receipt.spans.len() + receipt.parcels.len()));
                self.later(self.now, Event::Spool(Input::Unparked { lane, receipt }));
            }
            Output::Connect(lane) => {
                self.say(&format!("connect {:?}", Lane(lane)));
                self.look_at(lane.destination, |world| world.connect(lane.signal));
            }
            // Here each span is a record of its own, and on the disk no more when it is let go of.
            Output::LeftOut(bodies) => self.check_left_out(&bodies),
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
                self.each_destination(Self::check_left);
            }
        }
    }

    fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Summary(_) => return self.say("summary"),
            Notice::BackendDown(LaneId { signal, destination }) => {
                self.look_at(*destination, |world| {
                    world.check_down(*signal);
                    world.held.down[*signal as usize] = true;
                    world.deliveries.excused_at[*signal as usize] = world.now;
                });
                self.coverage.note("breaker opened");
                if *destination > 0 {
                    self.coverage.note("second destination is down");
                }
            }
            Notice::BackendBack(LaneId { signal, destination }) => {
                self.look_at(*destination, |world| {
                    world.check_back(*signal);
                    world.held.down[*signal as usize] = false;
                    world.held.back_in[*signal as usize] = world.invocations;
                });
                if *signal == HOLDER {
                    self.held.was_down = false;
                }
                self.coverage.note("breaker closed again");
            }
            _ => {}
        }
        match notice {
            Notice::BackendDown(lane) => self.say(&format!("BackendDown({:?})", Lane(*lane))),
            Notice::BackendBack(lane) => self.say(&format!("BackendBack({:?})", Lane(*lane))),
            _ => self.say(&format!("{notice:?}")),
        }
    }

    fn ask(&mut self) {
        assert!(!std::mem::replace(&mut self.is_asked, true), "/next was asked twice");
        self.check_held();
        self.check_kept();
        self.asked_at = self.now;
        if self.processes == 1 {
            let spans = (self.delivered.len() + self.ids.len()) as u64;
            let items = [spans, self.metered.counted(), self.logged.arrived()];
            self.served.push(Served { at: self.now, items });
        }
        self.is_planned = false;
        self.note_next();
        self.asked_in = self.running.take();
        self.say("next");
        self.freeze_if_idle();
    }
}

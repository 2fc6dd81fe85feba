//! Records on disk: when a lane reads one back.

use super::*;

/// Whether a record that is on disk is wanted now, and whether to find out how the backend is.
fn wants(rig: &mut Rig, is_last: bool) -> Option<bool> {
    rig.lane.wants_record(rig.now, is_last).map(|wanted| wanted.is_probe)
}

fn find(rig: &mut Rig, count: u64) {
    let (lane, place) = (rig.lane.id(), Place(1));
    rig.lane.on_found(Parked { place, lane, count, size: 100 });
}

#[test]
fn a_record_is_read_back_one_at_a_time_and_not_while_the_backend_wants_to_be_left_alone() {
    let mut rig = Rig::new(true);
    find(&mut rig, 1);
    find(&mut rig, 1);
    assert_eq!(wants(&mut rig, false), Some(false));
    let id = rig.launch();
    assert_eq!(wants(&mut rig, false), Some(false), "beside what is under way");
    rig.answer(id, Outcome::Retry { after: Some(SECOND * 5) });
    assert_eq!(wants(&mut rig, false), None);
    rig.now = rig.now + SECOND * 5;
    assert_eq!(wants(&mut rig, false), Some(false));
    let (lane, mut effects) = rig.parts();
    lane.unpark(&mut effects);
    assert_eq!(wants(&mut rig, false), None, "one is being read");
}

#[test]
fn while_the_backend_is_down_a_record_is_read_back_as_a_probe_or_at_last() {
    let mut rig = Rig::new(true);
    rig.go_down();
    find(&mut rig, 1);
    rig.now = rig.now + SECOND;
    assert_eq!(
        [false, true].map(|is_last| wants(&mut rig, is_last)),
        [None, None],
        "what waits is the probe"
    );
    let mut rig = Rig::new(true);
    rig.go_down();
    let (lane, mut effects) = rig.parts();
    assert!(lane.park_oldest(false, &mut effects) && lane.on_parked(Some(Place(1))).is_none());
    assert_eq!([false, true].map(|is_last| wants(&mut rig, is_last)), [None, Some(false)]);
    rig.now = rig.now + SECOND;
    assert_eq!(wants(&mut rig, false), Some(true));
}

#[test]
fn a_lane_with_nothing_on_disk_does_not_wake_to_read() {
    let mut rig = Rig::new(true);
    let id = rig.launch();
    rig.answer(id, Outcome::Retry { after: Some(SECOND * 5) });
    assert_eq!((wants(&mut rig, false), rig.lane.rest_ends()), (None, None));
    find(&mut rig, 1);
    assert_eq!((wants(&mut rig, false), rig.lane.rest_ends()), (None, Some(rig.now + SECOND * 5)));
}

#[test]
fn only_a_record_of_which_something_is_missing_is_told_of() {
    for (read, told) in [(3, 0), (2, 1)] {
        let mut rig = Rig::new(true);
        find(&mut rig, 3);
        let (lane, mut effects) = rig.parts();
        lane.unpark(&mut effects);
        assert!(lane.on_read(read, &mut effects).is_some());
        let lines =
            rig.outputs.iter().filter(|output| matches!(output, Output::Say(Notice::SpoolUnreadable(_))));
        assert_eq!(lines.count(), told, "{read} of 3");
    }
}

#[test]
fn an_empty_lane_has_done_its_best_whatever_it_rested_for() {
    let mut rig = Rig::new(true);
    let end = rig.now + SECOND;
    rig.lane.shelf.rest_until(Some(rig.now + MS));
    assert!(rig.lane.has_done_its_best(end), "it rests, and has nothing");
    let (lane, place) = (rig.lane.id(), Place(1));
    rig.lane.on_found(Parked { place, lane, count: 1, size: 100 });
    assert!(!rig.lane.has_done_its_best(end), "it goes on reading in time");
    assert!(rig.lane.has_done_its_best(rig.now + MS), "when the time is over, it does not");
}

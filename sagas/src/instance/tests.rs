//! Every way through the state machine, without I/O.

use super::*;
use crate::saga_event::{
    AnswerKept, Cancelled, CompensationSucceeded, LateReply, Started, StateGiven, StepSent,
    StepSettled, StepSucceeded, StepTimedOut,
};

fn planned(name: &str, pivot: bool, answered: bool) -> PlannedStep {
    PlannedStep { name: name.to_owned(), undo: !pivot, pivot, answered }
}

/// Three steps: an undoable one, an undoable one that is answered, the pivot; and one behind it.
fn begun() -> Instance {
    let plan = vec![
        planned("reserve", false, false),
        planned("charge", false, true),
        planned("ship", true, false),
        PlannedStep { undo: false, ..planned("thank", false, false) },
    ];
    let state = Payload::from_value(&0).expect("JSON");
    let started = SagaEvent::Started(Started { plan, state: Some(state), trigger: EventId::new() });
    let stream = StreamId::new("saga.test", "1").expect("a valid stream");
    let mut instance = Instance::begin(stream, Metadata::default(), started).expect("a start");
    follow(&mut instance);
    instance
}

fn follow(instance: &mut Instance) -> usize {
    let mut count = 0;
    while let Some(event) = instance.follow_up(Timestamp::UNIX_EPOCH, |_| None) {
        instance.apply(event);
        count += 1;
    }
    count
}

fn apply(instance: &mut Instance, event: SagaEvent) {
    instance.apply(event);
    follow(instance);
}

fn succeeded(step: usize) -> SagaEvent {
    SagaEvent::StepSucceeded(StepSucceeded { step, state: None, answer: None })
}

fn undone(step: usize, undid: bool) -> SagaEvent {
    SagaEvent::CompensationSucceeded(CompensationSucceeded { step, undid, state: None })
}

fn cancelled() -> SagaEvent {
    SagaEvent::Cancelled(Cancelled { event: EventId::new() })
}

/// Steps before `step` succeeded, `step` is open.
fn at_step(step: usize) -> Instance {
    let mut instance = begun();
    (0..step).for_each(|done| apply(&mut instance, succeeded(done)));
    instance
}

#[test]
fn forward_it_calls_each_step_and_completes_behind_the_last() {
    for step in 0..4 {
        assert_eq!(at_step(step).todo(), Todo::Call(step));
    }
    let done = at_step(4);
    assert_eq!((done.todo(), &done.phase), (Todo::Rest, &Phase::Completed));
}

#[test]
fn a_refused_step_is_not_undone_and_those_before_it_are_in_reverse() {
    for step in 0..3 {
        let mut instance = at_step(step);
        let refused = instance.refused(step, "no".to_owned(), false, None);
        apply(&mut instance, refused);
        for undo in (0..step).rev() {
            assert_eq!(instance.todo(), Todo::Undo(undo));
            apply(&mut instance, undone(undo, true));
        }
        assert!(matches!(instance.phase, Phase::Compensated { .. }), "{:?}", instance.phase);
    }
}

#[test]
fn a_step_that_failed_partly_is_undone_before_those_before_it() {
    for step in 0..2 {
        let mut instance = at_step(step);
        let refused = instance.refused(step, "half of it".to_owned(), true, None);
        apply(&mut instance, refused);
        for undo in (0..=step).rev() {
            assert_eq!(instance.todo(), Todo::Undo(undo));
            apply(&mut instance, undone(undo, true));
        }
        assert!(matches!(instance.phase, Phase::Compensated { .. }), "{:?}", instance.phase);
    }
}

#[test]
fn a_step_without_a_compensation_that_failed_partly_leaves_nothing_to_undo_but_those_before_it() {
    let mut instance = at_step(2);
    let refused = instance.refused(2, "half of it".to_owned(), true, None);
    apply(&mut instance, refused);
    assert_eq!(instance.todo(), Todo::Undo(1));
}

/// Started paused, because its first state can't be stored.
fn without_state() -> Instance {
    let plan = begun().plan;
    let started = SagaEvent::Started(Started { plan, state: None, trigger: EventId::new() });
    let stream = StreamId::new("saga.test", "1").expect("a valid stream");
    let mut instance = Instance::begin(stream, Metadata::default(), started).expect("a start");
    apply(&mut instance, SagaEvent::Paused(Paused { reason: "too large".to_owned() }));
    assert_eq!(instance.todo(), Todo::Rest);
    instance
}

#[test]
fn a_saga_that_started_without_its_state_is_given_one_before_its_first_step() {
    let mut instance = without_state();
    apply(&mut instance, SagaEvent::Resumed(Bare {}));
    assert_eq!((instance.todo(), instance.steps.len()), (Todo::GiveState, 0));
    let state = Payload::from_value(&0).expect("JSON");
    apply(&mut instance, SagaEvent::StateGiven(StateGiven { state }));
    assert_eq!(instance.todo(), Todo::Call(0));
}

#[test]
fn a_saga_that_started_without_its_state_can_be_told_to_turn_back() {
    let mut instance = without_state();
    assert!(instance.can_turn_back());
    apply(&mut instance, SagaEvent::CompensationRequested(Bare {}));
    assert!(matches!(instance.phase, Phase::Compensated { .. }), "{:?}", instance.phase);
}

#[test]
fn behind_the_pivot_a_refusal_pauses_and_resuming_calls_again() {
    let mut instance = at_step(3);
    let refused = instance.refused(3, "no".to_owned(), false, None);
    assert!(matches!(refused, SagaEvent::Paused(_)));
    apply(&mut instance, refused);
    assert_eq!(instance.todo(), Todo::Rest);
    apply(&mut instance, SagaEvent::Resumed(Bare {}));
    assert_eq!(instance.todo(), Todo::Call(3));
}

#[test]
fn an_open_step_is_settled_before_anything_is_undone_and_undone_unless_it_had_no_effect() {
    let effects = [StepEffect::None, StepEffect::Done, StepEffect::Unknown];
    let ways: [fn() -> SagaEvent; 3] = [
        cancelled,
        || SagaEvent::StepTimedOut(StepTimedOut { step: 1 }),
        || SagaEvent::CompensationRequested(Bare {}),
    ];
    for (way, effect) in ways.iter().flat_map(|way| effects.map(|effect| (way, effect))) {
        let mut instance = at_step(1);
        apply(&mut instance, way());
        assert_eq!(instance.todo(), Todo::Settle(1));
        apply(&mut instance, SagaEvent::StepSettled(StepSettled { step: 1, effect }));
        let first = if effect == StepEffect::None { 0 } else { 1 };
        assert_eq!(instance.todo(), Todo::Undo(first));
    }
}

#[test]
fn there_is_a_way_back_until_the_pivot_has_started() {
    let ways: Vec<_> = (0..5).map(|step| at_step(step).can_turn_back()).collect();
    assert_eq!(ways, [true, true, false, false, false]);
}

#[test]
fn a_paused_saga_rests_whichever_way_it_was_going() {
    let mut turned = at_step(1);
    let refused = turned.refused(1, "no".to_owned(), false, None);
    apply(&mut turned, refused);
    for mut instance in [at_step(0), at_step(2), turned] {
        let before = instance.todo();
        apply(&mut instance, SagaEvent::Paused(Paused { reason: "help".to_owned() }));
        assert_eq!((instance.todo(), follow(&mut instance)), (Todo::Rest, 0));
        apply(&mut instance, SagaEvent::Resumed(Bare {}));
        assert_eq!(instance.todo(), before);
    }
}

#[test]
fn an_answer_before_the_step_is_taken_once_the_call_was_made() {
    let mut instance = at_step(0);
    let event = EventId::new();
    apply(&mut instance, SagaEvent::AnswerKept(AnswerKept { step: 1, event }));
    assert!(instance.has_consumed(event));
    apply(&mut instance, succeeded(0));
    assert_eq!(instance.todo(), Todo::Call(1));
    apply(&mut instance, SagaEvent::StepSent(StepSent { step: 1, state: None }));
    assert_eq!(instance.todo(), Todo::TakeAnswer(1, event));
}

#[test]
fn a_step_that_was_sent_waits_for_its_answer() {
    let mut instance = at_step(1);
    apply(&mut instance, SagaEvent::StepSent(StepSent { step: 1, state: None }));
    assert_eq!(instance.todo(), Todo::Await(1));
}

#[test]
fn an_effect_that_a_late_reply_does_not_rule_out_is_undone_if_the_compensation_had_found_nothing() {
    let late = |effect| SagaEvent::LateReply(LateReply { step: 1, effect, answer: None });
    for (undid, effect, is_due) in [
        (false, StepEffect::Done, true),
        (false, StepEffect::Unknown, true),
        (false, StepEffect::None, false),
        (true, StepEffect::Done, false),
    ] {
        let mut instance = at_step(1);
        apply(&mut instance, cancelled());
        let settled = StepSettled { step: 1, effect: StepEffect::Unknown };
        apply(&mut instance, SagaEvent::StepSettled(settled));
        apply(&mut instance, undone(1, undid));
        apply(&mut instance, undone(0, true));
        assert!(instance.has_ended());
        instance.apply(late(effect));
        let expected = if is_due { Todo::Undo(1) } else { Todo::Rest };
        assert_eq!(instance.todo(), expected);
    }
}

#[test]
fn an_effect_that_shows_itself_while_the_compensation_looks_for_it_is_looked_for_again() {
    let late = SagaEvent::LateReply(LateReply { step: 1, effect: StepEffect::Done, answer: None });
    for undid in [false, true] {
        let mut instance = at_step(1);
        apply(&mut instance, cancelled());
        let settled = StepSettled { step: 1, effect: StepEffect::Unknown };
        apply(&mut instance, SagaEvent::StepSettled(settled));
        apply(&mut instance, late.clone());
        assert_eq!(instance.steps[1].undone_in_vain, 0, "the first one is under way");
        apply(&mut instance, undone(1, undid));
        let expected = if undid { (Todo::Undo(0), 0) } else { (Todo::Undo(1), 1) };
        assert_eq!((instance.todo(), instance.steps[1].undone_in_vain), expected);
        apply(&mut instance, undone(1, false));
        assert_eq!(instance.todo(), Todo::Undo(0), "it came once");
    }
}

#[test]
fn a_transition_read_back_from_the_log_is_the_one_that_was_written() {
    use highwater_core::Event;
    let due = Some(Timestamp::UNIX_EPOCH);
    let events = [
        SagaEvent::StepStarted(StepStarted { step: 7, due }),
        succeeded(1),
        cancelled(),
        SagaEvent::Completed(Bare {}),
        SagaEvent::StepSettled(StepSettled { step: 0, effect: StepEffect::Unknown }),
    ];
    for event in events {
        let data = event.encode().expect("JSON");
        let read = SagaEvent::decode(event.event_type(), 1, &data).expect("readable");
        assert_eq!(read.into_one(), Some(event.clone()));
        assert!(SagaEvent::decode(event.event_type(), 2, &data).is_err());
    }
    let without_answer = Payload::from_json(r#"{"step":1,"effect":"done"}"#.into()).expect("JSON");
    let read = SagaEvent::decode("saga.late_reply", 1, &without_answer).expect("readable");
    let late = LateReply { step: 1, effect: StepEffect::Done, answer: None };
    assert_eq!(read.into_one(), Some(SagaEvent::LateReply(late)));
}

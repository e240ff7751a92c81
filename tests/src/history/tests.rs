use super::*;
use crate::dice::Dice;

fn write(value: Value, begun: Moment, ended: Moment) -> Write {
    Write { value, begun, ended: Some(ended), repeated: false }
}

fn unanswered(value: Value, begun: Moment) -> Write {
    Write { value, begun, ended: None, repeated: false }
}

fn repeated(value: Value, begun: Moment, ended: Moment) -> Write {
    Write { repeated: true, ..write(value, begun, ended) }
}

fn history(writes: &[Write], reads: &[(Value, Moment, Moment)]) -> History {
    let mut history = History::new(0);
    writes.iter().for_each(|&write| history.write(write));
    for &(value, begun, ended) in reads {
        history.read(Read { value, begun, ended });
    }
    history
}

#[track_caller]
fn holds(writes: &[Write], reads: &[(Value, Moment, Moment)]) {
    history(writes, reads).check().unwrap();
}

#[track_caller]
fn fails(writes: &[Write], reads: &[(Value, Moment, Moment)], because: &str) {
    let error = history(writes, reads).check().unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

#[test]
fn what_is_read_is_what_was_written_last() {
    holds(&[], &[(0, 1, 2)]);
    holds(&[write(1, 1, 2), write(2, 3, 4)], &[(2, 5, 6)]);
    fails(&[write(1, 1, 2), write(2, 3, 4)], &[(1, 5, 6)], "not overwritten");
    fails(&[write(1, 1, 2)], &[(0, 3, 4)], "not overwritten");
}

#[test]
fn what_is_under_way_is_read_or_not() {
    for seen in [0, 1] {
        holds(&[write(1, 1, 4)], &[(seen, 2, 3)]);
        holds(&[unanswered(1, 1)], &[(seen, 2, 3)]);
    }
    for seen in [1, 2] {
        holds(&[write(1, 1, 3), write(2, 2, 4)], &[(seen, 5, 6)]);
    }
}

#[test]
fn what_was_seen_once_is_not_unseen() {
    fails(&[write(1, 1, 10)], &[(1, 2, 3), (0, 4, 5)], "not overwritten");
    fails(&[unanswered(1, 1)], &[(1, 2, 3), (0, 4, 5)], "not overwritten");
    let both = [write(1, 1, 9), write(2, 2, 10)];
    holds(&both, &[(1, 3, 4), (2, 5, 6)]);
    fails(&both, &[(1, 3, 4), (2, 5, 6), (1, 7, 8)], "not overwritten");
    // Two readers who overlap may see two writes in either order, but not each its own.
    holds(&both, &[(1, 3, 6), (2, 4, 5)]);
    fails(&both, &[(1, 11, 12), (2, 13, 14)], "same time");
}

#[test]
fn nothing_is_read_before_it_was_written() {
    fails(&[write(1, 3, 4)], &[(1, 1, 2)], "came later");
    fails(&[], &[(7, 1, 2)], "nobody has written");
}

#[test]
fn a_sector_is_torn_by_a_write_under_way_only() {
    holds(&[write(1, 1, 3)], &[(TORN, 2, 4)]);
    holds(&[unanswered(1, 1)], &[(TORN, 2, 4)]);
    fails(&[write(1, 1, 2)], &[(TORN, 3, 4)], "nobody was writing");
    fails(&[write(1, 3, 4)], &[(TORN, 1, 2)], "nobody was writing");
}

#[test]
fn an_unanswered_write_may_still_come() {
    let writes = [unanswered(1, 1), write(2, 2, 3)];
    holds(&writes, &[(2, 4, 5), (1, 6, 7)]);
    holds(&writes, &[(2, 4, 5), (2, 6, 7)]);
    fails(&writes, &[(2, 4, 5), (1, 6, 7), (2, 8, 9)], "not overwritten");
}

#[test]
fn a_repeated_write_may_come_again_until_all_of_it_is_answered() {
    let other = write(2, 4, 7);
    holds(&[repeated(1, 1, 10), other], &[(1, 2, 3), (2, 5, 6), (1, 8, 9)]);
    fails(&[write(1, 1, 10), other], &[(1, 2, 3), (2, 5, 6), (1, 8, 9)], "not overwritten");
    holds(&[repeated(1, 1, 10), other], &[(1, 11, 12)]);
    fails(&[repeated(1, 1, 10), other], &[(1, 11, 12), (2, 13, 14)], "same time");
    fails(&[repeated(1, 1, 4), write(2, 5, 6)], &[(1, 7, 8)], "not overwritten");
    fails(&[repeated(1, 1, 4), write(2, 5, 6)], &[(0, 7, 8)], "not overwritten");
}

/// As many pairs of begin and end as wanted, with no moment twice.
fn intervals(dice: &mut Dice, number: usize) -> Vec<(Moment, Moment)> {
    let mut moments: Vec<Moment> = (1..=2 * number as Moment).collect();
    dice.shuffle(&mut moments);
    moments.chunks(2).map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1]))).collect()
}

#[derive(Clone, Copy)]
struct Step {
    begun: Moment,
    ended: Moment,
    value: Value,
    is_write: bool,
}

/// Tries every order.
fn has_a_story(held: Value, left: &mut Vec<Step>) -> bool {
    // What never ended need not have happened.
    if left.iter().all(|step| step.ended == NEVER) {
        return true;
    }
    for at in 0..left.len() {
        let step = left[at];
        let too_early = left.iter().any(|other| other.ended < step.begun);
        if too_early || !(step.is_write || step.value == held) {
            continue;
        }
        left.swap_remove(at);
        let told = has_a_story(step.value, left);
        left.push(step);
        let last = left.len() - 1;
        left.swap(at, last);
        if told {
            return true;
        }
    }
    false
}

#[test]
fn the_rule_agrees_with_trying_every_order() {
    let mut dice = Dice::new(1);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..30_000 {
        let number = 2 + dice.below(6) as usize;
        let writes = 1 + dice.below(3.min(number as u64)) as usize;
        let mut steps = Vec::new();
        let mut told = History::new(0);
        for (at, (begun, ended)) in intervals(&mut dice, number).into_iter().enumerate() {
            if at < writes {
                let value = 1 + at as Value;
                let ended = if dice.below(4) == 0 { NEVER } else { ended };
                let answered = (ended != NEVER).then_some(ended);
                told.write(Write { value, begun, ended: answered, repeated: false });
                steps.push(Step { begun, ended, value, is_write: true });
            } else {
                let value = dice.below(writes as u64 + 1);
                told.read(Read { value, begun, ended });
                steps.push(Step { begun, ended, value, is_write: false });
            }
        }
        let expected = has_a_story(0, &mut steps);
        assert_eq!(told.check().is_ok(), expected, "{told:#?}");
        if expected { good += 1 } else { bad += 1 }
    }
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}

/// A register that carries repeated writes out several times is never accused.
#[test]
fn what_has_happened_can_be_told() {
    let mut dice = Dice::new(2);
    for _ in 0..20_000 {
        let number = 2 + dice.below(10) as usize;
        let mut told = History::new(0);
        // Every effect of an operation at a moment within it: (moment, operation).
        let mut effects = Vec::new();
        let mut operations = Vec::new();
        for (at, (begun, ended)) in intervals(&mut dice, number).into_iter().enumerate() {
            let is_read = dice.below(2) == 0;
            let times = if is_read { 1 } else { 1 + dice.below(3) };
            for _ in 0..times {
                effects.push((begun + dice.below(ended - begun), at));
            }
            operations.push((is_read, times, begun, ended));
        }
        effects.sort_unstable();
        let mut held = 0;
        for (_, at) in effects {
            let (is_read, times, begun, ended) = operations[at];
            if is_read {
                told.read(Read { value: held, begun, ended });
            } else {
                held = 1 + at as Value;
                told.write(Write { value: held, begun, ended: Some(ended), repeated: times > 1 });
            }
        }
        assert!(told.check().is_ok(), "{:?}\n{told:#?}", told.check());
    }
}

//! Shrinking: the search for a smaller run that still fails.

use super::plan::Plan;

/// Leaves out what a run does not need to fail: faults, machines, records. Tries at most `most` runs, and returns the
/// smallest that fails and the number of runs tried.
pub fn shrink(plan: Plan, most: usize, fails: impl Fn(&Plan) -> bool) -> (Plan, usize) {
    let mut shrinking = Shrinking { plan, tried: 0, most, fails };
    // Most failures need few of the faults, and records only matter with the faults that remain. So both are tried
    // again after the other.
    shrinking.accept(|plan| {
        plan.schedule.clear();
        (plan.task_managers, plan.slots) = (1, 1);
    });
    for _ in 0..2 {
        shrinking.faults();
        shrinking.machines();
        shrinking.records();
    }
    (shrinking.plan, shrinking.tried)
}

struct Shrinking<F> {
    /// The smallest run so far that fails.
    plan: Plan,
    tried: usize,
    most: usize,
    fails: F,
}

impl<F: Fn(&Plan) -> bool> Shrinking<F> {
    /// Tries a smaller run, and keeps it if it fails, too.
    fn accept(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut smaller = self.plan.clone();
        change(&mut smaller);
        if self.tried == self.most {
            return false;
        }
        self.tried += 1;
        let fails = (self.fails)(&smaller);
        if fails {
            self.plan = smaller;
        }
        fails
    }

    fn faults(&mut self) {
        self.leave_out(|plan| &mut plan.schedule);
    }

    fn machines(&mut self) {
        if self.plan.task_managers > 1 {
            self.accept(|plan| plan.task_managers = 1);
        }
        if self.plan.slots > 1 {
            self.accept(|plan| plan.slots = 1);
        }
    }

    fn records(&mut self) {
        for input in 0..self.plan.kept.len() {
            self.leave_out(|plan| &mut plan.kept[input]);
        }
    }

    /// Leaves out ever smaller pieces of a list: all of it, halves, quarters, down to single elements.
    fn leave_out<T>(&mut self, list: impl Fn(&mut Plan) -> &mut Vec<T>) {
        let length = |this: &mut Self| list(&mut this.plan).len();
        let mut size = length(self);
        while size > 0 && self.tried < self.most {
            let mut at = 0;
            while at < length(self) {
                let end = (at + size).min(length(self));
                let smaller = self.accept(|plan| drop(list(plan).drain(at..end)));
                if !smaller {
                    at = end;
                }
            }
            size = (size / 2).min(length(self));
        }
    }
}

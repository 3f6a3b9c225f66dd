//! Resource requirements that users declare.

use super::*;

/// A JobManager that goes by declared requirements.
fn declarative(store: MemoryStore) -> World {
    let options = [("jobmanager.scheduler", "adaptive"), ("execution.checkpointing.dir", "/c")];
    let mut world = configured(store, StartMode::default(), &options);
    world.feed(Input::Start);
    world
}

impl World {
    fn declare(&mut self, upper: u32) -> Result<reflow_view::Reply, CommandError> {
        let job = self.shown().id;
        let bounds = reflow_view::ParallelismBounds { lower: 1, upper };
        self.ask(Command::UpdateRequirements { job, requirements: [(VertexId(1), bounds)].into() })
    }

    fn shown(&mut self) -> reflow_view::JobView {
        self.pass(Duration::from_secs(1));
        self.handle.view().jobs[0].clone()
    }

    fn upper_bound(&mut self) -> u32 {
        self.shown().vertices[0].bounds.upper
    }
}

#[test]
fn declared_requirements_outlive_the_job_manager_and_end_with_the_job() {
    let mut first = declarative(MemoryStore::default());
    assert_eq!(first.upper_bound(), 1, "parallelism.default");
    for upper in [2, 3] {
        assert_eq!(first.declare(upper), Ok(reflow_view::Reply::Accepted));
        assert_eq!(first.upper_bound(), upper);
        assert_eq!(first.store.names("/requirements/").len(), 1, "a former one goes");
    }
    let mut second = declarative(first.store.clone());
    assert_eq!(second.upper_bound(), 3);
    assert_eq!(second.shown().rescales.counts.completed, 0, "it was no rescale");
    // The first does not know yet that it is deposed. What it still writes is ignored.
    second.store.objects.extend({
        first.declare(4).unwrap();
        first.store.objects.clone()
    });
    let mut third = declarative(second.store.clone());
    assert_eq!(third.upper_bound(), 3);
    let job = third.shown().id;
    third.ask(Command::Cancel { job }).unwrap();
    third.pass(Duration::from_secs(1));
    assert!(third.store.names("/requirements/").is_empty(), "{:?}", third.store.objects);
}

#[test]
fn requirements_that_cannot_be_stored_are_refused_and_damaged_ones_passed_over() {
    let mut world = declarative(MemoryStore::default());
    assert_eq!(world.declare(2), Ok(reflow_view::Reply::Accepted));
    world.store.broken = Some("disk full");
    let Err(CommandError::Failed(text)) = world.declare(3) else { panic!("it is not stored") };
    assert!(text.contains("disk full") && text.contains("stay as they are"), "{text}");
    world.store.broken = None;
    assert_eq!(world.upper_bound(), 2);
    let newer =
        world.store.names("/requirements/")[0].replace("-00000000000000000000", "-00000000000000000009");
    world.store.objects.insert(newer, "[{".into());
    let mut next = declarative(world.store.clone());
    next.pass(Duration::from_secs(2)); // the damaged one is read again
    assert_eq!(next.upper_bound(), 2);
}

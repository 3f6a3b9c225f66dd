//! Enums of the options whose value is one of several names.
//!
//! Names are compared without regard to case, and `_` equals `-`, because Flink writes some of its enums as
//! `EXACTLY_ONCE`, others as `fixed-delay`.

/// An enum whose variants an option can name.
pub trait Choice: Copy + Sized + 'static {
    /// Each variant's names, of which the first is printed. No two variants share a name.
    const NAMES: &'static [&'static [&'static str]];
    /// The variants, in the order of [`Choice::NAMES`].
    const VARIANTS: &'static [Self];
}

/// The index in `names` of the variant that `text` names.
pub(crate) fn find(names: &[&[&str]], text: &str) -> Option<usize> {
    let plain = |name: &str| name.trim().to_ascii_lowercase().replace('_', "-");
    let wanted = plain(text);
    names.iter().position(|of_one| of_one.iter().any(|name| plain(name) == wanted))
}

/// Declares an enum together with the names of its variants, so that none can be missing.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = [$($text:literal),+],)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Choice for $name {
            const NAMES: &'static [&'static [&'static str]] = &[$(&[$($text),+]),+];
            const VARIANTS: &'static [Self] = &[$(Self::$variant),+];
        }

        impl $name {
            /// The name as configuration files write it.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize][0]
            }
        }
    };
}

choice! {
    /// Which scheduler runs the job. Reflow has one, the adaptive scheduler.
    Scheduler {
        /// Chooses the parallelism by the available slots.
        Adaptive = ["adaptive"],
        /// The name of Flink's older scheduler, accepted so that Flink's configuration files work. It means the
        /// adaptive scheduler.
        Default = ["default"],
    }
}

choice! {
    /// How the scheduler chooses the parallelism.
    SchedulerMode {
        /// The job always uses all slots, up to the max parallelism.
        Reactive = ["reactive"],
    }
}

choice! {
    /// How JobManagers of one job agree on which of them leads.
    HighAvailability {
        /// The one that was started last leads.
        None = ["none"],
        /// One leads, and renews a lease in the checkpoint storage. The others stand by.
        Storage = ["storage"],
        /// One leads, and renews a `Lease` object of Kubernetes. The others stand by.
        Kubernetes = ["kubernetes"],
    }
}

choice! {
    /// What happens when a job fails.
    RestartStrategy {
        /// The job is not restarted.
        None = ["none", "off", "disable"],
        /// A number of restarts with the same delay before each.
        FixedDelay = ["fixed-delay", "fixeddelay"],
        /// The delay grows with each failure and is reset after a time without failures.
        ExponentialDelay = ["exponential-delay", "exponentialdelay"],
        /// The job is restarted unless failures are too frequent.
        FailureRate = ["failure-rate", "failurerate"],
    }
}

choice! {
    /// What a checkpoint guarantees.
    CheckpointingMode {
        /// After a failure, state is as if each record had been processed once.
        ExactlyOnce = ["EXACTLY_ONCE"],
    }
}

choice! {
    /// What restarts after a failure.
    FailoverStrategy {
        /// The pipeline in which it happened.
        Region = ["region"],
        /// The job.
        Full = ["full"],
    }
}

choice! {
    /// What SIGTERM means to a JobManager.
    Termination {
        /// The job is suspended after a checkpoint.
        Suspend = ["suspend"],
        /// The tasks process on and are left to the next JobManager.
        HandOver = ["hand-over"],
    }
}

choice! {
    /// Who starts and stops TaskManagers for the autoscaler.
    TaskManagerProvider {
        /// Someone outside.
        None = ["none"],
        /// The scripts of the distribution.
        Scripts = ["scripts"],
        /// A command of the user.
        Command = ["command"],
        /// The API server of Kubernetes.
        Kubernetes = ["kubernetes"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_underscores() {
        let found = |text| find(RestartStrategy::NAMES, text).map(|index| RestartStrategy::VARIANTS[index]);
        assert_eq!(found("FixedDelay"), Some(RestartStrategy::FixedDelay));
        assert_eq!(found("FIXED_DELAY"), Some(RestartStrategy::FixedDelay));
        assert_eq!(found("off"), Some(RestartStrategy::None));
        assert_eq!(found("sometimes"), None);
        assert_eq!(RestartStrategy::ExponentialDelay.name(), "exponential-delay");
    }
}

//! Whether this build of the job can be restored from what the claim has found.

use super::Claim;
use crate::leadership::LeadershipError;
use reflow_coordination::restore;
use reflow_protocol::snapshot::StateFormat;

impl Claim {
    /// Checks that this JobManager can resume from what it has found.
    pub(super) fn check_readable(&self) -> Result<(), LeadershipError> {
        let recovered = &self.recovered;
        if recovered.is_lost() {
            let damage = recovered.damaged.last().map(|(_, damage)| damage.clone()).unwrap_or_default();
            return Err(LeadershipError::DamagedCheckpoints {
                directory: self.by.layout.job_dir(self.job),
                damage,
            });
        }
        if let Some(latest) = recovered.latest() {
            let (theirs, ours) = (&latest.manifest.build, &self.by.build);
            if latest.manifest.format == StateFormat::Checkpoint
                && theirs != ours
                && !latest.manifest.has_schemas()
                && !self.by.allow_other_build
            {
                let (at, theirs, ours) = (latest.at.clone(), theirs.clone(), ours.clone());
                return Err(LeadershipError::OtherBuild { at, theirs, ours });
            }
            let fits = restore::check(&self.by.graph, &latest.manifest, self.by.unclaimed_state);
            fits.map_err(|reason| LeadershipError::Incompatible { at: latest.at.clone(), reason })?;
            if theirs != ours {
                tracing::info!(
                    at = latest.at,
                    theirs,
                    ours,
                    "the state was written by another build, and fits"
                );
            }
        }
        Ok(())
    }
}

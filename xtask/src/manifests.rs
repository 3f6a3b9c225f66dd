//! `cargo xtask manifests`: checks the manifests for Kubernetes against the schemas of its API.

use std::process::Command;

use crate::Failure;
use crate::process::{is_installed, root, succeed};
use crate::pypi;

pub(crate) const HELP: &str = "\
cargo xtask manifests: checks dist/kubernetes/{base,standby,autoscaler,external-metrics} against the schemas of Kubernetes

Installs kubernetes-validate from PyPI below the target directory, the first time only; needs
python3. Unknown fields are errors. If kubectl is installed, its kustomize builds the base as well.
`cargo xtask kubernetes` checks what kustomize makes of them by a dry run of a real API server.
";

/// The validator with the schemas of this release of Kubernetes.
const VALIDATOR: &str = "kubernetes-validate==1.37.0";
/// A file that is no object of the API.
const KUSTOMIZATION: &str = "kustomization.yaml";

pub(crate) fn check() -> Result<(), Failure> {
    if !is_installed("python3") {
        eprintln!("  skipped: python3 is not installed; `apt-get install python3-venv`");
        return Ok(());
    }
    let programs = pypi::install(VALIDATOR)?;
    let base = root().join("dist/kubernetes/base");
    let mut files = Vec::new();
    for directory in ["base", "standby", "autoscaler", "external-metrics"] {
        let directory = root().join("dist/kubernetes").join(directory);
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if !path.ends_with(KUSTOMIZATION) {
                files.push(path);
            }
        }
    }
    let mut command = Command::new(programs.join("kubernetes-validate"));
    // Without venv, the packages lie beside the directory of programs.
    command.env("PYTHONPATH", programs.parent().unwrap_or(&programs));
    command.args(["--strict", "--quiet"]).args(files);
    succeed(&mut command)?;
    let kubectl = Command::new("kubectl").args(["version", "--client"]).output();
    if kubectl.is_ok_and(|output| output.status.success()) {
        let built = Command::new("kubectl").arg("kustomize").arg(&base).output();
        let built = built.map_err(|error| format!("cannot run kubectl: {error}"))?;
        if !built.status.success() {
            return Err(format!("kubectl kustomize: {}", String::from_utf8_lossy(&built.stderr)));
        }
    }
    Ok(())
}

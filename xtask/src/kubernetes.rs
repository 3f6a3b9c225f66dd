//! `cargo xtask kubernetes`: runs the tests that need an API server of Kubernetes, with a real one.
//!
//! etcd and kube-apiserver are built from the Go module proxy, once for all checkouts. Kubernetes cannot be installed by
//! `go install`, because its own go.mod replaces its libraries by directories of its repository; so `xtask/kubernetes/go.mod`
//! names the same versions of all modules, with those libraries from the proxy. The tests start and kill the servers
//! themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::process::{given_or_tests, root, succeed, target_directory};

pub(crate) const HELP: &str = "\
cargo xtask kubernetes [COMMAND [ARGUMENT]...]: runs the tests with Kubernetes, or a command, with a real API server

etcd and kube-apiserver are built from the Go module proxy below ~/.cache/reflow, the first time
only: that needs Go 1.21 or later, 2 GB of disk, and about ten minutes of two cores. Tests find them by
REFLOW_TEST_KUBERNETES. `cargo xtask ci` runs the tests only if the servers were built before.
";

/// The variable that names the directory of the servers.
const SERVERS: &str = "REFLOW_TEST_KUBERNETES";
/// The release, as xtask/kubernetes/go.mod has it.
const RELEASE: &str = "v1.37.2";
/// The names of the servers, with the packages that they are built from.
const PROGRAMS: [(&str, &str); 3] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kustomize", "./kustomize"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
];

/// Runs a command, or the tests.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let servers = servers();
    if !is_built(&servers) {
        build(&servers)?;
    }
    let tests = ["--test", "api_server", "--test", "kubernetes"];
    succeed(given_or_tests(arguments, &tests).env(SERVERS, servers))
}

/// Runs the tests if the servers were built before. Building them takes longer than all that CI does with them.
pub(crate) fn check() -> Result<(), Failure> {
    if is_built(&servers()) {
        return run(&[]);
    }
    eprintln!(
        "  skipped: etcd and kube-apiserver are not built; `cargo xtask kubernetes` builds them, with Go"
    );
    Ok(())
}

/// The directory of the servers of this release.
fn servers() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = cache.or_else(home).unwrap_or_else(target_directory);
    cache.join("reflow").join(format!("kubernetes-{RELEASE}"))
}

fn is_built(servers: &Path) -> bool {
    PROGRAMS.iter().all(|(program, _)| servers.join(program).is_file())
}

fn build(servers: &Path) -> Result<(), Failure> {
    let go = go().ok_or("go is not installed; see https://go.dev/doc/install")?;
    eprintln!("  building etcd and kube-apiserver {RELEASE} in {}", servers.display());
    let module = servers.join("module");
    let cannot = |error: std::io::Error| format!("cannot write to {}: {error}", module.display());
    fs::create_dir_all(module.join("kustomize")).map_err(cannot)?;
    for file in ["go.mod", "go.sum", "kustomize/main.go"] {
        fs::copy(root().join("xtask/kubernetes").join(file), module.join(file)).map_err(cannot)?;
    }
    for (program, package) in PROGRAMS {
        let built = module.join(program);
        let mut command = Command::new(&go);
        // The version is what the API server tells of itself. Symbols would only make the files larger.
        let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={RELEASE}");
        command.current_dir(&module).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
        succeed(command.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(&built).arg(package))?;
        // Complete, or not there.
        fs::rename(&built, servers.join(program)).map_err(cannot)?;
    }
    Ok(())
}

/// Go, which often is not on the path of programs.
fn go() -> Option<PathBuf> {
    let candidates = ["go", "/usr/local/go/bin/go"].map(PathBuf::from);
    let runs =
        |go: &PathBuf| Command::new(go).arg("version").output().is_ok_and(|output| output.status.success());
    candidates.into_iter().find(runs)
}

//! The manifests of the distribution against the API server: a dry run that refuses fields it does not know, and the rights.

use crate::control_plane::ControlPlane;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The distribution's manifests.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/kubernetes")
}

/// The objects that kustomize makes of the base and these components in a namespace.
pub(crate) fn objects(plane: &ControlPlane, components: &[&str], namespace: &str) -> Vec<Value> {
    let overlay = tempfile::tempdir().unwrap();
    for name in ["base"].iter().chain(components) {
        fs::create_dir(overlay.path().join(name)).unwrap();
        for file in fs::read_dir(directory().join(name)).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), overlay.path().join(name).join(file.file_name())).unwrap();
        }
    }
    let kustomization = json!({"resources": ["base"], "components": components, "namespace": namespace});
    fs::write(overlay.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let built = plane.program("kustomize").arg(overlay.path()).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let text = String::from_utf8(built.stdout).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// Where objects of this kind are created.
pub(crate) fn path(object: &Value, namespace: &str) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    let group = if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") };
    match &*kind {
        "apiservice" => format!("/{group}/{plural}"),
        _ => format!("/{group}/namespaces/{namespace}/{plural}"),
    }
}

/// Each object of the base would be created, alone and with the components.
pub(crate) fn are_accepted(plane: &ControlPlane) {
    plane.create("/api/v1/namespaces", &json!({"metadata": {"name": "dry"}}));
    for components in [
        &[][..],
        &["standby"],
        &["autoscaler"],
        &["external-metrics"],
        &["standby", "autoscaler"],
        &["standby", "external-metrics"],
    ] {
        let objects = objects(plane, components, "dry");
        assert!(objects.len() >= 11, "{objects:#?}");
        for object in objects {
            plane.create(&(path(&object, "dry") + "?dryRun=All&fieldValidation=Strict"), &object);
        }
    }
}

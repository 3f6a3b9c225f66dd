//! Checks that `docs/openapi.json` is the document that the types give. With `UPDATE_DOCS=1`, as `cargo xtask
//! docs` sets it, the file is written instead of compared.

use std::path::Path;

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let wanted = reflow_schema::openapi::json();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/openapi.json is out of date; run `cargo xtask docs`");
}

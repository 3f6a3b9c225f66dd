//! `docs/configuration.md` is what the table of options says. With `UPDATE_DOCS=1`, as `cargo xtask docs`
//! sets it, the page is written instead of compared.

use std::path::Path;

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let wanted = reflow_config::page::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/configuration.md is out of date; run `cargo xtask docs`");
}

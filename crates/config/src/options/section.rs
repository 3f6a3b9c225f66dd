//! A section of the reference page, and the macro that declares one with its options.

use crate::option::Spec;

/// One section of the reference page.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The options, in reading order.
    pub options: &'static [&'static Spec],
}

/// Declares a section: each option with its doc comment, which is its description too.
macro_rules! section {
    ($title:literal { $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $option:expr;)+ }) => {
        $($(#[doc = $doc])+ pub static $name: ConfigOption<$type> = $option.doc(concat!($($doc, "\n"),+));)+

        pub(in crate::options) static SECTION: Section = Section { title: $title, options: &[$($name.spec()),+] };
    };
}
pub(super) use section;

//! Parses `#[data(…)]` on types, variants and fields.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Attribute, Expr, Ident, LitStr, Path, Type, ext::IdentExt, meta::ParseNestedMeta};

/// The attributes of a type or a variant.
pub(crate) struct Container {
    /// The path of the crate.
    pub(crate) reflow: Tokens,
    /// Another name in the schema.
    pub(crate) rename: Option<LitStr>,
    /// The names of removed fields, or of removed variants of an enum.
    pub(crate) removed: Vec<LitStr>,
}

impl Container {
    /// Parses the attributes of a type.
    pub(crate) fn of_type(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self { reflow: quote! { ::reflow }, rename: None, removed: Vec::new() };
        each(attributes, |meta| {
            if meta.path.is_ident("crate") {
                let path = meta.value()?.call(Path::parse_mod_style)?;
                found.reflow = quote! { #path };
            } else if meta.path.is_ident("rename") {
                found.rename = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("removed") {
                found.removed.push(meta.value()?.parse()?);
            } else {
                return Err(meta.error(
                    "unknown attribute of a type for Data; there are `crate`, `rename` and `removed`",
                ));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Parses the attributes of a variant.
    pub(crate) fn of_variant(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self { reflow: Tokens::new(), rename: None, removed: Vec::new() };
        each(attributes, |meta| {
            if meta.path.is_ident("rename") {
                found.rename = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("removed") {
                found.removed.push(meta.value()?.parse()?);
            } else {
                return Err(
                    meta.error("unknown attribute of a variant for Data; there are `rename` and `removed`")
                );
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The attributes of a field.
#[derive(Default)]
pub(crate) struct OfField {
    /// Another name in the schema.
    pub(crate) rename: Option<LitStr>,
    /// The adapter.
    pub(crate) with: Option<Type>,
    /// The value for data without the field.
    pub(crate) default: Option<Default>,
}

pub(crate) enum Default {
    /// `Default::default()`.
    OfType,
    /// The result of a function, or the value of another expression.
    Expression(Expr),
}

impl OfField {
    pub(crate) fn new(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename") {
                found.rename = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("with") {
                found.with = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("default") {
                found.default = Some(match meta.value() {
                    Ok(value) => Default::Expression(value.parse()?),
                    Err(_) => Default::OfType,
                });
            } else {
                return Err(meta.error(
                    "unknown attribute of a field for Data; there are `rename`, `default` and `with`",
                ));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident("data"));
    ours.into_iter().try_for_each(|attribute| attribute.parse_nested_meta(&mut read))
}

/// A name in the schema.
pub(crate) fn name_of(rename: Option<&LitStr>, ident: &Ident) -> LitStr {
    rename.cloned().unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()))
}

/// Checks that no name occurs twice or was removed, because bytes of an earlier build could otherwise not be
/// distinguished from those of this one.
pub(crate) fn check_names(names: &[LitStr], removed: &[LitStr]) -> syn::Result<()> {
    for (index, name) in names.iter().enumerate() {
        if names[..index].iter().any(|other| other.value() == name.value()) {
            return Err(syn::Error::new_spanned(name, format!("the name `{}` is used twice", name.value())));
        }
        if let Some(removed) = removed.iter().find(|removed| removed.value() == name.value()) {
            let text = format!("`{}` is removed and there; give the new one another name", name.value());
            return Err(syn::Error::new_spanned(removed, text));
        }
    }
    Ok(())
}

//! `#[derive(Key)]`, which derives the stable key encoding of a struct or enum from those of its fields.
//!
//! Fields are encoded in declared order; an enum variant by its position as a `u32` before its fields, so
//! variants and fields may be renamed but not reordered.

use crate::bounds;
use proc_macro2::{Ident, Span, TokenStream as Tokens};
use quote::quote;
use syn::{Data, DeriveInput, Fields, Member, Path, parse_quote};

pub(crate) fn implement(input: &DeriveInput) -> syn::Result<Tokens> {
    let reflow = reflow_crate(input)?;
    let key = quote! { #reflow::Key };
    let out = hygienic("out");
    let body = match &input.data {
        Data::Struct(data) => {
            let (pattern, encode) = fields(&data.fields, &key, &out);
            quote! { let Self #pattern = *self; #encode }
        }
        Data::Enum(data) => {
            let arms = data.variants.iter().zip(0u32..).map(|(variant, position)| {
                let ident = &variant.ident;
                let (pattern, encode) = fields(&variant.fields, &key, &out);
                let tag = position.to_le_bytes();
                quote! { Self::#ident #pattern => { #reflow::KeyWriter::write(#out, &[#(#tag),*]); #encode } }
            });
            quote! { match *self { #(#arms)* } }
        }
        Data::Union(_) => {
            let refused = "a union cannot be a key: use a struct or an enum";
            return Err(syn::Error::new_spanned(&input.ident, refused));
        }
    };
    let name = &input.ident;
    let generics = bounds::with_bounds(
        input,
        &key,
        // The supertraits of `Key`. For a parameter in `PhantomData`, the other derives demand more than this
        // one.
        &parse_quote!(::core::clone::Clone + ::core::cmp::Eq + ::core::marker::Send + 'static),
        |_| true,
    );
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #key for #name #type_generics #where_clause {
            fn encode(&self, #out: &mut #reflow::KeyWriter) { #body }
        }
    })
}

/// The path in `#[key(crate = …)]`, or `::reflow`.
fn reflow_crate(input: &DeriveInput) -> syn::Result<Tokens> {
    let mut reflow = quote! { ::reflow };
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("key")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("unknown attribute of Key; there is `crate = path::to::reflow`"));
            }
            let path = meta.value()?.call(Path::parse_mod_style)?;
            reflow = quote! { #path };
            Ok(())
        })?;
    }
    Ok(reflow)
}

/// A name that can be neither a user's binding nor a user's constant.
fn hygienic(name: &str) -> Ident {
    Ident::new(&format!("__reflow_key_{name}"), Span::mixed_site())
}

/// The pattern that binds a variant's fields, and the statements that encode them.
fn fields(fields: &Fields, key: &Tokens, out: &Ident) -> (Tokens, Tokens) {
    let members: Vec<Member> = fields.members().collect();
    let bindings: Vec<Ident> = (0..members.len()).map(|index| hygienic(&format!("field_{index}"))).collect();
    // `Name { 0: x }` also matches tuple structs, and `Name {}` unit structs.
    (quote! { { #(#members: ref #bindings),* } }, quote! { #(#key::encode(#bindings, #out);)* })
}

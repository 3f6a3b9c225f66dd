//! `#[derive(Key)]`: the stable key encoding of a struct or enum, from those of its fields.
//!
//! Fields are encoded in declared order; an enum variant by its position as a `u32` before its fields, so
//! variants and fields may be renamed but not reordered.

use proc_macro::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields, parse_macro_input};

/// Implements `reflow::Key`.
#[proc_macro_derive(Key)]
pub fn derive_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let body = match &input.data {
        Data::Struct(data) => {
            let (pattern, encode) = fields(&data.fields);
            quote! { let Self #pattern = self; #encode }
        }
        Data::Enum(data) => {
            let arms = data.variants.iter().enumerate().map(|(tag, variant)| {
                let tag = tag as u32;
                let ident = &variant.ident;
                let (pattern, encode) = fields(&variant.fields);
                quote! { Self::#ident #pattern => { out.write(&#tag.to_le_bytes()); #encode } }
            });
            quote! { match self { #(#arms),* } }
        }
        Data::Union(_) => {
            let error = syn::Error::new_spanned(name, "a union cannot be a key: use a struct or an enum");
            return error.to_compile_error().into();
        }
    };
    quote! {
        impl #impl_generics ::reflow::Key for #name #type_generics #where_clause {
            fn encode(&self, out: &mut ::reflow::KeyWriter) { #body }
        }
    }
    .into()
}

/// The pattern that binds a variant's fields, and the statements that encode them.
fn fields(fields: &Fields) -> (proc_macro2::TokenStream, proc_macro2::TokenStream) {
    match fields {
        Fields::Named(named) => {
            let names: Vec<_> = named.named.iter().map(|field| &field.ident).collect();
            (quote! { { #(#names),* } }, quote! { #(::reflow::Key::encode(#names, out);)* })
        }
        Fields::Unnamed(unnamed) => {
            let names: Vec<_> = (0..unnamed.unnamed.len()).map(|i| format_ident!("field{i}")).collect();
            (quote! { ( #(#names),* ) }, quote! { #(::reflow::Key::encode(#names, out);)* })
        }
        Fields::Unit => (quote! {}, quote! {}),
    }
}

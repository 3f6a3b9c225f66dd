//! `#[derive(States)]`, which composes the tables of a function's states, and the access to those of one key, from the
//! fields that declare them.

use proc_macro2::{Ident, Span, TokenStream as Tokens};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, FieldsNamed, GenericParam, Lifetime, LitStr, Path, parse_quote};

pub(crate) fn implement(input: &DeriveInput) -> syn::Result<Tokens> {
    let reflow = reflow_crate(input)?;
    let fields = named_fields(input)?;
    let states = quote! { #reflow::states };
    let (vis, name) = (&input.vis, &input.ident);
    let key = Ident::new("__ReflowKey", Span::mixed_site());
    let at = Lifetime::new("'__reflow", Span::mixed_site());
    let access = format_ident!("{name}Access");

    let idents: Vec<&Ident> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
    let visibilities = fields.named.iter().map(|field| &field.vis);
    let names = idents.iter().map(|ident| LitStr::new(&ident.unraw().to_string(), ident.span()));
    // With the span of the type, so that the compiler points at a field that declares no state.
    let of: Vec<Tokens> = fields
        .named
        .iter()
        .map(|field| {
            let ty = &field.ty;
            quote_spanned! { ty.span() => <#ty as #states::State<#key>> }
        })
        .collect();
    let bindings: Vec<Ident> =
        (0..idents.len()).map(|index| Ident::new(&format!("table_{index}"), Span::mixed_site())).collect();
    let tables = of.iter().rfold(quote! { () }, |rest, of| quote! { (#of::Table, #rest) });
    let made = idents.iter().zip(&of).rfold(quote! { () }, |rest, (ident, of)| {
        quote! { (#of::table(self.#ident, max), #rest) }
    });
    let pattern = bindings.iter().rfold(quote! { () }, |rest, binding| quote! { (#binding, #rest) });

    let mut generics = input.generics.clone();
    let has_parameters = generics.type_params().next().is_some();
    let (_, arguments, _) = input.generics.split_for_impl();
    let itself = quote! { #name #arguments };
    generics.params.insert(lifetimes(&generics), parse_quote!(#key: #reflow::Key));
    if has_parameters {
        let clause = generics.make_where_clause();
        clause.predicates.extend(fields.named.iter().map(|field| -> syn::WherePredicate {
            let ty = &field.ty;
            parse_quote!(#ty: #states::State<#key>)
        }));
        clause.predicates.push(parse_quote!(#itself: ::core::marker::Send + 'static));
    }
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let mut of_access = generics.clone();
    of_access.params.insert(0, GenericParam::Lifetime(syn::LifetimeParam::new(at.clone())));
    let (declared, access_arguments, _) = of_access.split_for_impl();
    let documentation = format!("The states of one key that [`{name}`] declares.");
    let documented = quote! { #[doc = #documentation] };
    let documentations = idents.iter().map(|ident| format!("The state that [`{name}::{ident}`] declares."));
    Ok(quote! {
        const _: () = {
            #documented #[allow(dead_code)] // not `expect`: a function may leave a state unused, or use all of them
            #vis struct #access #declared #where_clause {
                #(#[doc = #documentations] #visibilities #idents: #of::Access<#at>,)*
            }

            #[automatically_derived]
            impl #impl_generics #states::States<#key> for #itself #where_clause {
                type Tables = #tables;
                type Access<#at> = #access #access_arguments;

                fn undeclared() -> Self {
                    Self { #(#idents: #of::named(#names)),* }
                }

                fn declarations(&self, visit: &mut dyn ::core::ops::FnMut(#states::Declaration<'_>)) {
                    #(visit(#of::declaration(&self.#idents));)*
                }

                fn tables(self, max: #states::MaxParallelism) -> Self::Tables {
                    #made
                }

                #[inline]
                fn access<#at>(
                    tables: &#at mut Self::Tables,
                    current: #states::Current<#at, #key>,
                ) -> Self::Access<#at> {
                    let #pattern = tables;
                    #access { #(#idents: #of::access(#bindings, current)),* }
                }
            }
        };
    })
}

fn named_fields(input: &DeriveInput) -> syn::Result<&FieldsNamed> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if fields.named.is_empty() => {
                let refused = "this declares no states: `()` is the state of a function without any";
                Err(syn::Error::new_spanned(&input.ident, refused))
            }
            Fields::Named(fields) => Ok(fields),
            _ => Err(syn::Error::new_spanned(
                &input.ident,
                "states need names: use a struct with named fields",
            )),
        },
        Data::Enum(_) | Data::Union(_) => {
            let refused = "states are declared by a struct, with a field for each of them";
            Err(syn::Error::new_spanned(&input.ident, refused))
        }
    }
}

/// The number of lifetimes, which precede types.
fn lifetimes(generics: &syn::Generics) -> usize {
    generics.lifetimes().count()
}

/// The path in `#[states(crate = …)]`, or `::reflow`.
fn reflow_crate(input: &DeriveInput) -> syn::Result<Tokens> {
    let mut reflow = quote! { ::reflow };
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("states")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("unknown attribute of States; there is `crate = path::to::reflow`"));
            }
            let path = meta.value()?.call(Path::parse_mod_style)?;
            reflow = quote! { #path };
            Ok(())
        })?;
    }
    Ok(reflow)
}

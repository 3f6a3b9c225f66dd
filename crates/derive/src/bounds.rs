//! The bounds of the generated implementation on type parameters.
//!
//! For `Key`, the bounds are `T: Key` if a field contains a `T`, and `T::Name: Key` if it contains that. They are not on the
//! whole types of fields, because the bounds of a recursive type (`children: Vec<Tree<T>>`) would be cyclic.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use std::collections::{BTreeMap, BTreeSet};
use syn::{
    Data, DeriveInput, Field, GenericArgument, Generics, PathArguments, ReturnType, Token, Type,
    TypeParamBound, TypePath, parse_quote, punctuated::Punctuated,
};

/// The generics of `input` with the bounds that an implementation of `derived` needs: bounds on the types in the
/// fields that `is_derived` selects, and the bounds `of_itself` on the type itself.
pub(crate) fn with_bounds(
    input: &DeriveInput,
    derived: &TokenStream,
    of_itself: &Punctuated<TypeParamBound, Token![+]>,
    is_derived: impl Fn(&Field) -> bool,
) -> Generics {
    let mut generics = input.generics.clone();
    let lifetimes: Vec<_> = generics.lifetimes().map(|parameter| parameter.lifetime.clone()).collect();
    let mut held = Held { parameters: BTreeSet::new(), types: BTreeMap::new() };
    held.parameters.extend(generics.type_params().map(|parameter| parameter.ident.to_string()));
    fields(&input.data).filter(|field| is_derived(field)).for_each(|field| held.visit(&field.ty));
    if lifetimes.is_empty() && held.parameters.is_empty() {
        return generics;
    }
    let (name, (_, arguments, _)) = (&input.ident, input.generics.split_for_impl());
    let itself = quote! { #name #arguments };
    let clause = generics.make_where_clause();
    clause
        .predicates
        .extend(held.types.values().map(|held| -> syn::WherePredicate { parse_quote!(#held: #derived) }));
    clause.predicates.push(parse_quote!(#itself: #of_itself));
    // A derived type is `'static`, so a type that borrows implements it only for `'static`.
    clause
        .predicates
        .extend(lifetimes.iter().map(|lifetime| -> syn::WherePredicate { parse_quote!(#lifetime: 'static) }));
    generics
}

/// The fields of a struct, or of all variants.
fn fields(data: &Data) -> Box<dyn Iterator<Item = &Field> + '_> {
    match data {
        Data::Struct(data) => Box::new(data.fields.iter()),
        Data::Enum(data) => Box::new(data.variants.iter().flat_map(|variant| &variant.fields)),
        Data::Union(_) => Box::new(std::iter::empty()),
    }
}

/// The types in fields that depend on type parameters.
struct Held {
    parameters: BTreeSet<String>,
    /// The types by their text.
    types: BTreeMap<String, Type>,
}

impl Held {
    fn visit(&mut self, ty: &Type) {
        match ty {
            Type::Path(path) => self.visit_path(path),
            Type::Array(array) => self.visit(&array.elem),
            Type::Slice(slice) => self.visit(&slice.elem),
            Type::Reference(reference) => self.visit(&reference.elem),
            Type::Group(group) => self.visit(&group.elem),
            Type::Paren(paren) => self.visit(&paren.elem),
            Type::Tuple(tuple) => tuple.elems.iter().for_each(|elem| self.visit(elem)),
            _ => {} // pointers, functions, trait objects: nothing that can be encoded
        }
    }

    fn visit_path(&mut self, ty: &TypePath) {
        let is_parameter = |segment: &syn::PathSegment| self.parameters.contains(&segment.ident.to_string());
        if ty.qself.is_some() || ty.path.segments.first().is_some_and(is_parameter) {
            // `T`, `T::Name` or `<T as Trait>::Name`.
            self.types.insert(quote!(#ty).to_string(), Type::Path(ty.clone()));
            return;
        }
        let Some(last) = ty.path.segments.last() else { return };
        if last.ident == "PhantomData" {
            // It contains no value, and a bound on the whole type demands less of the parameter.
            if self.mentions_parameter(quote!(#ty)) {
                self.types.insert(quote!(#ty).to_string(), Type::Path(ty.clone()));
            }
            return;
        }
        match &last.arguments {
            PathArguments::AngleBracketed(arguments) => {
                for argument in &arguments.args {
                    if let GenericArgument::Type(ty) = argument {
                        self.visit(ty);
                    }
                }
            }
            PathArguments::Parenthesized(function) => {
                if let ReturnType::Type(_, ty) = &function.output {
                    self.visit(ty);
                }
            }
            PathArguments::None => {}
        }
    }

    fn mentions_parameter(&self, tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => self.parameters.contains(&ident.to_string()),
            TokenTree::Group(group) => self.mentions_parameter(group.stream()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        })
    }
}

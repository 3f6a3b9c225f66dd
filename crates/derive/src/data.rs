//! `#[derive(Data)]`, which derives the encoding and the schema of a struct or enum from those of its fields.
//!
//! Fields are encoded in declared order. The position of an enum variant is encoded as a varint before its
//! fields.

use crate::bounds;
use crate::data_attributes::{Container, Default, OfField, check_names, name_of};
use proc_macro2::{Ident, Span, TokenStream as Tokens};
use quote::{format_ident, quote};
use syn::{DeriveInput, Expr, Field, Fields, Generics, LitStr, Member, Type, parse_quote};

pub(crate) fn implement(input: &DeriveInput) -> syn::Result<Tokens> {
    let container = Container::of_type(&input.attrs)?;
    let reflow = &container.reflow;
    let data = quote! { #reflow::data };
    let names = Names::new();
    let Names { out, input: from, schema, buffer } = &names;
    let name = name_of(container.rename.as_ref(), &input.ident);
    let removed = &container.removed;

    let (min_bytes, encode, decode, shape);
    match &input.data {
        syn::Data::Struct(content) => {
            let fields = Parts::of(&content.fields, None)?;
            check_names(&fields.names(), removed)?;
            let (pattern, describe) = (fields.pattern(), fields.describe(&data, &names));
            let (encoded, decoded) = (fields.encode(&data, &names), fields.decode(&data, &names));
            min_bytes = fields.min_bytes(&data);
            encode = quote! { let Self #pattern = *self; #encoded };
            decode = quote! { ::core::result::Result::Ok(Self #decoded) };
            shape = quote! { #data::Shape::Struct(#describe) };
        }
        syn::Data::Enum(content) => {
            let (mut encoded, mut decoded, mut described, mut variants) = (vec![], vec![], vec![], vec![]);
            for (variant, tag) in content.variants.iter().zip(0u64..) {
                let attributes = Container::of_variant(&variant.attrs)?;
                let (ident, removed) = (&variant.ident, &attributes.removed);
                let name = name_of(attributes.rename.as_ref(), ident);
                let fields = Parts::of(&variant.fields, Some(&name))?;
                check_names(&fields.names(), removed)?;
                let (pattern, describe) = (fields.pattern(), fields.describe(&data, &names));
                let (encode, decode) = (fields.encode(&data, &names), fields.decode(&data, &names));
                encoded.push(
                    quote! { Self::#ident #pattern => { #data::Encoder::varint(#out, #tag); #encode } },
                );
                decoded.push(quote! { #tag => ::core::result::Result::Ok(Self::#ident #decode), });
                described.push(quote! { #data::Variant::new(#name, #describe, &[#(#removed),*]) });
                variants.push(name);
            }
            check_names(&variants, removed)?;
            let tag = hygienic("tag");
            min_bytes = quote! { 1 };
            encode = quote! { match *self { #(#encoded)* } };
            decode = quote! {
                match #data::Decoder::varint(#from, #name)? {
                    #(#decoded)*
                    #tag => ::core::result::Result::Err(#data::no_variant(#name, #tag)),
                }
            };
            shape = quote! { #data::Shape::Enum(::std::vec::Vec::from([#(#described),*])) };
        }
        syn::Data::Union(_) => {
            let refused = "a union cannot be Data, as it does not say what it holds: use an enum";
            return Err(syn::Error::new_spanned(&input.ident, refused));
        }
    }

    let ident = &input.ident;
    let generics = generics(input, &data)?;
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #data::Data for #ident #type_generics #where_clause {
            const MIN_BYTES: ::core::primitive::usize = #min_bytes;

            #[inline]
            fn encode_into<#buffer: #data::Buffer>(&self, #out: &mut #data::Encoder<'_, #buffer>) {
                #encode
            }

            #[inline]
            fn decode_from(
                #from: &mut #data::Decoder<'_>,
            ) -> ::core::result::Result<Self, #data::DecodeError> {
                #decode
            }

            fn describe(#schema: &mut #data::SchemaBuilder) -> #data::Type {
                #data::SchemaBuilder::named::<Self>(#schema, #name, &[#(#removed),*], |#schema| #shape)
            }
        }
    })
}

/// The bounds of the implementation. A field with an adapter needs none, except for a default.
fn generics(input: &DeriveInput, data: &Tokens) -> syn::Result<Generics> {
    let derived = quote! { #data::Data };
    let has_adapter = |field: &Field| OfField::new(&field.attrs).is_ok_and(|of| of.with.is_some());
    let of_itself = parse_quote!(::core::marker::Send + 'static);
    Ok(bounds::with_bounds(input, &derived, &of_itself, |field| !has_adapter(field)))
}

/// Names that can be neither a user's binding nor a user's constant.
struct Names {
    out: Ident,
    input: Ident,
    schema: Ident,
    buffer: Ident,
}

impl Names {
    fn new() -> Self {
        let buffer = Ident::new("__ReflowDataBuffer", Span::mixed_site());
        Self { out: hygienic("out"), input: hygienic("input"), schema: hygienic("schema"), buffer }
    }
}

fn hygienic(name: &str) -> Ident {
    Ident::new(&format!("__reflow_data_{name}"), Span::mixed_site())
}

/// The fields of a struct or a variant.
///
/// All generated code names `<type as Data>` with the span of the field's type. If the implementation is missing,
/// the compiler finds the same error several times and shows it once.
struct Parts<'a> {
    /// The variant, for paths in errors.
    variant: Option<&'a LitStr>,
    parts: Vec<Part<'a>>,
}

struct Part<'a> {
    member: Member,
    binding: Ident,
    ty: &'a Type,
    name: LitStr,
    attributes: OfField,
}

impl<'a> Parts<'a> {
    fn of(fields: &'a Fields, variant: Option<&'a LitStr>) -> syn::Result<Self> {
        let part = |(index, (member, field)): (usize, (Member, &'a Field))| {
            let attributes = OfField::new(&field.attrs)?;
            let ident = match &member {
                Member::Named(ident) => ident.clone(),
                Member::Unnamed(_) => format_ident!("_{index}"),
            };
            let name = match (&attributes.rename, &member) {
                (None, Member::Unnamed(_)) => LitStr::new(&index.to_string(), Span::call_site()),
                (rename, _) => name_of(rename.as_ref(), &ident),
            };
            let binding = hygienic(&format!("field_{index}"));
            Ok(Part { member, binding, ty: &field.ty, name, attributes })
        };
        let members = fields.members().zip(fields).enumerate();
        Ok(Self { variant, parts: members.map(part).collect::<syn::Result<_>>()? })
    }

    fn names(&self) -> Vec<LitStr> {
        self.parts.iter().map(|part| part.name.clone()).collect()
    }

    /// The pattern that binds the fields. `Name { 0: x }` also matches tuple structs, and `Name {}` unit structs.
    fn pattern(&self) -> Tokens {
        let bound = self.parts.iter().map(|Part { member, binding, .. }| quote! { #member: ref #binding });
        quote! { { #(#bound),* } }
    }

    fn min_bytes(&self, data: &Tokens) -> Tokens {
        let types = self.parts.iter().map(|part| part.encoded_type(data));
        quote! { 0 #(+ <#types as #data::Data>::MIN_BYTES)* }
    }

    fn encode(&self, data: &Tokens, Names { out, .. }: &Names) -> Tokens {
        let calls = self.parts.iter().map(|Part { binding, ty, attributes, .. }| match &attributes.with {
            None => quote! { <#ty as #data::Data>::encode_into(#binding, #out); },
            Some(with) => quote! { #data::encode_with::<#with, #ty, _>(#binding, #out); },
        });
        quote! { #(#calls)* }
    }

    /// The fields of the expression that constructs the value.
    fn decode(&self, data: &Tokens, Names { input, .. }: &Names) -> Tokens {
        let fields = self.parts.iter().map(|Part { member, ty, name, attributes, .. }| {
            let path = match self.variant {
                None => name.clone(),
                Some(variant) => LitStr::new(&format!("{}.{}", variant.value(), name.value()), name.span()),
            };
            match &attributes.with {
                None => {
                    quote! { #member: #data::of_field(#path, <#ty as #data::Data>::decode_from(#input))? }
                }
                Some(with) => quote! { #member: #data::decode_with::<#with, #ty>(#path, #input)? },
            }
        });
        quote! { { #(#fields),* } }
    }

    fn describe(&self, data: &Tokens, Names { schema, .. }: &Names) -> Tokens {
        let fields = self.parts.iter().map(|part| {
            let (ty, name, default) = (part.encoded_type(data), &part.name, part.default(data));
            quote! { #data::Field::new(#name, <#ty as #data::Data>::describe(#schema), #default) }
        });
        quote! { ::std::vec::Vec::from([#(#fields),*]) }
    }
}

impl Part<'_> {
    /// The type that is encoded.
    fn encoded_type(&self, data: &Tokens) -> Tokens {
        let ty = self.ty;
        match &self.attributes.with {
            None => quote! { #ty },
            Some(with) => quote! { <#with as #data::Adapter<#ty>>::As },
        }
    }

    /// The encoding of the default.
    fn default(&self, data: &Tokens) -> Tokens {
        let ty = self.ty;
        let value = match &self.attributes.default {
            None => return quote! { ::core::option::Option::None },
            Some(Default::OfType) => quote! { <#ty as ::core::default::Default>::default() },
            Some(Default::Expression(Expr::Path(function))) => quote! { #function() },
            Some(Default::Expression(value)) => quote! { #value },
        };
        match &self.attributes.with {
            None => quote! { #data::default_bytes::<#ty>(&#value) },
            Some(with) => {
                let encoded = self.encoded_type(data);
                quote! {
                    #data::default_bytes::<#encoded>(&<#with as #data::Adapter<#ty>>::to_data(&#value))
                }
            }
        }
    }
}

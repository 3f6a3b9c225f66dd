//! The trait [`Data`], and functions that encode and decode whole values.

// The module exports everything under one path for derived code and for crates that export it again.
pub use crate::{
    Buffer, DecodeError, Decoder, Dump, EncodeError, Encoder, Field, Fingerprint, Incompatible,
    IncompatibleEntries, Length, Migration, Number, Reason, Schema, SchemaBuilder, Shape, Type, Variant,
};
pub use reflow_derive::Data;

/// A type whose values can cross an exchange or be kept in state. It should be derived.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::{Data, Schema, data};
/// #[derive(Debug, PartialEq, Data)]
/// struct Reading { car: u64, speed: f64, #[data(default)] distance: f64 }
///
/// let reading = Reading { car: 7, speed: 99.5, distance: 0.0 };
/// let bytes = data::to_vec(&reading)?;
/// assert_eq!(bytes.len(), 1 + 8 + 8);
/// assert_eq!(data::decode::<Reading>(&bytes)?, reading);
/// assert_eq!(Schema::of::<Reading>().to_string(), "Reading { car: u64, speed: f64, distance: f64 }");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Attributes
///
/// On a field (a variant can only have `rename`):
///
/// - `#[data(rename = "name")]`: the field's name in the schema. A field that is renamed in the program and keeps
///   its old name here can read the data of earlier builds.
/// - `#[data(default)]`, `#[data(default = function)]`: the value for data of earlier builds without the field.
/// - `#[data(with = Type)]`: for a type of another crate, which is converted by the [`Adapter`] `Type`.
///
/// On a struct, enum or variant: `#[data(removed = "name")]`, for a field (of an enum: a variant) that earlier
/// builds had. Its values are dropped, and a value of a removed variant is an error. On the type: `#[data(crate =
/// path)]`, if the crate `reflow` has another name.
///
/// The compiler rejects a type without an implementation, and its error names the type and the remedy:
///
/// ```compile_fail,E0277
/// # extern crate reflow_data as reflow;
/// struct Position(f64, f64);
/// #[derive(reflow::Data)]
/// struct Car { at: Position } // `Position` cannot cross an exchange or be kept in state
/// ```
///
/// # Contract
///
/// Implementors guarantee that `describe` describes the bytes that `encode_into` appends, that `decode_from`
/// takes exactly these bytes and returns an equal value, and that there are at least `MIN_BYTES` of them, or none
/// if `MIN_BYTES` is zero. `decode_from` must not panic, whatever the bytes.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::data::{self, Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};
///
/// /// A name in lower case, encoded as text.
/// struct Name(String);
///
/// impl Data for Name {
///     const MIN_BYTES: usize = String::MIN_BYTES;
///
///     fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>) {
///         self.0.encode_into(out);
///     }
///
///     fn decode_from(input: &mut Decoder<'_>) -> Result<Name, DecodeError> {
///         let name = String::decode_from(input)?;
///         if name.chars().any(char::is_uppercase) {
///             return Err(DecodeError::refused(format!("'{name}' is not in lower case")));
///         }
///         Ok(Name(name))
///     }
///
///     fn describe(schema: &mut SchemaBuilder) -> Type {
///         String::describe(schema)
///     }
/// }
///
/// let bytes = data::to_vec(&Name("tea".to_owned()))?;
/// assert_eq!(data::decode::<Name>(&bytes)?.0, "tea");
/// assert!(data::decode::<Name>(&data::to_vec(&"Tea".to_owned())?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross an exchange or be kept in state, because it does not implement `Data`",
    label = "`{Self}` is not `Data`",
    note = "add `#[derive(reflow::Data)]` to a type of your own",
    note = "use an owned type, such as `String`, instead of a reference, such as `&str`",
    note = "types of `jiff`, `uuid`, `serde_json` and `rust_decimal` need the feature `jiff`, `uuid`, `json` or `decimal` of `reflow`; a field of another type from another crate can be encoded as one of these types: `#[data(with = Adapter)]`"
)]
pub trait Data: Sized + Send + 'static {
    /// The length of the shortest encoding.
    const MIN_BYTES: usize;

    /// Appends the value's encoding.
    fn encode_into<B: Buffer>(&self, out: &mut Encoder<'_, B>);

    /// Takes a value from the front.
    ///
    /// # Errors
    /// If the bytes do not begin with a value of this type.
    fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// Describes what `encode_into` appends.
    fn describe(schema: &mut SchemaBuilder) -> Type;

    /// Appends several values, as a list does after its length.
    #[doc(hidden)]
    #[inline]
    fn encode_slice<B: Buffer>(items: &[Self], out: &mut Encoder<'_, B>) {
        items.iter().for_each(|item| encode_element(item, out));
    }

    /// Takes `len` values. The input may end before.
    #[doc(hidden)]
    #[inline]
    fn decode_vec(len: usize, input: &mut Decoder<'_>) -> Result<Vec<Self>, DecodeError> {
        let mut items = Vec::with_capacity(input.capacity::<Self>(len));
        for index in 0..len {
            items.push(decode_element(index, input)?);
        }
        Ok(items)
    }

    /// Describes a list of such values.
    #[doc(hidden)]
    fn describe_list(schema: &mut SchemaBuilder) -> Type {
        Type::List(Box::new(Self::describe(schema)))
    }
}

/// Encodes values of `T` as those of another type, for a field with `#[data(with = …)]`.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::{Adapter, Data, data};
/// use std::net::Ipv4Addr;
/// struct AsNumber;
/// impl Adapter<Ipv4Addr> for AsNumber {
///     type As = u32;
///     fn to_data(address: &Ipv4Addr) -> u32 { (*address).into() }
///     fn from_data(number: u32) -> Result<Ipv4Addr, String> { Ok(number.into()) }
/// }
///
/// #[derive(Debug, PartialEq, Data)]
/// struct Visit { #[data(with = AsNumber)] from: Ipv4Addr }
/// let visit = Visit { from: Ipv4Addr::LOCALHOST };
/// assert_eq!(data::decode::<Visit>(&data::to_vec(&visit)?)?, visit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Adapter<T>: 'static {
    /// The type that is encoded and that the schema contains.
    type As: Data;
    /// Converts a value into the encoded type.
    fn to_data(value: &T) -> Self::As;
    /// Converts a value back.
    ///
    /// # Errors
    /// A text of the adapter, if there is no such value.
    fn from_data(data: Self::As) -> Result<T, String>;
}

/// Appends a value's encoding. On an error, `out` is unchanged.
///
/// ```
/// # extern crate reflow_data as reflow;
/// use reflow::data;
///
/// let mut bytes = Vec::new();
/// data::encode(&7u32, &mut bytes)?;
/// data::encode(&"tea".to_owned(), &mut bytes)?;
/// assert_eq!(bytes.len(), data::encoded_len(&7u32) + data::encoded_len(&"tea".to_owned()));
///
/// let mut rest = &bytes[..];
/// assert_eq!(data::decode_prefix::<u32>(&mut rest)?, 7);
/// assert_eq!(data::decode_prefix::<String>(&mut rest)?, "tea");
/// assert!(rest.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the value nests too deeply, or an implementation refuses it.
#[inline]
pub fn encode<T: Data>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let mut encoder = Encoder::new(out);
    value.encode_into(&mut encoder);
    let result = encoder.finish();
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// A value's encoding.
///
/// # Errors
/// As [`encode`].
pub fn to_vec<T: Data>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    encode(value, &mut out).map(|()| out)
}

/// The length of a value's encoding, computed without copying.
#[inline]
pub fn encoded_len<T: Data>(value: &T) -> usize {
    let mut length = Length::default();
    value.encode_into(&mut Encoder::new(&mut length));
    length.0
}

/// Decodes a value that takes all of `bytes`.
///
/// # Errors
/// If they are not the encoding of a value of this type.
pub fn decode<T: Data>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Decoder::new(bytes);
    let decoded = T::decode_from(&mut input).and_then(|value| input.finish().map(|()| value));
    decoded.map_err(|error| error.of_type(std::any::type_name::<T>()))
}

/// Takes a value from the front of `bytes`.
///
/// # Errors
/// If they do not begin with a value of this type.
#[inline]
pub fn decode_prefix<T: Data>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    let mut input = Decoder::new(bytes);
    match T::decode_from(&mut input) {
        Ok(value) => {
            *bytes = input.rest();
            Ok(value)
        }
        Err(error) => Err(error.of_type(std::any::type_name::<T>())),
    }
}

/// Takes the value of a field.
#[inline]
pub(crate) fn decode_field<T: Data>(name: &'static str, input: &mut Decoder<'_>) -> Result<T, DecodeError> {
    of_field(name, T::decode_from(input))
}

/// The value of a field, or an error that names it.
#[doc(hidden)]
#[inline]
pub fn of_field<T>(name: &'static str, value: Result<T, DecodeError>) -> Result<T, DecodeError> {
    value.map_err(|error| error.in_field(name))
}

/// Appends the value of a field with an adapter.
#[doc(hidden)]
pub fn encode_with<A: Adapter<T>, T, B: Buffer>(value: &T, out: &mut Encoder<'_, B>) {
    A::to_data(value).encode_into(out);
}

/// Takes the value of a field with an adapter.
#[doc(hidden)]
pub fn decode_with<A: Adapter<T>, T>(name: &'static str, input: &mut Decoder<'_>) -> Result<T, DecodeError> {
    let data = A::As::decode_from(input);
    data.and_then(|data| A::from_data(data).map_err(DecodeError::refused))
        .map_err(|error| error.in_field(name))
}

/// The error about an enum's tag.
#[doc(hidden)]
#[cold]
pub fn no_variant(name: &str, tag: u64) -> DecodeError {
    DecodeError::new(Reason::Variant { name: name.to_owned(), tag })
}

/// The encoding of a field's default, for the schema.
#[doc(hidden)]
pub fn default_bytes<T: Data>(value: &T) -> Option<Vec<u8>> {
    // A default that cannot be encoded counts as none: data without the field cannot be read.
    to_vec(value).ok()
}

/// Appends an element of a collection. An element without bytes takes one, so that a length never exceeds the
/// number of following bytes.
#[inline]
pub(crate) fn encode_element<T: Data, B: Buffer>(item: &T, out: &mut Encoder<'_, B>) {
    item.encode_into(out);
    if T::MIN_BYTES == 0 {
        out.bytes(&[0]);
    }
}

/// Takes an element of a collection.
#[inline]
pub(crate) fn decode_element<T: Data>(index: usize, input: &mut Decoder<'_>) -> Result<T, DecodeError> {
    let item = T::decode_from(input).map_err(|error| error.in_element(index))?;
    if T::MIN_BYTES == 0 {
        input.array::<1>("an element")?;
    }
    Ok(item)
}

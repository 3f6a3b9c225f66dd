//! Tuples, which are encoded as their elements in order.

use crate::{Buffer, Data, DecodeError, Decoder, Encoder, SchemaBuilder, Type};

macro_rules! tuple {
    ($($name:ident . $index:tt),+) => {
        impl<$($name: Data),+> Data for ($($name,)+) {
            const MIN_BYTES: usize = 0 $(+ $name::MIN_BYTES)+;

            #[inline]
            fn encode_into<Out: Buffer>(&self, out: &mut Encoder<'_, Out>) {
                $(self.$index.encode_into(out);)+
            }

            #[inline]
            fn decode_from(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(($(crate::data::decode_field::<$name>(stringify!($index), input)?,)+))
            }

            fn describe(schema: &mut SchemaBuilder) -> Type {
                Type::Tuple(vec![$($name::describe(schema)),+])
            }
        }
    };
}
tuple!(A.0);
tuple!(A.0, B.1);
tuple!(A.0, B.1, C.2);
tuple!(A.0, B.1, C.2, D.3);
tuple!(A.0, B.1, C.2, D.3, E.4);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5, G.6);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8, J.9);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8, J.9, K.10);
tuple!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7, I.8, J.9, K.10, L.11);

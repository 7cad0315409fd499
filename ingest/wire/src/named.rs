//! Enums whose values have a name.

/// Declares an enum whose values have a name each: `ALL`, in order of definition, `as_str`, and `Display`.
///
/// ```
/// lictor_wire::named_enum! {
///     /// Traffic lights.
///     pub enum Light {
///         /// Stop.
///         Red = "red",
///         /// Go.
///         Green = "green",
///     }
/// }
/// assert_eq!(Light::ALL.map(Light::as_str), ["red", "green"]);
/// ```
#[macro_export]
macro_rules! named_enum {
    ($(#[$attribute:meta])* $visibility:vis enum $name:ident {
        $($(#[$of_value:meta])* $value:ident = $text:literal,)+
    }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $name { $($(#[$of_value])* $value,)+ }

        impl $name {
            /// Every value, in order of definition.
            $visibility const ALL: [Self; [$($text),+].len()] = [$(Self::$value),+];

            /// Its name.
            $visibility const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

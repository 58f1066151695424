//! How many bytes the values of a column take, for the types that tell it.

/// How the values of a type are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// A byte for each row comes first.
    pub(super) nullable: bool,
    /// Bytes of a value; 0: each one has its length in front.
    pub(super) size: u32,
}

/// `None`: another type. `name` may be cut where it is long.
pub(super) fn layout(name: &[u8]) -> Option<Layout> {
    const NULLABLE: &[u8] = b"Nullable(";
    let nullable = name.starts_with(NULLABLE);
    let name = name.strip_prefix(NULLABLE).unwrap_or(name);
    let end = name.iter().position(|b| matches!(b, b'(' | b')'));
    let (name, arguments) = name.split_at(end.unwrap_or(name.len()));
    let number = || {
        let digits = arguments.get(1..)?;
        let digits = &digits[..digits.iter().take_while(|b| b.is_ascii_digit()).count()];
        str::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    let size = match name {
        b"String" => 0,
        b"UInt8" | b"Int8" | b"Bool" | b"Enum8" | b"Nothing" => 1,
        b"UInt16" | b"Int16" | b"Date" | b"Enum16" => 2,
        b"UInt32" | b"Int32" | b"Float32" | b"Date32" | b"DateTime" | b"IPv4" | b"Decimal32" => 4,
        b"UInt64" | b"Int64" | b"Float64" | b"DateTime64" | b"Decimal64" => 8,
        b"UInt128" | b"Int128" | b"UUID" | b"IPv6" | b"Decimal128" => 16,
        b"UInt256" | b"Int256" | b"Decimal256" => 32,
        b"FixedString" => number().filter(|size| *size > 0)?,
        b"Decimal" => match number()? {
            0..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            39..=76 => 32,
            _ => return None,
        },
        _ => return None,
    };
    Some(Layout { nullable, size })
}

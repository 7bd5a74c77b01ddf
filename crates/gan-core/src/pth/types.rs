//! Types of numbers, by the names that PyTorch gives them.

use candle_core::DType;

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// One that is read as it is.
    Kept(DType),
    /// Whole numbers of 8 bits with a sign, which are read as 16 bits.
    I8,
    /// One that is not read: its name, and bytes of each.
    Other(&'static str, usize),
}

impl Numbers {
    /// By the name of a storage's class.
    pub(super) fn of_storage(name: &str) -> Option<Self> {
        Some(match name.strip_suffix("Storage")? {
            "Float" => Self::Kept(DType::F32),
            "Half" => Self::Kept(DType::F16),
            "BFloat16" => Self::Kept(DType::BF16),
            "Double" => Self::Kept(DType::F64),
            "Long" => Self::Kept(DType::I64),
            "Int" => Self::Kept(DType::I32),
            "Short" => Self::Kept(DType::I16),
            "Byte" | "Bool" => Self::Kept(DType::U8),
            "Char" => Self::I8,
            "Untyped" => Self::Other("bytes", 1),
            "ComplexFloat" => Self::Other("complex numbers", 8),
            "ComplexDouble" => Self::Other("complex numbers", 16),
            "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Self::Other("quantized numbers", 1),
            "QInt32" => Self::Other("quantized numbers", 4),
            _ => return None,
        })
    }

    /// By the name of a type.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "float32" | "float" => Self::Kept(DType::F32),
            "float16" | "half" => Self::Kept(DType::F16),
            "bfloat16" => Self::Kept(DType::BF16),
            "float64" | "double" => Self::Kept(DType::F64),
            "int64" | "long" => Self::Kept(DType::I64),
            "int32" | "int" => Self::Kept(DType::I32),
            "int16" | "short" => Self::Kept(DType::I16),
            "uint8" | "bool" => Self::Kept(DType::U8),
            "uint32" => Self::Kept(DType::U32),
            "int8" => Self::I8,
            "uint16" => Self::Other("whole numbers of 16 bits without a sign", 2),
            "uint64" => Self::Other("whole numbers of 64 bits without a sign", 8),
            "complex64" => Self::Other("complex numbers", 8),
            "complex128" => Self::Other("complex numbers", 16),
            "complex32" => Self::Other("complex numbers", 4),
            _ if name.starts_with("float8") => Self::Other("floating point numbers of 8 bits", 1),
            _ if name.starts_with("qint") || name.starts_with("quint") => {
                Self::Other("quantized numbers", 1)
            }
            _ => return None,
        })
    }

    /// Bytes of each.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Kept(dtype) => dtype.size_in_bytes(),
            Self::I8 => 1,
            Self::Other(_, bytes) => bytes,
        }
    }
}

import COpenMPI

/// An element type that MPI can move and reduce.
public protocol MPIScalar: BitwiseCopyable, Sendable {
  /// The shim's code of MPI's datatype.
  static var mpiType: Int32 { get }
  /// Any value; buffers to be received into are filled with it first.
  static var zero: Self { get }
}

extension Float: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_FLOAT.rawValue) }
}
extension Double: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_DOUBLE.rawValue) }
}
extension Int32: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_INT32.rawValue) }
}
extension Int64: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_INT64.rawValue) }
}
/// 64 bits wide on every platform this package runs on.
extension Int: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_INT64.rawValue) }
}
extension UInt8: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_UINT8.rawValue) }
}
extension UInt64: MPIScalar {
  public static var mpiType: Int32 { Int32(RFM_MPI_UINT64.rawValue) }
}

/// A number with the range of `Float` and eight bits of precision: the upper half of a float's
/// bits. Travels in half the time. Ranks can add it up, with float32 sums rounded to the nearest at
/// each addition, but not compare it (`.min` and `.max` are errors).
public struct BFloat16: MPIScalar, Equatable {
  public var bits: UInt16

  public init(bits: UInt16) { self.bits = bits }

  /// Rounds to the nearest, ties to even.
  public init(_ value: Float) {
    let wide = value.bitPattern
    bits =
      value.isNaN
      ? UInt16(wide >> 16) | 0x40 : UInt16((wide &+ 0x7fff &+ (wide >> 16 & 1)) >> 16)
  }

  public var float: Float { Float(bitPattern: UInt32(bits) << 16) }

  public static var mpiType: Int32 { Int32(RFM_MPI_BFLOAT16.rawValue) }
  public static var zero: Self { Self(bits: 0) }
}

/// How a reduction combines the elements of several ranks. Integer sums wrap around.
public enum ReduceOperation: Sendable {
  case sum, min, max

  var code: Int32 {
    switch self {
    case .sum: Int32(RFM_MPI_SUM.rawValue)
    case .min: Int32(RFM_MPI_MIN.rawValue)
    case .max: Int32(RFM_MPI_MAX.rawValue)
    }
  }
}

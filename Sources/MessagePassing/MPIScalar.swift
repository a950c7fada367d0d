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

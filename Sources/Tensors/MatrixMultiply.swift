import CKernels
import COneDNN
import COpenBLAS

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// What activations and the operands of matrix multiplies are stored as.
public enum Precision: String, Sendable, CaseIterable {
  case float32
  /// Sums, statistics and master weights stay float32.
  case bfloat16

  /// Bytes.
  @inlinable public var size: Int { self == .float32 ? 4 : 2 }
}

/// Single-threaded matrix multiplies on row-major matrices; the callers do the splitting.
///
/// oneDNN's multiply leads: it keeps more than 90 % of the processor's peak at the shapes of a
/// separable convolution, where a tile has some 200 rows, and knows processors newer than the
/// distribution's OpenBLAS does. `RFM_GEMM=openblas` chooses the other, for comparison.
public enum MatrixMultiply {
  private static let choice: String? = getenv("RFM_GEMM").map { String(cString: $0) }
  private static let usesOpenBLAS = choice == "openblas"

  /// bfloat16 weights are packed once and multiplied by this project's own kernel
  /// (`bfloat16_multiply.h`): some 10 % faster than oneDNN, which packs them anew for every tile.
  /// Not on processors with matrix tiles (AMX), which oneDNN makes use of. `RFM_GEMM=onednn`
  /// chooses oneDNN everywhere.
  public static let packsBFloat16 =
    choice != "onednn" && rfm_bf16_multiplies() != 0 && rfm_has_matrix_tiles() == 0

  /// Name of the library that multiplies float32 matrices.
  public static var library: String { usesOpenBLAS ? "OpenBLAS" : "oneDNN" }

  /// "2.6.3".
  public static var oneDNNVersion: String { String(cString: rfm_onednn_version()) }
  public static var openBLASConfiguration: String { String(cString: rfm_openblas_configuration()) }

  /// Keeps the libraries to the calling thread. Every thread that multiplies calls it once.
  public static func prepareThread() {
    rfm_openblas_single_thread()
    rfm_onednn_single_thread()
  }

  /// c (m, n) = op(a)·op(b), or c += with `accumulate`, where op transposes if asked to.
  ///
  /// a is (m, k) after op, b (k, n) after op; leading dimensions in elements of the stored rows.
  /// With bfloat16 a and b are bfloat16 and c is too unless `floatResult`.
  @inline(__always)
  public static func multiply(
    _ precision: Precision, transposeA: Bool = false, transposeB: Bool = false, m: Int, n: Int,
    k: Int, a: UnsafeRawPointer, lda: Int, b: UnsafeRawPointer, ldb: Int, accumulate: Bool = false,
    c: UnsafeMutableRawPointer, ldc: Int, floatResult: Bool = false
  ) {
    let status: Int32
    switch precision {
    case .float32:
      let a = a.assumingMemoryBound(to: Float.self)
      let b = b.assumingMemoryBound(to: Float.self)
      let c = c.assumingMemoryBound(to: Float.self)
      if usesOpenBLAS {
        rfm_openblas_sgemm(
          transposeA ? 1 : 0, transposeB ? 1 : 0, Int64(m), Int64(n), Int64(k), a, Int64(lda), b,
          Int64(ldb), accumulate ? 1 : 0, c, Int64(ldc))
        status = 0
      } else {
        status = rfm_onednn_sgemm(
          transposeA ? 1 : 0, transposeB ? 1 : 0, Int64(m), Int64(n), Int64(k), a, Int64(lda), b,
          Int64(ldb), accumulate ? 1 : 0, c, Int64(ldc))
      }
    case .bfloat16:
      status = rfm_onednn_bgemm(
        transposeA ? 1 : 0, transposeB ? 1 : 0, Int64(m), Int64(n), Int64(k),
        a.assumingMemoryBound(to: UInt16.self), Int64(lda), b.assumingMemoryBound(to: UInt16.self),
        Int64(ldb), accumulate ? 1 : 0, c, floatResult ? 1 : 0, Int64(ldc))
    }
    precondition(
      status == 0, "oneDNN refused a \(precision) multiply of \(m)x\(k) by \(k)x\(n): \(status)")
  }
}

import CKernels
import COneDNN
import COpenBLAS
import Synchronization

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
/// distribution's OpenBLAS does. What else there is, and what is taken, tells ``MultiplyWays``.
public enum MatrixMultiply {
  private static let usesOpenBLAS = Atomic<Bool>(MultiplyWays.usual.float32 == .openblas)
  private static let bfloat16 = Mutex(MultiplyWays.usual.bfloat16)

  /// The ways that this process takes; the usual ones unless it was told otherwise.
  public static var ways: MultiplyWays {
    MultiplyWays(
      float32: usesOpenBLAS.load(ordering: .relaxed) ? .openblas : .onednn,
      bfloat16: bfloat16.withLock { $0 })
  }

  /// Takes these from now on. Programs that exist already multiply bfloat16 as they did.
  public static func use(_ ways: MultiplyWays) {
    precondition(MultiplyWays.possible(ways.bfloat16), "\(ways.bfloat16) on this processor")
    usesOpenBLAS.store(ways.float32 == .openblas, ordering: .relaxed)
    bfloat16.withLock { $0 = ways.bfloat16 }
  }

  /// Name of the library that multiplies float32 matrices.
  public static var library: String { ways.float32.name }

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
    switch precision {
    case .float32:
      multiply(
        by: usesOpenBLAS.load(ordering: .relaxed) ? .openblas : .onednn, transposeA: transposeA,
        transposeB: transposeB, m: m, n: n, k: k, a: a.assumingMemoryBound(to: Float.self),
        lda: lda, b: b.assumingMemoryBound(to: Float.self), ldb: ldb, accumulate: accumulate,
        c: c.assumingMemoryBound(to: Float.self), ldc: ldc)
    case .bfloat16:
      let status = rfm_onednn_bgemm(
        transposeA ? 1 : 0, transposeB ? 1 : 0, Int64(m), Int64(n), Int64(k),
        a.assumingMemoryBound(to: UInt16.self), Int64(lda), b.assumingMemoryBound(to: UInt16.self),
        Int64(ldb), accumulate ? 1 : 0, c, floatResult ? 1 : 0, Int64(ldc))
      requireMultiplied(status, precision, m, n, k)
    }
  }

  /// The same in float32, by a library that is named.
  @inline(__always)
  static func multiply(
    by library: MultiplyWays.Float32, transposeA: Bool = false, transposeB: Bool = false, m: Int,
    n: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: UnsafePointer<Float>, ldb: Int,
    accumulate: Bool = false, c: UnsafeMutablePointer<Float>, ldc: Int
  ) {
    switch library {
    case .openblas:
      rfm_openblas_sgemm(
        transposeA ? 1 : 0, transposeB ? 1 : 0, Int64(m), Int64(n), Int64(k), a, Int64(lda), b,
        Int64(ldb), accumulate ? 1 : 0, c, Int64(ldc))
    case .onednn:
      let status = rfm_onednn_sgemm(
        transposeA ? 1 : 0, transposeB ? 1 : 0, Int64(m), Int64(n), Int64(k), a, Int64(lda), b,
        Int64(ldb), accumulate ? 1 : 0, c, Int64(ldc))
      requireMultiplied(status, .float32, m, n, k)
    }
  }

  @inline(__always)
  private static func requireMultiplied(
    _ status: Int32, _ precision: Precision, _ m: Int, _ n: Int, _ k: Int
  ) {
    precondition(
      status == 0, "oneDNN refused a \(precision) multiply of \(m)x\(k) by \(k)x\(n): \(status)")
  }
}

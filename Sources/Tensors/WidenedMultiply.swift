import CKernels

/// Multiplies of matrices that are stored as bfloat16, in float32 arithmetic: for processors whose bfloat16
/// dot products are slow, or that have none. Rows are widened as they are multiplied, so many at a time as the
/// thread's memory holds; traffic and storage are those of bfloat16.
extension MatrixMultiply {
  /// c (m, n) = a·op(b) with a (m, k) and c in bfloat16 and b in float32: (k, n), or (n, k) with `transposeB`.
  public static func multiplyWidened(
    transposeB: Bool, m: Int, n: Int, k: Int, a: UnsafePointer<UInt16>, lda: Int,
    b: UnsafePointer<Float>, ldb: Int, c: UnsafeMutablePointer<UInt16>, ldc: Int
  ) {
    let rows = ThreadScratch.capacity / (k + n)
    precondition(rows > 0, "rows of \(k) and \(n) elements are too long")
    let wideA = ThreadScratch.floats
    let wideC = wideA + min(rows, m) * k
    for first in stride(from: 0, to: m, by: rows) {
      let count = min(rows, m - first)
      rfm_bf16_widen(a + first * lda, Int64(count), Int64(k), Int64(lda), wideA)
      multiply(
        .float32, transposeB: transposeB, m: count, n: n, k: k, a: wideA, lda: k, b: b, ldb: ldb,
        c: wideC, ldc: n)
      rfm_bf16_narrow(wideC, Int64(count), Int64(n), c + first * ldc, Int64(ldc))
    }
  }

  /// c (m, n) = aᵀ·b, or c += with `accumulate`, with a (k, m) and b (k, n) in bfloat16 and c in float32.
  public static func multiplyWidened(
    m: Int, n: Int, k: Int, a: UnsafePointer<UInt16>, lda: Int, b: UnsafePointer<UInt16>, ldb: Int,
    accumulate: Bool, c: UnsafeMutablePointer<Float>, ldc: Int
  ) {
    let rows = ThreadScratch.capacity / (m + n)
    precondition(rows > 0, "rows of \(m) and \(n) elements are too long")
    let wideA = ThreadScratch.floats
    let wideB = wideA + min(rows, k) * m
    for first in stride(from: 0, to: k, by: rows) {
      let count = min(rows, k - first)
      rfm_bf16_widen(a + first * lda, Int64(count), Int64(m), Int64(lda), wideA)
      rfm_bf16_widen(b + first * ldb, Int64(count), Int64(n), Int64(ldb), wideB)
      multiply(
        .float32, transposeA: true, m: m, n: n, k: count, a: wideA, lda: m, b: wideB, ldb: n,
        accumulate: accumulate || first > 0, c: c, ldc: ldc)
    }
  }
}

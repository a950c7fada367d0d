import CKernels
import COneDNN
import COpenBLAS
import Testing

@testable import Tensors

/// Operands are small whole numbers, so every product and sum is exact in float32 whatever the order
/// of the additions: results must be equal to the last bit. bfloat16 results are the exact ones
/// rounded once.
@Suite struct MatrixMultiplyTests {
  enum Library: String, CaseIterable, CustomTestStringConvertible {
    case oneDNN, openBLAS
    /// What the rest of the program calls.
    case chosen

    var testDescription: String { rawValue }

    func multiply(
      _ shape: Shape, _ a: [Float], _ lda: Int, _ b: [Float], _ ldb: Int, accumulate: Bool,
      _ c: inout [Float], _ ldc: Int
    ) {
      let (m, n, k) = (Int64(shape.m), Int64(shape.n), Int64(shape.k))
      let (ta, tb) = (Int32(shape.transposeA ? 1 : 0), Int32(shape.transposeB ? 1 : 0))
      switch self {
      case .oneDNN:
        let status = rfm_onednn_sgemm(
          ta, tb, m, n, k, a, Int64(lda), b, Int64(ldb), accumulate ? 1 : 0, &c, Int64(ldc))
        #expect(status == 0)
      case .openBLAS:
        rfm_openblas_sgemm(
          ta, tb, m, n, k, a, Int64(lda), b, Int64(ldb), accumulate ? 1 : 0, &c, Int64(ldc))
      case .chosen:
        MatrixMultiply.multiply(
          .float32, transposeA: shape.transposeA, transposeB: shape.transposeB, m: shape.m,
          n: shape.n, k: shape.k, a: a, lda: lda, b: b, ldb: ldb, accumulate: accumulate, c: &c,
          ldc: ldc)
      }
    }
  }

  struct Shape {
    let m: Int
    let n: Int
    let k: Int
    var transposeA = false
    var transposeB = false

    /// Of the stored matrices, rows and columns.
    var a: (rows: Int, columns: Int) { transposeA ? (k, m) : (m, k) }
    var b: (rows: Int, columns: Int) { transposeB ? (n, k) : (k, n) }

    static let all: [Shape] = [
      (1, 1, 1), (1, 7, 3), (5, 3, 7), (16, 16, 16), (49, 32, 27), (64, 33, 17), (31, 160, 200),
      (218, 64, 128), (728, 9, 49),
    ].flatMap { m, n, k in
      [(false, false), (true, false), (false, true), (true, true)].map {
        Shape(m: m, n: n, k: k, transposeA: $0.0, transposeB: $0.1)
      }
    }
  }

  /// Whole numbers within ±`limit`.
  private static func whole(_ count: Int, limit: Int, seed: UInt64) -> [Float] {
    var generator = CounterGenerator(seed: seed, purpose: .synthesis)
    return (0..<count).map { _ in Float(generator.below(2 * limit + 1) - limit) }
  }

  private static func naive(
    _ shape: Shape, _ a: [Float], _ lda: Int, _ b: [Float], _ ldb: Int, accumulate: Bool,
    _ c: [Float], _ ldc: Int
  ) -> [Float] {
    var result = c
    for i in 0..<shape.m {
      for j in 0..<shape.n {
        var sum: Float = accumulate ? c[i * ldc + j] : 0
        for p in 0..<shape.k {
          let left = shape.transposeA ? a[p * lda + i] : a[i * lda + p]
          let right = shape.transposeB ? b[j * ldb + p] : b[p * ldb + j]
          sum += left * right
        }
        result[i * ldc + j] = sum
      }
    }
    return result
  }

  /// Tight, and with rows further apart than they are long; what lies between stays untouched.
  @Test(arguments: Library.allCases, [0, 5])
  func float32EqualsTheNaiveProduct(library: Library, gap: Int) {
    MatrixMultiply.prepareThread()
    for (index, shape) in Shape.all.enumerated() {
      for accumulate in [false, true] {
        let (lda, ldb, ldc) = (shape.a.columns + gap, shape.b.columns + gap, shape.n + gap)
        let a = Self.whole(shape.a.rows * lda, limit: 6, seed: UInt64(3 * index))
        let b = Self.whole(shape.b.rows * ldb, limit: 6, seed: UInt64(3 * index + 1))
        var c = Self.whole(shape.m * ldc, limit: 50, seed: UInt64(3 * index + 2))
        let expected = Self.naive(shape, a, lda, b, ldb, accumulate: accumulate, c, ldc)
        library.multiply(shape, a, lda, b, ldb, accumulate: accumulate, &c, ldc)
        #expect(c == expected, "\(shape), accumulate \(accumulate)")
      }
    }
  }

  /// A result that is not accumulated does not depend on what was there, be it not a number.
  @Test(arguments: Library.allCases)
  func oldContentsDoNotReachTheResult(library: Library) {
    MatrixMultiply.prepareThread()
    let shape = Shape(m: 20, n: 18, k: 30)
    let a = Self.whole(600, limit: 6, seed: 1)
    let b = Self.whole(540, limit: 6, seed: 2)
    var c = [Float](repeating: .nan, count: 360)
    library.multiply(shape, a, 30, b, 18, accumulate: false, &c, 18)
    #expect(
      c
        == Self.naive(
          shape, a, 30, b, 18, accumulate: false, [Float](repeating: 0, count: 360), 18))
  }

  /// To nearest, ties to even.
  private static func bfloat16(_ value: Float) -> UInt16 {
    if value == 0 { return UInt16(value.bitPattern >> 16) }
    let step = value.ulp * 65536
    return UInt16(((value / step).rounded(.toNearestOrEven) * step).bitPattern >> 16)
  }

  private static func float(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

  private static let lacksBFloat16: Comment =
    "this processor has no bfloat16 instructions: multiplies in bfloat16 are not tested here"

  @Test(.enabled(if: rfm_has_bfloat16() != 0, lacksBFloat16), arguments: [0, 6], [false, true])
  func bfloat16EqualsTheRoundedProduct(gap: Int, floatResult: Bool) {
    MatrixMultiply.prepareThread()
    for (index, shape) in Shape.all.enumerated() {
      for accumulate in [false, true] {
        let (lda, ldb, ldc) = (shape.a.columns + gap, shape.b.columns + gap, shape.n + gap)
        let a = Self.whole(shape.a.rows * lda, limit: 6, seed: UInt64(3 * index))
        let b = Self.whole(shape.b.rows * ldb, limit: 6, seed: UInt64(3 * index + 1))
        let c = Self.whole(shape.m * ldc, limit: 50, seed: UInt64(3 * index + 2))
        let exact = Self.naive(shape, a, lda, b, ldb, accumulate: accumulate, c, ldc)
        let result = Self.multiply(
          shape, a, lda, b, ldb, accumulate: accumulate, c, ldc, floatResult: floatResult)
        let expected = floatResult ? exact : exact.map { Self.float(Self.bfloat16($0)) }
        #expect(result == expected, "\(shape), accumulate \(accumulate)")
      }
    }
  }

  private static func multiply(
    _ shape: Shape, _ a: [Float], _ lda: Int, _ b: [Float], _ ldb: Int, accumulate: Bool,
    _ c: [Float], _ ldc: Int, floatResult: Bool
  ) -> [Float] {
    let a = a.map(bfloat16)
    let b = b.map(bfloat16)
    func call(_ c: UnsafeMutableRawPointer) {
      MatrixMultiply.multiply(
        .bfloat16, transposeA: shape.transposeA, transposeB: shape.transposeB, m: shape.m,
        n: shape.n, k: shape.k, a: a, lda: lda, b: b, ldb: ldb, accumulate: accumulate, c: c,
        ldc: ldc, floatResult: floatResult)
    }
    if floatResult {
      var result = c
      call(&result)
      return result
    }
    var result = c.map(bfloat16)
    call(&result)
    return result.map(float)
  }

  /// In float32 arithmetic: the exact result, rounded once where it is bfloat16. A thread's memory holds some
  /// rows of the last shapes at a time.
  @Test(arguments: [0, 6])
  func widenedEqualsTheRoundedProduct(gap: Int) {
    MatrixMultiply.prepareThread()
    let long = ThreadScratch.capacity / 3
    let shapes =
      Shape.all.filter { !$0.transposeA }
      + [false, true].map { Shape(m: 7, n: 3, k: long, transposeB: $0) }
    for (index, shape) in shapes.enumerated() {
      let (lda, ldb, ldc) = (shape.a.columns + gap, shape.b.columns + gap, shape.n + gap)
      let a = Self.whole(shape.a.rows * lda, limit: 2, seed: UInt64(3 * index))
      let b = Self.whole(shape.b.rows * ldb, limit: 2, seed: UInt64(3 * index + 1))
      let c = Self.whole(shape.m * ldc, limit: 50, seed: UInt64(3 * index + 2))
      let exact = Self.naive(shape, a, lda, b, ldb, accumulate: false, c, ldc)
      var result = c.map(Self.bfloat16)
      MatrixMultiply.multiplyWidened(
        transposeB: shape.transposeB, m: shape.m, n: shape.n, k: shape.k,
        a: a.map(Self.bfloat16), lda: lda, b: b, ldb: ldb, c: &result, ldc: ldc)
      #expect(result.map(Self.float) == exact.map { Self.float(Self.bfloat16($0)) }, "\(shape)")
    }
  }

  @Test(arguments: [0, 6], [false, true])
  func widenedWeightGradientsEqualTheProduct(gap: Int, accumulate: Bool) {
    MatrixMultiply.prepareThread()
    let tall = Shape(m: 5, n: 3, k: ThreadScratch.capacity / 8 + 11, transposeA: true)
    let shapes = Shape.all.filter { $0.transposeA && !$0.transposeB } + [tall]
    for (index, shape) in shapes.enumerated() {
      let (lda, ldb, ldc) = (shape.a.columns + gap, shape.b.columns + gap, shape.n + gap)
      let a = Self.whole(shape.a.rows * lda, limit: 2, seed: UInt64(3 * index))
      let b = Self.whole(shape.b.rows * ldb, limit: 2, seed: UInt64(3 * index + 1))
      var c = Self.whole(shape.m * ldc, limit: 50, seed: UInt64(3 * index + 2))
      let exact = Self.naive(shape, a, lda, b, ldb, accumulate: accumulate, c, ldc)
      MatrixMultiply.multiplyWidened(
        m: shape.m, n: shape.n, k: shape.k, a: a.map(Self.bfloat16), lda: lda,
        b: b.map(Self.bfloat16), ldb: ldb, accumulate: accumulate, c: &c, ldc: ldc)
      #expect(c == exact, "\(shape)")
    }
  }

  @Test func ratesAreMeasuredOfWhatTheProcessorCan() {
    let rates = MultiplyWays.rates(WorkerPool(threads: 2))
    #expect(rates.float32.map(\.way) == MultiplyWays.Float32.allCases)
    #expect(rates.float32.allSatisfy { $0.rate > 0 })
    #expect(
      rates.bfloat16.map(\.way) == MultiplyWays.BFloat16.allCases.filter(MultiplyWays.possible))
    #expect(rates.bfloat16.allSatisfy { $0.rate > 0 })
    let best = rates.bfloat16.map(\.rate).max()
    #expect(rates.bfloat16.first { $0.way == rates.fastestBFloat16() }?.rate == best)
    #expect(rates.fastestBFloat16 { $0 == .widened } == .widened)
    #expect(MultiplyWays.rates(WorkerPool(threads: 1), withBFloat16: false).bfloat16.isEmpty)
  }

  @Test(arguments: [(100.0, 104.0, "onednn"), (100, 106, "openblas"), (106, 100, "onednn")])
  func anotherLibraryIsTakenOnlyWhereItIsFasterByMoreThanNoise(
    onednn: Double, openblas: Double, taken: String
  ) {
    let rates = MultiplyWays.Rates(
      float32: [(.onednn, onednn), (.openblas, openblas)], bfloat16: [])
    #expect(rates.fastestFloat32.rawValue == taken)
  }

  /// A shape's kernel is made by the thread that multiplies: each makes its own, all the same.
  @Test(.enabled(if: rfm_has_bfloat16() != 0, lacksBFloat16))
  func bfloat16MultipliesOnEveryWorker() {
    let shape = Shape(m: 50, n: 48, k: 96, transposeB: true)
    let a = Self.whole(shape.m * shape.k, limit: 6, seed: 1)
    let b = Self.whole(shape.n * shape.k, limit: 6, seed: 2)
    let zeros = [Float](repeating: 0, count: shape.m * shape.n)
    let expected = Self.naive(shape, a, 96, b, 96, accumulate: false, zeros, 48)
    let pool = WorkerPool(threads: 3)
    let memory = AlignedMemory(size: 12 * zeros.count * 4)
    pool.run(12) { task, _ in
      let result = Self.multiply(
        shape, a, 96, b, 96, accumulate: false, zeros, 48, floatResult: true)
      for (i, value) in result.enumerated() { memory.floats()[task * zeros.count + i] = value }
    }
    for task in 0..<12 {
      let part = Array(
        UnsafeBufferPointer(start: memory.floats() + task * zeros.count, count: zeros.count))
      #expect(part == expected)
    }
  }

  @Test func librariesSayWhatTheyAre() {
    #expect(MatrixMultiply.oneDNNVersion.split(separator: ".").count == 3)
    #expect(MatrixMultiply.openBLASConfiguration.contains("OpenBLAS"))
    #expect(["oneDNN", "OpenBLAS"].contains(MatrixMultiply.library))
  }
}

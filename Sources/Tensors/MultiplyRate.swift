import CKernels

/// What a processor does of the multiplies that a network's middle consists of, and nothing else.
public enum MultiplyRate {
  // A tile of the middle flow of Xception, and what a slice of output channels multiplies at the end of a layer.
  private static let rows = 196
  private static let channels = 728
  private static let stride = 736
  private static let slice = (outputs: 128, rows: 8 * rows)

  /// A precision, and how it is multiplied.
  enum Kind {
    case float32(MultiplyWays.Float32)
    case bfloat16(MultiplyWays.BFloat16)
  }

  /// Floating-point operations a second on all workers, in the way that this process takes.
  public static func measure(_ precision: Precision, _ workers: WorkerPool) -> Double {
    let ways = MatrixMultiply.ways
    return measure(
      precision == .float32 ? .float32(ways.float32) : .bfloat16(ways.bfloat16), workers)
  }

  /// Floating-point operations a second on all workers: forward, input gradient and weight gradient, in equal
  /// parts; the median of `rounds`.
  ///
  /// - Parameters:
  ///   - repeats: multiplies of each kind in a round.
  ///   - known: what ``memories(_:)`` has made; nil: made anew.
  static func measure(
    _ kind: Kind, _ workers: WorkerPool, repeats: Int = 12, rounds: Int = 7,
    in known: [Operands]? = nil
  ) -> Double {
    let memories = known ?? memories(workers)
    var rates: [Double] = []
    for _ in 0..<rounds {
      let start = ContinuousClock.now
      workers.run(workers.count) { task, _ in
        let memory = memories[task]
        for _ in 0..<repeats {
          multiply(kind, memory.a.address, memory.b.address, memory.c.address)
        }
      }
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      let work =
        2.0 * Double(channels) * Double(2 * rows * channels + slice.outputs * slice.rows)
        * Double(repeats * workers.count)
      rates.append(work / seconds)
    }
    return rates.sorted()[rounds / 2]
  }

  /// What a worker multiplies.
  struct Operands: Sendable {
    let a: AlignedMemory
    let b: AlignedMemory
    let c: AlignedMemory
  }

  /// For every worker its own, filled by it: memory lies near the processor that first writes it.
  static func memories(_ workers: WorkerPool) -> [Operands] {
    let size = slice.rows * stride * 4
    let memories = (0..<workers.count).map { _ in
      Operands(
        a: AlignedMemory(size: size), b: AlignedMemory(size: size), c: AlignedMemory(size: size))
    }
    workers.run(workers.count) { task, _ in
      for memory in [memories[task].a, memories[task].b, memories[task].c] {
        // Small numbers of both signs, in either precision.
        for i in 0..<memory.size / 4 { memory.floats()[i] = Float(i % 13) * 0.125 - 0.75 }
      }
    }
    return memories
  }

  private static func multiply(
    _ kind: Kind, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer,
    _ c: UnsafeMutableRawPointer
  ) {
    let (x, y) = (a.assumingMemoryBound(to: UInt16.self), b.assumingMemoryBound(to: UInt16.self))
    let (floatX, floatY) = (
      a.assumingMemoryBound(to: Float.self), b.assumingMemoryBound(to: Float.self)
    )
    let result = c.assumingMemoryBound(to: UInt16.self)
    let sums = c.assumingMemoryBound(to: Float.self)
    switch kind {
    case .float32(let library):
      for transposeB in [true, false] {
        MatrixMultiply.multiply(
          by: library, transposeB: transposeB, m: rows, n: channels, k: channels, a: floatX,
          lda: stride, b: floatY, ldb: channels, c: sums, ldc: stride)
      }
      MatrixMultiply.multiply(
        by: library, transposeA: true, m: slice.outputs, n: channels, k: slice.rows, a: floatX,
        lda: stride, b: floatY, ldb: stride, c: sums, ldc: channels)
    case .bfloat16(.onednn):
      for transposeB in [true, false] {
        MatrixMultiply.multiply(
          .bfloat16, transposeB: transposeB, m: rows, n: channels, k: channels, a: a, lda: stride,
          b: b, ldb: channels, c: c, ldc: stride)
      }
      MatrixMultiply.multiply(
        .bfloat16, transposeA: true, m: slice.outputs, n: channels, k: slice.rows, a: a,
        lda: stride, b: b, ldb: stride, c: c, ldc: channels, floatResult: true)
    case .bfloat16(.widened):
      for transposeB in [true, false] {
        MatrixMultiply.multiplyWidened(
          transposeB: transposeB, m: rows, n: channels, k: channels, a: x, lda: stride, b: floatY,
          ldb: channels, c: result, ldc: stride)
      }
      MatrixMultiply.multiplyWidened(
        m: slice.outputs, n: channels, k: slice.rows, a: x, lda: stride, b: y, ldb: stride,
        accumulate: false, c: sums, ldc: channels)
    case .bfloat16(.packed):
      // As if they were packed: what they hold does not matter.
      for _ in 0..<2 {
        rfm_bf16_multiply(
          Int64(rows), Int64(channels), Int64(channels / 2), x, Int64(stride), y, c, Int64(stride),
          Int32(RFM_BF16_STORE))
      }
      rfm_bf16_multiply_blocks(
        Int64(slice.outputs), Int64(channels), Int64(slice.rows / 2), x, y, c, Int64(channels),
        Int32(RFM_BF16_STORE_FLOAT))
    }
  }
}

import Tensors

/// The norm of the gradients of all weights that are trained, and clipping by it, as PyTorch's
/// `clip_grad_norm_` (Pascanu, Mikolov and Bengio 2013).
final class GradientNorm {
  private let groups: [WeightGroup]
  private let gradients: UnsafeMutableBufferPointer<Float>
  private let workers: WorkerPool
  /// Sums of squares, of each task.
  private let squares: UnsafeMutableBufferPointer<Double>
  /// Made once, so that a step allocates nothing.
  private var squareChunk: (Int, Int) -> Void = { _, _ in }
  private static let chunk = 1 << 16

  init(
    of gradients: UnsafeMutableBufferPointer<Float>, _ groups: [WeightGroup], workers: WorkerPool
  ) {
    self.groups = groups
    self.gradients = gradients
    self.workers = workers
    squares = .allocate(capacity: (gradients.count + Self.chunk - 1) / Self.chunk)
    squares.initialize(repeating: 0)
    squareChunk = { [unowned self] task, _ in
      let chunk = task * Self.chunk..<min(gradients.count, (task + 1) * Self.chunk)
      squares[task] = 0
      for group in groups where group.rate > 0 {
        let part = group.range.clamped(to: chunk)
        squares[task] += Self.sumOfSquares(UnsafeBufferPointer(rebasing: gradients[part]))
      }
    }
  }

  deinit { squares.deallocate() }

  /// Their norm as they are now. Parts are added up in double, in an order that no number of threads or
  /// ranks changes.
  func measure() -> Double {
    workers.run(squares.count, squareChunk)
    return squares.reduce(0, +).squareRoot()
  }

  /// What gradients of a norm are multiplied by, so that it is at most `limit`.
  static func factor(norm: Double, limit: Double) -> Double {
    // PyTorch's 1e-6 keeps the division from one by nothing.
    min(1, limit / (norm + 1e-6))
  }

  private static func sumOfSquares(_ values: UnsafeBufferPointer<Float>) -> Double {
    var lanes = SIMD8<Double>()
    let whole = values.count / 8 * 8
    for i in stride(from: 0, to: whole, by: 8) {
      var value = SIMD8<Float>()
      for lane in 0..<8 { value[lane] = values[i + lane] }
      let wide = SIMD8<Double>(value)
      lanes += wide * wide
    }
    var sum = lanes.sum()
    for value in values[whole...] { sum += Double(value) * Double(value) }
    return sum
  }
}

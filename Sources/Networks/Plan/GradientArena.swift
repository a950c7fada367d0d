import CKernels
import Tensors

/// Where a backward pass adds up the gradients: the detector's float32 arena, or double precision
/// beside it.
///
/// The order in which contributions are added differs with the number of ranks, and so does the
/// rounding of a float32 sum. ReLU and max pooling turn such differences into other attention maps
/// and other erased blocks within a few steps. Summed in double and rounded once, the gradients of a
/// global batch are the same float32 numbers on any number of ranks.
final class GradientArena: @unchecked Sendable {
  private let narrow: UnsafeMutableBufferPointer<Float>
  private let wide: UnsafeMutablePointer<Double>?
  private let memory: AlignedMemory?

  init(_ detector: Detector, inDouble: Bool) {
    narrow = detector.gradients
    memory = inDouble ? AlignedMemory(size: detector.gradients.count * 8) : nil
    wide = memory?.doubles()
  }

  var isWide: Bool { wide != nil }

  /// Zeroes part of the arena.
  func clear(_ range: Range<Int>) {
    if let wide {
      (wide + range.lowerBound).update(repeating: 0, count: range.count)
    } else {
      (narrow.baseAddress! + range.lowerBound).update(repeating: 0, count: range.count)
    }
  }

  @inline(__always)
  func add(_ value: Double, at index: Int) {
    if let wide { wide[index] += value } else { narrow[index] += Float(value) }
  }

  /// Adds `count` values at `index`.
  func add(_ values: UnsafePointer<Float>, count: Int, at index: Int) {
    if let wide {
      rfm_accumulate_double(wide + index, values, count)
    } else {
      rfm_accumulate(narrow.baseAddress! + index, values, count)
    }
  }

  /// Adds `count` values times a factor at `index`.
  func add(_ values: UnsafePointer<Float>, times factor: Float, count: Int, at index: Int) {
    if let wide {
      for i in 0..<count { wide[index + i] += Double(factor) * Double(values[i]) }
    } else {
      let sums = narrow.baseAddress! + index
      for i in 0..<count { sums[i] += factor * values[i] }
    }
  }

  /// Whether every element of `range` is finite.
  func isFinite(_ range: Range<Int>) -> Bool {
    if let wide { return rfm_all_finite_double(wide + range.lowerBound, range.count) != 0 }
    return rfm_all_finite(narrow.baseAddress! + range.lowerBound, range.count) != 0
  }

  /// Sums the double arena over ranks and rounds it into the detector's.
  func finish(_ reduction: StatisticsReduction) throws {
    guard let wide else { return }
    try reduction.sum(UnsafeMutableBufferPointer(start: wide, count: narrow.count))
    for i in narrow.indices { narrow[i] = Float(wide[i]) }
  }
}

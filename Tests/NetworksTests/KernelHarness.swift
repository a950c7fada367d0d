import CKernels
import Testing

@testable import Tensors

/// One set of kernels: an instruction set and an element type.
struct KernelPath: Sendable, CustomTestStringConvertible {
  let name: String
  let precision: Precision
  let table: rfm_kernel_table
  let layers: rfm_layer_kernels

  var testDescription: String { "\(name) \(precision.rawValue)" }

  /// Nil if this processor doesn't run them.
  init?(_ name: String, _ precision: Precision) {
    guard let found = rfm_kernels_named(name) else { return nil }
    self.name = name
    self.precision = precision
    table = precision == .float32 ? found.pointee.f32.pointee : found.pointee.bf16.pointee
    layers =
      precision == .float32 ? found.pointee.f32_layers.pointee : found.pointee.bf16_layers.pointee
  }

  static func runs(_ name: String) -> Bool { rfm_kernels_named(name) != nil }

  /// Those that this processor runs.
  static let runnable: [KernelPath] = names.flatMap { name in
    Precision.allCases.compactMap { KernelPath(name, $0) }
  }

  /// All that there are, of any processor; the last is the reference.
  static let names = [
    "avx512bf16", "avx512", "avx2", "neonbf16", "neon", "generic", "plain",
  ]

  /// What a kernel stores of an exact value: bfloat16 rounds to nearest, ties to even.
  func stored(_ value: Double) -> Float {
    let value = Float(value)
    return precision == .float32 ? value : bfloat16Rounded(value)
  }
}

/// By dividing by the step between bfloat16 values, independently of the kernels' bit arithmetic.
func bfloat16Rounded(_ value: Float) -> Float {
  guard value.isFinite, value != 0 else { return value }
  let step = value.ulp * 65536
  return (value / step).rounded(.toNearestOrEven) * step
}

/// An array as kernels see it, float32 or bfloat16, with NaN before and behind: what is read out of
/// bounds shows in the result, what is written there shows in `guardsAreWhole`.
final class Elements: @unchecked Sendable {
  let precision: Precision
  let count: Int
  private let memory: AlignedMemory
  private static let guardCount = 2048

  init(_ values: [Float], _ precision: Precision = .float32) {
    self.precision = precision
    count = values.count
    memory = AlignedMemory(size: (count + 2 * Self.guardCount) * precision.size)
    for i in 0..<count + 2 * Self.guardCount { set(i, .nan) }
    for (i, value) in values.enumerated() { set(Self.guardCount + i, value) }
  }

  /// NaN, so that an element that is not written shows.
  convenience init(count: Int, _ precision: Precision = .float32) {
    self.init([Float](repeating: .nan, count: count), precision)
  }

  private func set(_ i: Int, _ value: Float) {
    if precision == .float32 {
      memory.floats()[i] = value
    } else {
      let bits = bfloat16Rounded(value).bitPattern >> 16
      memory.address.storeBytes(of: UInt16(bits), toByteOffset: 2 * i, as: UInt16.self)
    }
  }

  private func element(_ i: Int) -> Float {
    if precision == .float32 { return memory.floats()[i] }
    let bits = memory.address.load(fromByteOffset: 2 * i, as: UInt16.self)
    return Float(bitPattern: UInt32(bits) << 16)
  }

  var address: UnsafeMutableRawPointer { memory.address + Self.guardCount * precision.size }

  /// Float32 only.
  var floats: UnsafeMutablePointer<Float> {
    precondition(precision == .float32, "these elements are \(precision)")
    return address.assumingMemoryBound(to: Float.self)
  }

  subscript(i: Int) -> Float { element(Self.guardCount + i) }

  var values: [Float] { (0..<count).map { self[$0] } }

  var guardsAreWhole: Bool {
    (0..<Self.guardCount).allSatisfy {
      element($0).isNaN && element(Self.guardCount + count + $0).isNaN
    }
  }
}

/// Fixed draws.
struct Draws {
  private var generator: CounterGenerator

  init(_ seed: UInt64) { generator = CounterGenerator(seed: seed, purpose: .synthesis) }

  /// Multiples of 1/8 within ±2, zero and equal values among them: sums of their products are exact
  /// in float32 in any order and with or without fused multiply-adds, and the values themselves in
  /// bfloat16. So a kernel must give the reference to the last bit, and masks and winners too.
  mutating func dyadic(_ count: Int, denominator: Int = 8, limit: Int = 16) -> [Float] {
    (0..<count).map { _ in Float(generator.below(2 * limit + 1) - limit) / Float(denominator) }
  }

  /// Any values within ±limit.
  mutating func rough(_ count: Int, limit: Float = 2) -> [Float] {
    (0..<count).map { _ in limit * (2 * generator.uniform() - 1) }
  }

  mutating func normal(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(generator.normal()) }
  }

  mutating func below(_ n: Int) -> Int { generator.below(n) }
}

/// A lazily normalised map of one image, (height, width, ld).
final class NormalisedMap: @unchecked Sendable {
  let data: Elements
  let scale: Elements
  let shift: Elements
  let rectified: Bool
  let height: Int
  let width: Int
  let ld: Int

  init(
    _ path: KernelPath, height: Int, width: Int, ld: Int, rectified: Bool, exact: Bool = true,
    _ draws: inout Draws
  ) {
    self.height = height
    self.width = width
    self.ld = ld
    self.rectified = rectified
    let count = height * width * ld
    data = Elements(exact ? draws.dyadic(count) : draws.rough(count), path.precision)
    scale = Elements(exact ? draws.dyadic(ld, denominator: 4, limit: 6) : draws.rough(ld))
    shift = Elements(exact ? draws.dyadic(ld, denominator: 8, limit: 12) : draws.rough(ld))
  }

  var pixels: Int { height * width }

  var activation: rfm_activation {
    rfm_activation(
      data: data.address, scale: scale.floats, shift: shift.floats,
      floor: rectified ? 0 : -.infinity, ld: Int32(ld))
  }

  func y(_ r: Int, _ x: Int, _ c: Int) -> Double { Double(data[(r * width + x) * ld + c]) }

  /// Normalised, before the ReLU.
  func z(_ r: Int, _ x: Int, _ c: Int) -> Double {
    Double(scale[c]) * y(r, x, c) + Double(shift[c])
  }

  func a(_ r: Int, _ x: Int, _ c: Int) -> Double { rectified ? max(z(r, x, c), 0) : z(r, x, c) }

  /// The ReLU lets the gradient through.
  func passes(_ r: Int, _ x: Int, _ c: Int) -> Bool { !rectified || z(r, x, c) > 0 }

  /// As `a`, zero outside of the map.
  func padded(_ r: Int, _ x: Int, _ c: Int) -> Double {
    r < 0 || r >= height || x < 0 || x >= width ? 0 : a(r, x, c)
  }
}

/// Every value equals what the path stores of the exact one; names the first that doesn't.
func expectEqual(
  _ values: [Float], _ exact: [Double], _ path: KernelPath, _ what: @autoclosure () -> String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard values.count == exact.count else {
    Issue.record(
      "\(what()): \(values.count) values for \(exact.count)", sourceLocation: sourceLocation)
    return
  }
  for (i, (value, reference)) in zip(values, exact).enumerated() {
    let stored = path.stored(reference)
    // Not written is NaN on both sides.
    if value == stored || (value.isNaN && stored.isNaN) { continue }
    Issue.record(
      "\(what()): value \(i) is \(value), expected \(stored)", sourceLocation: sourceLocation)
    return
  }
}

/// The same for numbers that are never stored as elements: sums, weight gradients.
func expectEqual(
  _ values: [Double], _ exact: [Double], _ what: @autoclosure () -> String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  for (i, (value, reference)) in zip(values, exact).enumerated() where value != reference {
    Issue.record(
      "\(what()): value \(i) is \(value), expected \(reference)", sourceLocation: sourceLocation)
    return
  }
}

/// Relative L2 distance.
func relativeDistance(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Double {
  var difference = 0.0
  var norm = 0.0
  for (x, y) in zip(a, b) {
    difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
    norm += Double(y) * Double(y)
  }
  return norm == 0 ? difference.squareRoot() : (difference / norm).squareRoot()
}

/// Heights and widths from one pixel on, odd and even.
let kernelMaps = [(1, 1), (1, 6), (2, 3), (5, 1), (3, 3), (5, 7), (8, 4), (9, 9)]

/// All rows, and the bands that tiles cut them into.
func rowRanges(_ height: Int) -> [(Int, Int)] {
  var ranges = [(0, height)]
  if height > 1 { ranges += [(0, height / 2), (height / 2, height)] }
  if height > 2 { ranges += [(1, height - 1), (1, 2)] }
  return ranges
}

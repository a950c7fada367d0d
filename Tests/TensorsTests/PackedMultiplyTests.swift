import CKernels
import Testing

/// Multiplies of packed bfloat16 operands. The factors are whole numbers of at most 8 bits and their
/// sums stay below 2²⁴, so float32 holds every sum exactly, in any order of the additions: results
/// must be equal to the last bit.
@Suite(
  .enabled(
    if: rfm_bf16_multiplies() != 0,
    "this processor has no bfloat16 instructions: packed multiplies are not tested here"))
struct PackedMultiplyTests {
  /// Odd and even sums, lone vectors, every number of rows, panels of one, two and three vectors.
  private static let shapes: [(m: Int, n: Int, k: Int)] =
    [(1, 1, 1), (8, 48, 2), (9, 49, 3), (7, 16, 5), (13, 64, 17), (24, 112, 96), (6, 80, 31)]
    + (1...8).map { (8 + $0, 15 + 16 * ($0 % 5), 33) } + [(40, 104, 70)]

  private static func whole(_ count: Int, seed: Int) -> [Float] {
    var state = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 | 1)
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(Int(state >> 16) % 13 - 6)
    }
  }

  /// Exact for whole numbers of up to 8 bits.
  private static func elements(_ values: [Float]) -> [UInt16] {
    values.map { UInt16($0.bitPattern >> 16) }
  }

  /// To nearest, ties to even, for whole numbers.
  private static func rounded(_ value: Float) -> Float {
    guard value != 0 else { return 0 }
    let step = value.ulp * 65536
    return (value / step).rounded(.toNearestOrEven) * step
  }

  /// a (m, k) by rows, b (k, n) by rows.
  private static func product(_ a: [Float], _ b: [Float], _ m: Int, _ n: Int, _ k: Int) -> [Float] {
    var c = [Float](repeating: 0, count: m * n)
    for i in 0..<m {
      for p in 0..<k {
        for j in 0..<n { c[i * n + j] += a[i * k + p] * b[p * n + j] }
      }
    }
    return c
  }

  private static func padded(_ channels: Int) -> Int { (channels + 15) / 16 * 16 }

  /// Rows of `columns`, `stride` apart, zero between.
  private static func spread(_ values: [Float], _ columns: Int, _ stride: Int) -> [Float] {
    let rows = values.count / columns
    var out = [Float](repeating: 0, count: rows * stride)
    for r in 0..<rows {
      for c in 0..<columns { out[r * stride + c] = values[r * columns + c] }
    }
    return out
  }

  private static func transposed(_ values: [Float], _ rows: Int, _ columns: Int) -> [Float] {
    (0..<rows * columns).map { values[$0 % rows * columns + $0 / rows] }
  }

  /// All panels, packed in two goes.
  private static func packed(
    _ pairs: Int, _ columns: Int,
    _ pack: (_ first: Int64, _ last: Int64, _ panels: UnsafeMutablePointer<UInt16>) -> Void
  ) -> [UInt16] {
    // NaN where nothing was written.
    var panels = [UInt16](
      repeating: 0x7fc0, count: rfm_bf16_packed_size(Int64(pairs), Int64(columns)))
    let count = rfm_bf16_panel_count(Int64(columns))
    pack(count / 2, count, &panels)
    pack(0, count / 2, &panels)
    return panels
  }

  @Test func forwardIsTheRoundedProduct() {
    for (index, (m, n, k)) in Self.shapes.enumerated() {
      let a = Self.whole(m * k, seed: 2 * index)
      let w = Self.whole(n * k, seed: 2 * index + 1)
      let pairs = (k + 1) / 2
      let panels = Self.packed(pairs, n) {
        rfm_bf16_pack_transposed(w, Int64(n), Int64(k), $0, $1, $2)
      }
      expectRounded(a, panels, Self.product(a, Self.transposed(w, n, k), m, n, k), m, n, k)
    }
  }

  @Test func inputGradientIsTheRoundedProduct() {
    for (index, (m, n, k)) in Self.shapes.enumerated() {
      let a = Self.whole(m * k, seed: 3 * index)
      let w = Self.whole(k * n, seed: 3 * index + 1)
      let panels = Self.packed((k + 1) / 2, n) {
        rfm_bf16_pack(w, Int64(k), Int64(n), $0, $1, $2)
      }
      expectRounded(a, panels, Self.product(a, w, m, n, k), m, n, k)
    }
  }

  /// Whole pixels of 16, and columns beyond n left alone.
  private func expectRounded(
    _ a: [Float], _ panels: [UInt16], _ product: [Float], _ m: Int, _ n: Int, _ k: Int
  ) {
    let stride = Self.padded(k)
    let outStride = Self.padded(n) + 16
    var c = [UInt16](repeating: 0x4240, count: m * outStride)
    rfm_bf16_multiply(
      Int64(m), Int64(n), Int64((k + 1) / 2), Self.elements(Self.spread(a, k, stride)),
      Int64(stride), panels, &c, Int64(outStride), Int32(RFM_BF16_STORE))
    for i in 0..<m {
      for j in 0..<outStride {
        let bits = c[i * outStride + j]
        if j >= n {
          #expect(bits == 0x4240, "\(m)x\(n)x\(k): column \(j) was written")
        } else if Float(bitPattern: UInt32(bits) << 16) != Self.rounded(product[i * n + j]) {
          Issue.record("\(m)x\(n)x\(k): (\(i), \(j))")
          return
        }
      }
    }
  }

  /// dW = dyᵀ·x over the pixels of two tiles, packed one after the other.
  @Test func weightGradientIsTheExactProduct() {
    for (index, (outputs, inputs, pixels)) in Self.shapes.enumerated() {
      let first = pixels / 2
      let dy = Self.whole(pixels * outputs, seed: 5 * index)
      let x = Self.whole(pixels * inputs, seed: 5 * index + 2)
      let outStride = Self.padded(outputs)
      let inStride = Self.padded(inputs)
      let allGradients = Self.elements(Self.spread(dy, outputs, outStride))
      let allOperands = Self.elements(Self.spread(x, inputs, inStride))
      let pairs = (first + 1) / 2 + (pixels - first + 1) / 2
      var blocks = [UInt16](
        repeating: 0x7fc0, count: rfm_bf16_packed_size(Int64(pairs), Int64(outputs)))
      var panels = [UInt16](
        repeating: 0x7fc0, count: rfm_bf16_packed_size(Int64(pairs), Int64(inputs)))
      for (start, count, pair) in [(0, first, 0), (first, pixels - first, (first + 1) / 2)] {
        allGradients.withUnsafeBufferPointer {
          rfm_bf16_pack_pixels_transposed(
            $0.baseAddress! + start * outStride, Int64(count), Int64(outputs), Int64(outStride),
            Int64(pair), Int64(pairs), &blocks)
        }
        allOperands.withUnsafeBufferPointer {
          rfm_bf16_pack_pixels(
            $0.baseAddress! + start * inStride, Int64(count), Int64(inputs), Int64(inStride),
            Int64(pair), Int64(pairs), &panels)
        }
      }
      let exact = Self.product(Self.transposed(dy, pixels, outputs), x, outputs, inputs, pixels)
      var c = [Float](repeating: .nan, count: outputs * inputs)
      for (result, expected) in [
        (RFM_BF16_STORE_FLOAT, exact), (RFM_BF16_ADD_FLOAT, exact.map { 2 * $0 }),
      ] {
        rfm_bf16_multiply_blocks(
          Int64(outputs), Int64(inputs), Int64(pairs), blocks, panels, &c, Int64(inputs),
          Int32(result))
        let equal = c == expected
        #expect(equal, "\(outputs)x\(inputs) over \(pixels) pixels")
      }
    }
  }
}

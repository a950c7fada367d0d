import CKernels
import Foundation
import Testing

@testable import Networks
@testable import Tensors

/// Activations, the way back through them, and layer norms against the same formulas in double.
@Suite struct ActivationKernelTests {
  static let activations: [Activation] = [
    .identity, .relu, .relu6, .leakyReLU(slope: 0.1), .silu, .gelu, .hardSwish, .sigmoid,
  ]
  private static let ld = 32
  private static let pixels = 70

  static func value(_ activation: Activation, _ z: Double) -> Double {
    switch activation {
    case .identity: z
    case .relu: max(z, 0)
    case .relu6: min(max(z, 0), 6)
    case .leakyReLU(let slope): z < 0 ? Double(slope) * z : z
    case .silu: z / (1 + exp(-z))
    case .gelu: z * 0.5 * erfc(-z / 2.0.squareRoot())
    case .hardSwish: z * min(max(z + 3, 0), 6) / 6
    case .sigmoid: 1 / (1 + exp(-z))
    }
  }

  /// The derivative, by its own formula.
  static func slope(_ activation: Activation, _ z: Double) -> Double {
    let sigmoid = 1 / (1 + exp(-z))
    switch activation {
    case .identity: return 1
    case .relu: return z > 0 ? 1 : 0
    case .relu6: return z > 0 && z < 6 ? 1 : 0
    case .leakyReLU(let slope): return z > 0 ? 1 : Double(slope)
    case .silu: return sigmoid * (1 + z * (1 - sigmoid))
    case .gelu:
      return 0.5 * erfc(-z / 2.0.squareRoot()) + z * exp(-z * z / 2) / (2 * Double.pi).squareRoot()
    case .hardSwish: return z <= -3 ? 0 : z < 3 ? (2 * z + 3) / 6 : 1
    case .sigmoid: return sigmoid * (1 - sigmoid)
    }
  }

  private struct Map {
    let data: Elements
    let scale: Elements
    let shift: Elements
    let gate: Elements
    let ld = ActivationKernelTests.ld

    init(_ draws: inout Draws, _ precision: Precision) {
      data = Elements(draws.rough(pixels * ActivationKernelTests.ld, limit: 4), precision)
      scale = Elements(draws.rough(ActivationKernelTests.ld, limit: 2))
      shift = Elements(draws.rough(ActivationKernelTests.ld, limit: 2))
      gate = Elements(draws.rough(ActivationKernelTests.ld, limit: 1))
    }

    private let pixels = ActivationKernelTests.pixels

    func view(_ activation: Activation, gated: Bool) -> rfm_view {
      rfm_view(
        data: data.address, scale: scale.floats, shift: shift.floats,
        gate: gated ? UnsafePointer(gate.floats) : nil, slope: activation.slope,
        activation: activation.kernel, ld: Int32(ld))
    }

    /// As a fused multiply-add rounds it.
    func z(_ i: Int) -> Double {
      Double(Float(Double(data[i]) * Double(scale[i % ld]) + Double(shift[i % ld])))
    }
  }

  private func isNear(_ value: Float, _ wanted: Double, _ path: KernelPath, size: Double = 1)
    -> Bool
  {
    let step = path.precision == .float32 ? 4e-7 : 0.005
    return abs(Double(value) - wanted) <= step * max(abs(wanted), size)
  }

  @Test(arguments: KernelPath.runnable)
  func viewsAreReadAsTheirFormula(path: KernelPath) {
    for activation in Self.activations {
      for gated in [false, true] {
        var draws = Draws(5)
        let map = Map(&draws, path.precision)
        let other = Map(&draws, path.precision)
        let count = Self.pixels * Self.ld
        var view = map.view(activation, gated: gated)
        let out = Elements(count: count, path.precision)
        path.layers.load(&view, out.address, Int32(Self.pixels))
        func wanted(_ map: Map, _ i: Int, gated: Bool) -> Double {
          Self.value(activation, map.z(i)) * (gated ? Double(map.gate[i % Self.ld]) : 1)
        }
        #expect(
          (0..<count).allSatisfy {
            isNear(out[$0], wanted(map, $0, gated: gated), path, size: 4)
          }, "\(activation)")
        #expect(out.guardsAreWhole)

        var second = other.view(activation, gated: false)
        path.layers.load_sum(&view, &second, out.address, Int32(Self.pixels))
        #expect(
          (0..<count).allSatisfy {
            isNear(
              out[$0], wanted(map, $0, gated: gated) + wanted(other, $0, gated: false), path,
              size: 8)
          }, "\(activation)")

        let mean = Elements(count: Self.ld)
        path.layers.mean(&view, mean.floats, Int32(Self.pixels))
        for c in 0..<Self.ld {
          let sum = (0..<Self.pixels).reduce(0.0) {
            $0 + wanted(map, $1 * Self.ld + c, gated: gated)
          }
          #expect(abs(Double(mean[c]) - sum / Double(Self.pixels)) < 4e-6, "\(activation)")
        }
        withExtendedLifetime((map, other)) {}
      }
    }
  }

  @Test(arguments: KernelPath.runnable)
  func gradientsGoBackThroughTheSlope(path: KernelPath) {
    let (ld, pixels) = (Self.ld, Self.pixels)
    let count = pixels * ld
    for activation in Self.activations {
      for (hasMap, hasUniform, hasExisting, defers) in [
        (true, false, false, true), (true, true, true, true), (true, false, true, false),
        (false, true, true, true), (false, true, false, true),
      ] {
        var draws = Draws(6)
        let map = Map(&draws, path.precision)
        let da = Elements(draws.rough(count), path.precision)
        let uniform = Elements(draws.rough(ld))
        let existing = Elements(draws.rough(count), path.precision)
        var view = map.view(activation, gated: false)
        let sums = UnsafeMutablePointer<Double>.allocate(capacity: 2 * ld)
        defer { sums.deallocate() }
        for c in 0..<2 * ld { sums[c] = 3 }
        let out = Elements(count: count, path.precision)
        func run(_ bits: UnsafePointer<UInt16>?, _ sums: UnsafeMutablePointer<Double>?) {
          path.layers.unload(
            &view, bits, hasMap ? UnsafeRawPointer(da.address) : nil,
            hasUniform ? UnsafePointer(uniform.floats) : nil,
            hasExisting ? UnsafeRawPointer(existing.address) : nil, defers ? 1 : 0, out.address,
            sums, Int32(pixels))
        }
        run(nil, sums)
        func wanted(_ i: Int) -> Double {
          var g = hasMap ? Double(da[i]) : 0
          if hasUniform { g += Double(uniform[i % ld]) }
          if hasExisting, defers { g += Double(existing[i]) }
          g *= Self.slope(activation, map.z(i))
          return hasExisting && !defers ? g + Double(existing[i]) : g
        }
        #expect(
          (0..<count).allSatisfy { isNear(out[$0], wanted($0), path, size: 6) }, "\(activation)")
        #expect(out.guardsAreWhole)
        for c in 0..<ld {
          let indices = (0..<pixels).map { $0 * ld + c }
          let sum = indices.reduce(0.0) { $0 + wanted($1) }
          let product = indices.reduce(0.0) { $0 + wanted($1) * Double(map.data[$1]) }
          #expect(abs(sums[c] - 3 - sum) < 1e-4 && abs(sums[ld + c] - 3 - product) < 1e-3)
        }
        withExtendedLifetime((map, da, uniform, existing)) {}
        // One bit an element tells the same of ReLU and its relatives.
        guard activation.isPiecewiseLinear else { continue }
        let first = out.values
        var bits = [UInt16](repeating: 0, count: count / 16)
        path.layers.mask(&view, &bits, Int32(pixels))
        run(bits, nil)
        #expect(out.values == first, "\(activation)")
        withExtendedLifetime((map, da, uniform, existing)) {}
      }
    }
  }

  /// More channels than are summed at a time, and more pixels: each channel is as by itself.
  @Test(arguments: KernelPath.runnable)
  func oneOfManyChannelsIsAsByItself(path: KernelPath) {
    let (wide, pixels) = (2080, 260)
    var draws = Draws(9)
    let maps = (0..<3).map { _ in draws.rough(pixels * wide, limit: 4) }
    let rows = (0..<4).map { _ in draws.rough(wide, limit: 2) }
    // Of the last channels.
    func results(_ channels: Range<Int>) -> [[Float]] {
      let ld = channels.count
      let parts = maps.map { map in
        Elements(
          (0..<pixels).flatMap { map[$0 * wide..<($0 + 1) * wide].suffix(ld) }, path.precision)
      }
      let row = rows.map { Elements(Array($0[channels])) }
      func last(_ values: [Float]) -> [Float] {
        stride(from: 0, to: values.count, by: ld).flatMap { values[$0..<$0 + ld].suffix(32) }
      }
      var view = rfm_view(
        data: parts[0].address, scale: row[0].floats, shift: row[1].floats,
        gate: UnsafePointer(row[2].floats), slope: 0, activation: Activation.silu.kernel,
        ld: Int32(ld))
      let (mean, gate) = (Elements(count: ld), Elements([Float](repeating: 0, count: ld)))
      let outs = (0..<2).map { _ in Elements(count: pixels * ld, path.precision) }
      path.layers.mean(&view, mean.floats, Int32(pixels))
      path.layers.unload_gate(
        &view, parts[1].address, parts[2].address, outs[0].address, gate.floats, Int32(pixels))
      view.gate = nil
      var sums = [Double](repeating: 0, count: 2 * ld)
      path.layers.unload(
        &view, nil, parts[1].address, row[3].floats, parts[2].address, 1, outs[1].address, &sums,
        Int32(pixels))
      withExtendedLifetime((parts, row)) {}
      return [mean, gate, outs[0], outs[1]].map { last($0.values) } + [last(sums.map(Float.init))]
    }
    #expect(results(0..<wide) == results(wide - 32..<wide))
  }

  @Test(arguments: KernelPath.runnable)
  func gatesHandOnAndGatherTheirGradient(path: KernelPath) {
    let (ld, pixels) = (Self.ld, Self.pixels)
    let count = pixels * ld
    for activation in [Activation.silu, .relu6, .identity] {
      for hasExisting in [false, true] {
        var draws = Draws(7)
        let map = Map(&draws, path.precision)
        let da = Elements(draws.rough(count), path.precision)
        let existing = Elements(draws.rough(count), path.precision)
        let gradient = Elements([Float](repeating: 0.5, count: ld))
        let out = Elements(count: count, path.precision)
        var view = map.view(activation, gated: true)
        path.layers.unload_gate(
          &view, da.address, hasExisting ? UnsafeRawPointer(existing.address) : nil, out.address,
          gradient.floats, Int32(pixels))
        for i in 0..<count {
          var wanted = Double(da[i]) * Double(map.gate[i % ld])
          if hasExisting { wanted += Double(existing[i]) }
          #expect(isNear(out[i], wanted, path, size: 2))
        }
        for c in 0..<ld {
          let sum = (0..<pixels).reduce(0.5) {
            $0 + Double(da[$1 * ld + c]) * Self.value(activation, map.z($1 * ld + c))
          }
          #expect(abs(Double(gradient[c]) - sum) < 2e-4)
        }
        withExtendedLifetime((map, da, existing)) {}
      }
    }
  }

  /// To some units in the last place from far below to far above, and no number where there is none.
  @Test(arguments: KernelPath.runnable.filter { $0.precision == .float32 })
  func functionsAreRightEverywhere(path: KernelPath) {
    let some = stride(from: -30.0, through: 30, by: 0.01).map { Float($0) }
    let values =
      (some + [-1e30, -200, -90, 90, 200, 1e30, 1e-30, 0, .infinity, .nan]) + [0, 0, 0, 0]
    let padded = values + [Float](repeating: 0, count: (16 - values.count % 16) % 16)
    let data = Elements(padded)
    let ones = Elements([Float](repeating: 1, count: 16))
    let zeros = Elements([Float](repeating: 0, count: 16))
    for activation in [Activation.silu, .gelu, .sigmoid] {
      var view = rfm_view(
        data: data.address, scale: ones.floats, shift: zeros.floats, gate: nil, slope: 0,
        activation: activation.kernel, ld: 16)
      let out = Elements(count: padded.count)
      path.layers.load(&view, out.address, Int32(padded.count / 16))
      for (x, y) in zip(padded, out.values) {
        if x.isNaN {
          #expect(y.isNaN)
          continue
        }
        let wanted = Self.value(activation, Double(x))
        // The tail's exponent, x²/2, is rounded before it is raised; below e⁻⁸⁷ there is nothing.
        let share = activation == .gelu ? max(2e-6, 2e-7 * Double(x) * Double(x)) : 2e-6
        #expect(
          abs(Double(y) - wanted) <= max(share * abs(wanted), 1e-35 * max(1, abs(Double(x))))
            || x == y,
          "\(activation) of \(x): \(y), \(wanted)")
      }
      withExtendedLifetime((data, ones, zeros)) {}
    }
  }

  @Test(arguments: KernelPath.runnable, [32, 27])
  func layerNormsNormaliseEachPixelAndGoBack(path: KernelPath, channels: Int) {
    let (ld, pixels) = (Self.ld, Self.pixels)
    var draws = Draws(8)
    func map(limit: Float) -> [Float] {
      (0..<pixels).flatMap { _ in
        draws.rough(channels, limit: limit) + [Float](repeating: 0, count: ld - channels)
      }
    }
    let x = Elements(map(limit: 3), path.precision)
    let dy = Elements(map(limit: 1), path.precision)
    let padding = [Float](repeating: 0, count: ld - channels)
    let weight = Elements(draws.rough(channels, limit: 2) + padding)
    let bias = Elements(draws.rough(channels, limit: 2) + padding)
    let epsilon: Float = 1e-3
    let out = Elements(count: pixels * ld, path.precision)
    path.layers.layer_norm(
      x.address, weight.floats, bias.floats, epsilon, out.address, Int32(pixels),
      Int32(channels), Int32(ld))
    let dx = Elements(count: pixels * ld, path.precision)
    let sums = UnsafeMutablePointer<Double>.allocate(capacity: 2 * ld)
    sums.initialize(repeating: 0, count: 2 * ld)
    defer { sums.deallocate() }
    path.layers.layer_norm_backward(
      x.address, dy.address, weight.floats, epsilon, dx.address, sums, Int32(pixels),
      Int32(channels), Int32(ld))
    var expectedSums = [Double](repeating: 0, count: 2 * ld)
    for p in 0..<pixels {
      let own = (0..<channels).map { Double(x[p * ld + $0]) }
      let mean = own.reduce(0, +) / Double(channels)
      let variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(channels)
      let inverse = 1 / (variance + Double(epsilon)).squareRoot()
      let unit = own.map { ($0 - mean) * inverse }
      let g = (0..<channels).map { Double(dy[p * ld + $0]) * Double(weight[$0]) }
      let gMean = g.reduce(0, +) / Double(channels)
      let gUnit = zip(g, unit).reduce(0) { $0 + $1.0 * $1.1 } / Double(channels)
      for c in 0..<ld {
        let at = p * ld + c
        guard c < channels else {
          #expect(out[at] == 0 && dx[at] == 0)
          continue
        }
        #expect(isNear(out[at], unit[c] * Double(weight[c]) + Double(bias[c]), path, size: 6))
        #expect(isNear(dx[at], (g[c] - gMean - unit[c] * gUnit) * inverse, path, size: 6))
        expectedSums[c] += Double(dy[at])
        expectedSums[ld + c] += Double(dy[at]) * unit[c]
      }
    }
    for c in 0..<channels {
      #expect(abs(sums[c] - expectedSums[c]) < 1e-4)
      #expect(abs(sums[ld + c] - expectedSums[ld + c]) < 1e-4)
    }
    #expect(out.guardsAreWhole && dx.guardsAreWhole)
    withExtendedLifetime((x, dy, weight, bias)) {}
  }
}

import CKernels
import Testing

/// Depthwise convolution against its definition, exactly: see `Draws.dyadic`.
@Suite struct DepthwiseKernelTests {
  private static let residualKinds = [
    RFM_RESIDUAL_NONE, RFM_RESIDUAL_DENSE, RFM_RESIDUAL_STRIDED, RFM_RESIDUAL_STRIDED_MASKED,
  ].map { Int($0) }

  private struct Setting {
    let height: Int
    let width: Int
    let ld: Int
    let rectified: Bool

    static let all = kernelMaps.flatMap { height, width in
      [16, 48].flatMap { ld in
        [true, false].map { Setting(height: height, width: width, ld: ld, rectified: $0) }
      }
    }
  }

  @Test(arguments: KernelPath.runnable)
  func forwardIsTheConvolutionOfTheNormalisedInput(path: KernelPath) {
    for setting in Setting.all {
      var draws = Draws(1)
      let (height, width, ld) = (setting.height, setting.width, setting.ld)
      let input = NormalisedMap(
        path, height: height, width: width, ld: ld, rectified: setting.rectified, &draws)
      let weights = Elements(draws.dyadic(9 * ld))
      var activation = input.activation
      for (r0, r1) in rowRanges(height) {
        let out = Elements(count: (r1 - r0) * width * ld, path.precision)
        path.table.depthwise_forward(
          &activation, weights.floats, out.address, nil, Int32(height), Int32(width), Int32(r0),
          Int32(r1))
        var exact: [Double] = []
        for r in r0..<r1 {
          for x in 0..<width {
            for c in 0..<ld {
              var sum = 0.0
              for ky in 0..<3 {
                for kx in 0..<3 {
                  sum +=
                    Double(weights[(3 * ky + kx) * ld + c])
                    * input.padded(r + ky - 1, x + kx - 1, c)
                }
              }
              exact.append(sum)
            }
          }
        }
        expectEqual(out.values, exact, path, "\(setting), rows \(r0)..<\(r1)")
        #expect(out.guardsAreWhole)
      }
    }
  }

  /// One bit an element, where the input is above zero; other rows' bits stay.
  @Test(arguments: KernelPath.runnable)
  func forwardKeepsTheMaskAsBits(path: KernelPath) {
    for setting in Setting.all where setting.rectified {
      var draws = Draws(2)
      let (height, width, ld) = (setting.height, setting.width, setting.ld)
      let input = NormalisedMap(
        path, height: height, width: width, ld: ld, rectified: true, &draws)
      let weights = Elements(draws.dyadic(9 * ld))
      var activation = input.activation
      for (r0, r1) in rowRanges(height) {
        let untouched: UInt16 = 0xA5C3
        var bits = [UInt16](repeating: untouched, count: height * width * ld / 16)
        let out = Elements(count: (r1 - r0) * width * ld, path.precision)
        let plain = Elements(count: (r1 - r0) * width * ld, path.precision)
        path.table.depthwise_forward(
          &activation, weights.floats, out.address, &bits, Int32(height), Int32(width), Int32(r0),
          Int32(r1))
        path.table.depthwise_forward(
          &activation, weights.floats, plain.address, nil, Int32(height), Int32(width), Int32(r0),
          Int32(r1))
        #expect(out.values == plain.values)
        var expected = [UInt16](repeating: untouched, count: bits.count)
        for r in r0..<r1 {
          for x in 0..<width {
            for group in 0..<ld / 16 {
              var word: UInt16 = 0
              for lane in 0..<16 where input.passes(r, x, 16 * group + lane) {
                word |= 1 << UInt16(lane)
              }
              expected[(r * width + x) * ld / 16 + group] = word
            }
          }
        }
        #expect(bits == expected, "\(setting), rows \(r0)..<\(r1)")
      }
    }
  }

  /// A gradient band with just the rows that rows r0..<r1 of the result need.
  private struct Band {
    let first: Int
    let end: Int
    let elements: Elements
    let width: Int
    let ld: Int

    init(
      _ path: KernelPath, _ map: NormalisedMap, rows: (Int, Int), exact: Bool = true,
      _ draws: inout Draws
    ) {
      first = max(0, rows.0 - 1)
      end = min(map.height, rows.1 + 1)
      width = map.width
      ld = map.ld
      let count = (end - first) * width * ld
      elements = Elements(exact ? draws.dyadic(count) : draws.rough(count), path.precision)
    }

    func value(_ r: Int, _ x: Int, _ c: Int) -> Double {
      r < first || r >= end || x < 0 || x >= width
        ? 0 : Double(elements[((r - first) * width + x) * ld + c])
    }
  }

  private static func residual(
    _ kind: Int, _ path: KernelPath, _ map: NormalisedMap, _ draws: inout Draws
  ) -> Elements? {
    let half = ((map.height - 1) / 2 + 1) * ((map.width - 1) / 2 + 1)
    switch kind {
    case Int(RFM_RESIDUAL_NONE): return nil
    case Int(RFM_RESIDUAL_DENSE):
      return Elements(draws.dyadic(map.pixels * map.ld), path.precision)
    default: return Elements(draws.dyadic(half * map.ld), path.precision)
    }
  }

  /// The gradient of the input's normalised value, from the definition.
  private static func inputGradient(
    _ map: NormalisedMap, _ weights: Elements, _ band: Band, _ residual: [Float], _ kind: Int,
    _ r: Int, _ x: Int, _ c: Int
  ) -> Double {
    var sum = 0.0
    for ky in 0..<3 {
      for kx in 0..<3 {
        sum +=
          Double(weights[(3 * ky + kx) * map.ld + c]) * band.value(r - ky + 1, x - kx + 1, c)
      }
    }
    let isEven = r % 2 == 0 && x % 2 == 0
    let half = (map.width - 1) / 2 + 1
    func strided() -> Double { Double(residual[((r / 2) * half + x / 2) * map.ld + c]) }
    if kind == Int(RFM_RESIDUAL_STRIDED_MASKED), isEven { sum += strided() }
    if !map.passes(r, x, c) { sum = 0 }
    if kind == Int(RFM_RESIDUAL_DENSE) {
      sum += Double(residual[(r * map.width + x) * map.ld + c])
    }
    if kind == Int(RFM_RESIDUAL_STRIDED), isEven { sum += strided() }
    return sum
  }

  @Test(arguments: KernelPath.runnable, residualKinds)
  func backwardGivesInputGradientWeightGradientAndSums(path: KernelPath, kind: Int) {
    for setting in Setting.all {
      var draws = Draws(3)
      let (height, width, ld) = (setting.height, setting.width, setting.ld)
      let input = NormalisedMap(
        path, height: height, width: width, ld: ld, rectified: setting.rectified, &draws)
      let weights = Elements(draws.dyadic(9 * ld))
      let residual = Self.residual(kind, path, input, &draws)
      let residualValues = residual?.values ?? []
      var activation = input.activation
      for (r0, r1) in rowRanges(height) {
        let band = Band(path, input, rows: (r0, r1), &draws)
        let dz = Elements(count: input.pixels * ld, path.precision)
        let dw = Elements(draws.dyadic(9 * ld))
        var sums = draws.dyadic(2 * ld).map(Double.init)
        var exactSums = sums
        var exactWeights = dw.values.map(Double.init)
        path.table.depthwise_backward(
          &activation, weights.floats, band.elements.address, Int32(band.first),
          residual.map { UnsafeRawPointer($0.address) }, Int32(kind), dz.address, &sums, dw.floats,
          Int32(height), Int32(width), Int32(r0), Int32(r1))

        var exact = [Double](repeating: .nan, count: input.pixels * ld)
        for r in r0..<r1 {
          for x in 0..<width {
            for c in 0..<ld {
              let gradient = Self.inputGradient(
                input, weights, band, residualValues, kind, r, x, c)
              exact[(r * width + x) * ld + c] = gradient
              exactSums[c] += gradient
              exactSums[ld + c] += gradient * input.y(r, x, c)
              for ky in 0..<3 {
                for kx in 0..<3 {
                  exactWeights[(3 * ky + kx) * ld + c] +=
                    input.a(r, x, c) * band.value(r - ky + 1, x - kx + 1, c)
                }
              }
            }
          }
        }
        let what = "\(setting), rows \(r0)..<\(r1)"
        expectEqual(dz.values, exact, path, "input gradient, \(what)")
        expectEqual(sums, exactSums, "sums, \(what)")
        expectEqual(dw.values.map(Double.init), exactWeights, "weight gradient, \(what)")
        #expect(dz.guardsAreWhole && dw.guardsAreWhole)
      }
    }
  }

  /// The gradient may take the place of the residual that it adds, and need not be summed.
  @Test(arguments: KernelPath.runnable)
  func backwardMayOverwriteItsDenseResidual(path: KernelPath) {
    var draws = Draws(4)
    let input = NormalisedMap(path, height: 7, width: 5, ld: 32, rectified: true, &draws)
    let weights = Elements(draws.dyadic(9 * 32))
    let residual = draws.dyadic(input.pixels * 32)
    let band = Band(path, input, rows: (0, 7), &draws)
    var activation = input.activation
    func run(_ residual: Elements, into dz: Elements, sums: UnsafeMutablePointer<Double>?) {
      let dw = Elements([Float](repeating: 0, count: 9 * 32))
      path.table.depthwise_backward(
        &activation, weights.floats, band.elements.address, 0, residual.address,
        Int32(RFM_RESIDUAL_DENSE), dz.address, sums, dw.floats, 7, 5, 0, 7)
    }
    let apart = Elements(count: input.pixels * 32, path.precision)
    var sums = [Double](repeating: 0, count: 64)
    run(Elements(residual, path.precision), into: apart, sums: &sums)
    let shared = Elements(residual, path.precision)
    run(shared, into: shared, sums: nil)
    #expect(shared.values == apart.values)
  }

  /// Attention's backward: the mask from bits, where there is a ReLU, multiplied by the batch norm's scale.
  @Test(arguments: KernelPath.runnable, residualKinds)
  func backwardToTheInputTakesTheMaskFromBits(path: KernelPath, kind: Int) {
    for setting in Setting.all {
      var draws = Draws(5)
      let (height, width, ld) = (setting.height, setting.width, setting.ld)
      let input = NormalisedMap(
        path, height: height, width: width, ld: ld, rectified: setting.rectified, &draws)
      let weights = Elements(draws.dyadic(9 * ld))
      let scale = Elements(draws.dyadic(ld, denominator: 4, limit: 6))
      let residual = Self.residual(kind, path, input, &draws)
      let residualValues = residual?.values ?? []
      let bits = (0..<input.pixels * ld / 16).map { word -> UInt16 in
        let (pixel, group) = word.quotientAndRemainder(dividingBy: ld / 16)
        return (0..<16).reduce(0) { bits, lane in
          input.passes(pixel / width, pixel % width, 16 * group + lane) ? bits | 1 << lane : bits
        }
      }
      let bitMemory = UnsafeMutablePointer<UInt16>.allocate(capacity: bits.count)
      bitMemory.initialize(from: bits, count: bits.count)
      defer { bitMemory.deallocate() }
      for (r0, r1) in rowRanges(height) {
        let band = Band(path, input, rows: (r0, r1), &draws)
        let out = Elements(count: input.pixels * ld, path.precision)
        path.table.depthwise_backward_input(
          band.elements.address, Int32(band.first), weights.floats,
          setting.rectified ? UnsafePointer(bitMemory) : nil, scale.floats,
          residual.map { UnsafeRawPointer($0.address) }, Int32(kind), out.address, Int32(ld),
          Int32(height), Int32(width), Int32(r0), Int32(r1))
        var exact = [Double](repeating: .nan, count: input.pixels * ld)
        for r in r0..<r1 {
          for x in 0..<width {
            for c in 0..<ld {
              exact[(r * width + x) * ld + c] =
                Double(scale[c])
                * Self.inputGradient(input, weights, band, residualValues, kind, r, x, c)
            }
          }
        }
        expectEqual(out.values, exact, path, "\(setting), rows \(r0)..<\(r1)")
        #expect(out.guardsAreWhole)
      }
    }
  }
}

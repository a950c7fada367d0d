import CKernels
import Testing

/// Sums, affine maps and conversions, exactly: see `Draws.dyadic`.
@Suite struct PointwiseKernelTests {
  /// Up to 256 pixels are summed at a time.
  private static let rowCounts = [1, 2, 3, 100, 255, 256, 257, 513]

  @Test(arguments: KernelPath.runnable)
  func statisticsAreSumsAndSumsOfSquares(path: KernelPath) {
    for rows in Self.rowCounts {
      for ld in [16, 48] {
        var draws = Draws(21)
        let y = Elements(draws.dyadic(rows * ld), path.precision)
        var sums = draws.dyadic(2 * ld).map(Double.init)
        var exact = sums
        for (i, value) in y.values.enumerated() {
          exact[i % ld] += Double(value)
          exact[ld + i % ld] += Double(value) * Double(value)
        }
        path.table.statistics(y.address, Int32(rows), Int32(ld), &sums)
        expectEqual(sums, exact, "\(rows) pixels, \(ld) channels")
      }
    }
  }

  /// A batch norm's variance is a difference of these sums: rounding must not grow with the map.
  @Test(arguments: KernelPath.runnable)
  func statisticsOfManyPixelsStayAccurate(path: KernelPath) {
    var draws = Draws(22)
    let (rows, ld) = (50_000, 16)
    let y = Elements(draws.normal(rows * ld).map { 3 + $0 }, path.precision)
    var sums = [Double](repeating: 0, count: 2 * ld)
    path.table.statistics(y.address, Int32(rows), Int32(ld), &sums)
    var exact = [Double](repeating: 0, count: 2 * ld)
    for (i, value) in y.values.enumerated() {
      exact[i % ld] += Double(value)
      exact[ld + i % ld] += Double(value) * Double(value)
    }
    for c in 0..<ld {
      func variance(_ sums: [Double]) -> Double {
        sums[ld + c] / Double(rows) - (sums[c] / Double(rows)) * (sums[c] / Double(rows))
      }
      #expect(abs(sums[c] / exact[c] - 1) < 1e-6)
      #expect(abs(variance(sums) / variance(exact) - 1) < 1e-5)
    }
  }

  @Test(arguments: KernelPath.runnable)
  func gradientSumsAreOfGradientAndItsProductWithTheOutput(path: KernelPath) {
    for rows in Self.rowCounts {
      for ld in [16, 48] {
        var draws = Draws(23)
        let dz = Elements(draws.dyadic(rows * ld), path.precision)
        let y = Elements(draws.dyadic(rows * ld), path.precision)
        var sums = draws.dyadic(2 * ld).map(Double.init)
        var exact = sums
        for i in 0..<rows * ld {
          exact[i % ld] += Double(dz[i])
          exact[ld + i % ld] += Double(dz[i]) * Double(y[i])
        }
        path.table.gradient_sums(dz.address, y.address, Int32(rows), Int32(ld), &sums)
        expectEqual(sums, exact, "\(rows) pixels, \(ld) channels")
      }
    }
  }

  @Test(arguments: KernelPath.runnable, [true, false])
  func affineGradientIsTheMapOfGradientAndOutput(path: KernelPath, trains: Bool) {
    for rows in [1, 2, 7] {
      for ld in [16, 48] {
        var draws = Draws(24)
        let dz = Elements(draws.dyadic(rows * ld), path.precision)
        let y = Elements(draws.dyadic(rows * ld), path.precision)
        let coefficients = Elements(draws.dyadic(3 * ld, denominator: 4, limit: 6))
        let out = Elements(count: rows * ld, path.precision)
        path.table.affine_gradient(
          dz.address, trains ? UnsafeRawPointer(y.address) : nil, coefficients.floats, out.address,
          Int32(rows), Int32(ld))
        let exact = (0..<rows * ld).map { i -> Double in
          let c = i % ld
          let part = Double(coefficients[c]) * Double(dz[i])
          guard trains else { return part }
          return part + Double(coefficients[ld + c]) * Double(y[i])
            + Double(coefficients[2 * ld + c])
        }
        expectEqual(out.values, exact, path, "\(rows) pixels, \(ld) channels")
        #expect(out.guardsAreWhole)
      }
    }
  }

  @Test(arguments: KernelPath.runnable)
  func conversionRoundsToNearestTiesToEvenAndKeepsNaN(path: KernelPath) {
    var draws = Draws(26)
    var values = draws.rough(64, limit: 1000)
    values += [
      0, -0.0, 1, -1, .infinity, -.infinity, .nan, -.nan,
      // Halfway between two bfloat16 values, just below and above: 1 + 2⁻⁸ and 1 + 3·2⁻⁸.
      0x1.01p0, 0x1.03p0, Float(0x1.01p0).nextDown, Float(0x1.01p0).nextUp,
      .greatestFiniteMagnitude,
      -.greatestFiniteMagnitude, 1e-30, Float(bitPattern: 0x7F80_0001),
    ]
    let input = Elements(values)
    let out = Elements(count: values.count, path.precision)
    path.table.from_float(input.floats, out.address, values.count)
    let back = Elements(count: values.count)
    path.table.to_float(out.address, back.floats, values.count)
    for (i, value) in values.enumerated() {
      let stored = path.precision == .float32 ? value : bfloat16Rounded(value)
      #expect(
        out[i] == stored || (out[i].isNaN && stored.isNaN), "\(value) became \(out[i])")
      #expect(back[i].bitPattern == out[i].bitPattern)
    }
    #expect(out.guardsAreWhole && back.guardsAreWhole)
  }

  @Test func accumulationAddsElementByElement() {
    var draws = Draws(27)
    for count in [0, 1, 15, 16, 33, 1000] {
      let (a, b) = (draws.dyadic(count), draws.dyadic(count))
      let out = Elements(a)
      rfm_accumulate(out.floats, b, count)
      #expect(out.values == zip(a, b).map(+))
      #expect(out.guardsAreWhole)
      var wide = a.map(Double.init)
      rfm_accumulate_double(&wide, b, count)
      #expect(wide == zip(a, b).map { Double($0) + Double($1) })
    }
  }
}

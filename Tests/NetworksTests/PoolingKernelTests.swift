import CKernels
import Testing

/// 3×3 max pooling with stride 2 and padding 1, forward and backward, exactly; inputs on a
/// coarse grid, so that many windows have several equal largest elements.
@Suite struct PoolingKernelTests {
  private struct Pooled {
    let input: NormalisedMap
    let skip: NormalisedMap
    var height: Int { (input.height - 1) / 2 + 1 }
    var width: Int { (input.width - 1) / 2 + 1 }

    init(_ path: KernelPath, height: Int, width: Int, ld: Int, _ draws: inout Draws) {
      input = NormalisedMap(
        path, height: height, width: width, ld: ld, rectified: false, &draws)
      skip = NormalisedMap(
        path, height: (height - 1) / 2 + 1, width: (width - 1) / 2 + 1, ld: ld, rectified: false,
        &draws)
    }

    /// The largest normalised input of a window and its place 3·ky + kx, the first of equals.
    func largest(_ o: Int, _ q: Int, _ c: Int) -> (value: Double, place: Int) {
      var best = (value: -Double.infinity, place: -1)
      for ky in 0..<3 {
        for kx in 0..<3 {
          let (r, x) = (2 * o + ky - 1, 2 * q + kx - 1)
          if r < 0 || r >= input.height || x < 0 || x >= input.width { continue }
          let z = input.z(r, x, c)
          if z > best.value { best = (z, 3 * ky + kx) }
        }
      }
      return best
    }

    /// (Ho·Wo, ld), as the kernel writes them.
    var winners: [UInt8] {
      (0..<height * width * input.ld).map { i in
        let (pixel, c) = i.quotientAndRemainder(dividingBy: input.ld)
        return UInt8(largest(pixel / width, pixel % width, c).place)
      }
    }
  }

  @Test(arguments: KernelPath.runnable, [true, false])
  func forwardTakesTheLargestAndAddsTheShortcut(path: KernelPath, keeps: Bool) {
    for (height, width) in kernelMaps {
      for ld in [16, 48] {
        var draws = Draws(11)
        let pooled = Pooled(path, height: height, width: width, ld: ld, &draws)
        let out = Elements(count: pooled.skip.pixels * ld, path.precision)
        var winners = [UInt8](repeating: 255, count: pooled.skip.pixels * ld)
        var (input, skip) = (pooled.input.activation, pooled.skip.activation)
        let kept = Elements(count: pooled.skip.pixels * ld, path.precision)
        path.table.pool_forward(
          &input, &skip, out.address, &winners, keeps ? kept.address : nil, Int32(height),
          Int32(width))
        var exact: [Double] = []
        var maxima: [Double] = []
        for o in 0..<pooled.height {
          for q in 0..<pooled.width {
            for c in 0..<ld {
              let (value, place) = pooled.largest(o, q, c)
              exact.append(value + pooled.skip.z(o, q, c))
              maxima.append(pooled.input.y(2 * o + place / 3 - 1, 2 * q + place % 3 - 1, c))
            }
          }
        }
        expectEqual(out.values, exact, path, "\(height)x\(width), \(ld) channels")
        #expect(winners == pooled.winners, "\(height)x\(width), \(ld) channels")
        if keeps { expectEqual(kept.values, maxima, path, "\(height)x\(width), \(ld) channels") }
        #expect(out.guardsAreWhole && kept.guardsAreWhole)
      }
    }
  }

  /// As in PyTorch: what is not a number must reach the loss and be seen.
  @Test(arguments: KernelPath.runnable)
  func forwardPassesNaNOn(path: KernelPath) {
    var draws = Draws(12)
    let plain = Pooled(path, height: 5, width: 5, ld: 16, &draws)
    var values = plain.input.data.values
    values[(2 * 5 + 3) * 16 + 7] = .nan
    let data = Elements(values, path.precision)
    var (input, skip) = (plain.input.activation, plain.skip.activation)
    input.data = UnsafeRawPointer(data.address)
    let out = Elements(count: plain.skip.pixels * 16, path.precision)
    var winners = [UInt8](repeating: 255, count: plain.skip.pixels * 16)
    path.table.pool_forward(&input, &skip, out.address, &winners, nil, 5, 5)
    // Pixel (2, 3) lies in the windows around (2, 2) and (2, 4).
    let poisoned = Set([(1 * 3 + 1) * 16 + 7, (1 * 3 + 2) * 16 + 7])
    for (i, value) in out.values.enumerated() {
      #expect(value.isNaN == poisoned.contains(i), "element \(i)")
    }
  }

  @Test(arguments: KernelPath.runnable, [true, false])
  func backwardGivesEachWinnerItsWindowsGradients(path: KernelPath, trains: Bool) {
    for (height, width) in kernelMaps {
      for ld in [16, 48] {
        var draws = Draws(13)
        let pooled = Pooled(path, height: height, width: width, ld: ld, &draws)
        let winners = pooled.winners
        let dx = Elements(draws.dyadic(pooled.skip.pixels * ld), path.precision)
        let coefficients = Elements(draws.dyadic(3 * ld, denominator: 4, limit: 6))
        var gradient = [Double](repeating: 0, count: height * width * ld)
        for (i, place) in winners.enumerated() {
          let (pixel, c) = i.quotientAndRemainder(dividingBy: ld)
          let r = 2 * (pixel / pooled.width) + Int(place) / 3 - 1
          let x = 2 * (pixel % pooled.width) + Int(place) % 3 - 1
          gradient[(r * width + x) * ld + c] += Double(dx[i])
        }
        for (r0, r1) in rowRanges(height) {
          let out = Elements(count: (r1 - r0) * width * ld, path.precision)
          path.table.pool_backward(
            dx.address, winners, trains ? UnsafeRawPointer(pooled.input.data.address) : nil,
            coefficients.floats, out.address, Int32(ld), Int32(height), Int32(width), Int32(r0),
            Int32(r1))
          let exact = (r0 * width * ld..<r1 * width * ld).map { i -> Double in
            let c = i % ld
            let dz = Double(coefficients[c]) * gradient[i]
            guard trains else { return dz }
            return dz + Double(coefficients[ld + c]) * Double(pooled.input.data[i])
              + Double(coefficients[2 * ld + c])
          }
          expectEqual(out.values, exact, path, "\(height)x\(width), rows \(r0)..<\(r1)")
          #expect(out.guardsAreWhole)
        }
      }
    }
  }

  @Test(arguments: KernelPath.runnable)
  func stridedShortcutsSeeEvenRowsAndColumns(path: KernelPath) {
    for (height, width) in kernelMaps {
      for rectified in [true, false] {
        var draws = Draws(15)
        let input = NormalisedMap(
          path, height: height, width: width, ld: 32, rectified: rectified, &draws)
        let (half, halfWidth) = ((height - 1) / 2 + 1, (width - 1) / 2 + 1)
        let out = Elements(count: half * halfWidth * 32, path.precision)
        var activation = input.activation
        path.table.gather_strided(&activation, out.address, Int32(height), Int32(width))
        let exact = (0..<out.count).map { i in
          input.a(2 * (i / 32 / halfWidth), 2 * (i / 32 % halfWidth), i % 32)
        }
        expectEqual(out.values, exact, path, "\(height)x\(width)")
        #expect(out.guardsAreWhole)
      }
    }
  }
}

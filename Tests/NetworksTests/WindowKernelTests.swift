import CKernels
import Testing

/// Depthwise convolutions, patches, maxima and averages over windows of every size, stride, padding and dilation
/// that a network here has, and some that none has, against plain loops. The draws are dyadic: sums are
/// exact in any order, so every element must be the same.
@Suite struct WindowKernelTests {
  /// Taps, stride, padding before, dilation.
  static let windows = [
    (3, 1, 1, 1), (3, 2, 1, 1), (3, 2, 0, 1), (5, 1, 2, 1), (5, 2, 2, 1), (5, 2, 1, 1),
    (7, 1, 3, 1), (1, 1, 0, 1), (1, 2, 0, 1), (2, 2, 0, 1), (4, 4, 0, 1), (3, 1, 2, 2),
    (3, 1, 3, 3), (3, 3, 1, 1), (7, 2, 3, 1),
  ]
  /// Pixels of a row.
  static let widths = [1, 2, 3, 4, 7, 8, 11, 16, 19]
  private static let ld = 32

  /// One window over one row.
  struct Placed {
    let size: Int
    let stride: Int
    let pad: Int
    let dilation: Int
    let width: Int
    let outputs: Int

    init?(_ window: (Int, Int, Int, Int), width: Int) {
      (size, stride, pad, dilation) = window
      self.width = width
      let reach = (size - 1) * dilation + 1
      outputs = width + 2 * pad < reach ? 0 : (width + 2 * pad - reach) / stride + 1
      if outputs == 0 { return nil }
    }

    var kernel: rfm_window {
      rfm_window(
        size: Int32(size), stride: Int32(stride), pad: Int32(pad), dilation: Int32(dilation),
        W: Int32(width), Wo: Int32(outputs))
    }

    /// Pairs of an output and the input under a tap.
    func pairs(_ tap: Int) -> [(output: Int, input: Int)] {
      (0..<outputs).map { ($0, $0 * stride + tap * dilation - pad) }
        .filter { (0..<width).contains($0.1) }
    }
  }

  /// Every window and width, and once each with the first and with the last row outside of the map.
  private func forEachPlace(
    dilated: Bool, _ body: (Placed, _ missing: Int?) throws -> Void
  ) rethrows {
    for window in Self.windows where dilated || window.3 == 1 {
      for width in Self.widths {
        guard let place = Placed(window, width: width) else { continue }
        for missing in [nil, 0, place.size - 1] { try body(place, missing) }
      }
    }
  }

  private func withRows(
    _ arrays: [Elements], without missing: Int?,
    _ body: (UnsafePointer<UnsafeRawPointer?>) -> Void
  ) {
    withExtendedLifetime(arrays) {
      arrays.indices.map { $0 == missing ? nil : UnsafeRawPointer(arrays[$0].address) }
        .withUnsafeBufferPointer { body($0.baseAddress!) }
    }
  }

  @Test(arguments: KernelPath.runnable)
  func depthwiseConvolutionsAreTheirSums(path: KernelPath) {
    let ld = Self.ld
    forEachPlace(dilated: true) { place, missing in
      var draws = Draws(UInt64(place.size * 1000 + place.width * 10 + place.stride))
      let taps = place.size
      let inputs = (0..<taps).map { _ in
        Elements(draws.dyadic(place.width * ld, denominator: 4, limit: 4), path.precision)
      }
      let weights = Elements(draws.dyadic(taps * taps * ld, denominator: 4, limit: 4))
      var window = place.kernel
      var expected = [Double](repeating: 0, count: place.outputs * ld)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld {
              expected[output * ld + c] +=
                Double(weights[(ky * taps + kx) * ld + c]) * Double(inputs[ky][input * ld + c])
            }
          }
        }
      }
      let out = Elements(count: expected.count, path.precision)
      withRows(inputs, without: missing) {
        path.layers.depthwise(
          $0, weights.floats, out.address, &window, Int32(ld))
      }
      #expect(out.values == expected.map(path.stored), "\(place), \(String(describing: missing))")
      #expect(out.guardsAreWhole)

      // The weights' gradient, added to what is there.
      let dy = Elements(
        draws.dyadic(place.outputs * ld, denominator: 4, limit: 4), path.precision)
      let before = draws.dyadic(taps * taps * ld)
      let dw = Elements(before)
      var sums = before.map(Double.init)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld {
              sums[(ky * taps + kx) * ld + c] +=
                Double(dy[output * ld + c]) * Double(inputs[ky][input * ld + c])
            }
          }
        }
      }
      withRows(inputs, without: missing) {
        path.layers.depthwise_weight(
          $0, dy.address, dw.floats, &window, Int32(ld))
      }
      #expect(dw.values == sums.map { Float($0) }, "\(place), \(String(describing: missing))")
      #expect(dw.guardsAreWhole)

      // The input's gradient: a row of the output's for each tap row.
      let gradients = (0..<taps).map { _ in
        Elements(
          draws.dyadic(place.outputs * ld, denominator: 4, limit: 4), path.precision)
      }
      var back = [Double](repeating: 0, count: place.width * ld)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld {
              back[input * ld + c] +=
                Double(weights[(ky * taps + kx) * ld + c])
                * Double(gradients[ky][output * ld + c])
            }
          }
        }
      }
      let dx = Elements(count: back.count, path.precision)
      withRows(gradients, without: missing) {
        path.layers.depthwise_input(
          $0, weights.floats, dx.address, &window, Int32(ld))
      }
      #expect(dx.values == back.map(path.stored), "\(place), \(String(describing: missing))")
      #expect(dx.guardsAreWhole)
      withExtendedLifetime((weights, dy)) {}
    }
  }

  @Test(arguments: KernelPath.runnable)
  func patchesHoldTheirWindowsAndGoBack(path: KernelPath) {
    let ld = Self.ld
    forEachPlace(dilated: true) { place, missing in
      var draws = Draws(UInt64(place.size * 1000 + place.width * 10 + place.dilation))
      let taps = place.size
      let inputs = (0..<taps).map { _ in
        Elements(draws.dyadic(place.width * ld), path.precision)
      }
      let patch = taps * taps * ld
      var window = place.kernel
      var expected = [Float](repeating: 0, count: place.outputs * patch)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld {
              expected[output * patch + (ky * taps + kx) * ld + c] = inputs[ky][input * ld + c]
            }
          }
        }
      }
      let out = Elements(count: expected.count, path.precision)
      withRows(inputs, without: missing) {
        path.layers.patch($0, out.address, &window, Int32(ld))
      }
      #expect(out.values == expected, "\(place), \(String(describing: missing))")
      #expect(out.guardsAreWhole)

      let gradients = (0..<taps).map { _ in
        Elements(
          draws.dyadic(place.outputs * patch, denominator: 4, limit: 4), path.precision)
      }
      var back = [Double](repeating: 0, count: place.width * ld)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld {
              back[input * ld + c] +=
                Double(gradients[ky][output * patch + (ky * taps + kx) * ld + c])
            }
          }
        }
      }
      let dx = Elements(count: back.count, path.precision)
      withRows(gradients, without: missing) {
        path.layers.unpatch($0, dx.address, &window, Int32(ld))
      }
      #expect(dx.values == back.map(path.stored), "\(place), \(String(describing: missing))")
      #expect(dx.guardsAreWhole)
    }
  }

  /// Sums are exact, and what they are divided by is counted here; the way back is near to rounding.
  @Test(arguments: KernelPath.runnable, [false, true])
  func averagesAreOverTheirWindowsAndGoBack(path: KernelPath, countsPadding: Bool) {
    let ld = Self.ld
    forEachPlace(dilated: false) { place, missing in
      let taps = place.size
      guard 2 * place.pad <= taps, taps > 1 || missing == nil else { return }
      var draws = Draws(UInt64(place.size * 1000 + place.width * 10 + place.stride))
      let inputs = (0..<taps).map { _ in
        Elements(draws.dyadic(place.width * ld, denominator: 4, limit: 4), path.precision)
      }
      var sums = [Double](repeating: 0, count: place.outputs * ld)
      var counts = [Int](repeating: 0, count: place.outputs)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            counts[output] += 1
            for c in 0..<ld { sums[output * ld + c] += Double(inputs[ky][input * ld + c]) }
          }
        }
      }
      var window = place.kernel
      let out = Elements(count: sums.count, path.precision)
      withRows(inputs, without: missing) {
        path.layers.average_pool($0, out.address, &window, countsPadding ? 1 : 0, Int32(ld))
      }
      let expected = sums.indices.map { i in
        path.stored(
          Double(Float(sums[i]) * (1 / Float(countsPadding ? taps * taps : counts[i / ld]))))
      }
      #expect(out.values == expected, "\(place), \(String(describing: missing))")
      #expect(out.guardsAreWhole)

      // Each row of gradients is of a window with other rows inside of the map.
      let heights = (0..<taps).map { Int32(1 + $0) }
      let gradients = (0..<taps).map { _ in
        Elements(draws.dyadic(place.outputs * ld, denominator: 4, limit: 4), path.precision)
      }
      let widths = (0..<place.outputs).map { q in
        (0..<taps).count { tap in place.pairs(tap).contains { $0.output == q } }
      }
      var back = [Double](repeating: 0, count: place.width * ld)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            let count = countsPadding ? taps * taps : Int(heights[ky]) * widths[output]
            for c in 0..<ld {
              back[input * ld + c] += Double(gradients[ky][output * ld + c]) / Double(count)
            }
          }
        }
      }
      let dx = Elements(count: back.count, path.precision)
      withRows(gradients, without: missing) {
        path.layers.average_unpool(
          $0, heights, dx.address, &window, countsPadding ? 1 : 0, Int32(ld))
      }
      let rounding = path.precision == .float32 ? 1e-6 : 8e-3
      #expect(
        zip(dx.values, back).allSatisfy { abs(Double($0) - $1) <= rounding * max(1, abs($1)) },
        "\(place), \(String(describing: missing))")
      #expect(dx.guardsAreWhole)
    }
  }

  @Test func patchesByGroupsAndBack() {
    let (pixels, taps, ld) = (3, 4, 32)
    for (groups, each) in [(2, 3), (7, 4), (3, 8), (1, 20), (4, 7)] {
      var draws = Draws(UInt64(groups))
      let used = groups * each
      let patches = draws.dyadic(pixels * taps * ld)
      var grouped = [Float](repeating: .nan, count: pixels * taps * used)
      rfm_group_patches(
        patches, &grouped, Int32(pixels), Int32(taps), Int32(ld), Int32(groups), Int32(each))
      var place = 0
      for p in 0..<pixels {
        for g in 0..<groups {
          for t in 0..<taps {
            for c in 0..<each {
              #expect(grouped[place] == patches[(p * taps + t) * ld + g * each + c])
              place += 1
            }
          }
        }
      }
      var back = [Float](repeating: .nan, count: patches.count)
      rfm_ungroup_patches(
        grouped, &back, Int32(pixels), Int32(taps), Int32(ld), Int32(groups), Int32(each))
      #expect(back == patches.indices.map { $0 % ld < used ? patches[$0] : 0 })
    }
  }

  @Test(arguments: KernelPath.runnable)
  func maximaAreTheFirstOfTheLargestAndGoBackThere(path: KernelPath) {
    let ld = Self.ld
    forEachPlace(dilated: false) { place, missing in
      // PyTorch's rule, too: no window lies in the padding alone.
      guard 2 * place.pad <= place.size else { return }
      let taps = place.size
      if taps == 1 && missing != nil { return }
      var draws = Draws(UInt64(place.size * 1000 + place.width * 10 + place.stride))
      // Few values, so that equal ones are common.
      var values = (0..<taps).map { _ in draws.dyadic(place.width * ld, limit: 2) }
      for row in values.indices { values[row][0] = -.infinity }
      let inputs = values.map { Elements($0, path.precision) }
      var window = place.kernel
      var expected = [Float](repeating: -.infinity, count: place.outputs * ld)
      var winners = [Int](repeating: 255, count: place.outputs * ld)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld {
              let (at, value) = (output * ld + c, values[ky][input * ld + c])
              if value > expected[at] || winners[at] == 255 {
                (expected[at], winners[at]) = (value, ky * taps + kx)
              }
            }
          }
        }
      }
      let out = Elements(count: expected.count, path.precision)
      var found = [UInt8](repeating: 99, count: expected.count)
      withRows(inputs, without: missing) {
        path.layers.max_pool($0, out.address, &found, &window, Int32(ld))
      }
      #expect(out.values == expected, "\(place), \(String(describing: missing))")
      #expect(found.map(Int.init) == winners, "\(place), \(String(describing: missing))")

      let dy = (0..<taps).map { _ in
        Elements(draws.dyadic(place.outputs * ld), path.precision)
      }
      let won = (0..<taps).map { _ in
        (0..<place.outputs * ld).map { _ in UInt8(draws.below(taps * taps)) }
      }
      var back = [Double](repeating: 0, count: place.width * ld)
      for ky in 0..<taps where ky != missing {
        for kx in 0..<taps {
          for (output, input) in place.pairs(kx) {
            for c in 0..<ld where won[ky][output * ld + c] == UInt8(ky * taps + kx) {
              back[input * ld + c] += Double(dy[ky][output * ld + c])
            }
          }
        }
      }
      let dx = Elements(count: back.count, path.precision)
      let buffers = won.map { row in
        let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: row.count)
        buffer.initialize(from: row, count: row.count)
        return buffer
      }
      defer { for buffer in buffers { buffer.deallocate() } }
      withRows(dy, without: missing) { rows in
        buffers.enumerated().map { $0 == missing ? nil : UnsafePointer($1) }
          .withUnsafeBufferPointer {
            path.layers.max_unpool(
              rows, $0.baseAddress!, dx.address, &window, Int32(ld))
          }
      }
      #expect(dx.values == back.map(path.stored), "\(place), \(String(describing: missing))")
      #expect(dx.guardsAreWhole)
    }
  }

  /// What is not a number is the largest, wherever it stands.
  @Test(arguments: KernelPath.runnable)
  func whatIsNotANumberIsTheLargest(path: KernelPath) {
    let place = Placed((2, 2, 0, 1), width: 4)!
    var window = place.kernel
    for position in 0..<4 {
      var values = (0..<2).map { _ in [Float](repeating: 1, count: 4 * 16) }
      values[position / 2][position % 2 * 16 + 5] = .nan
      let inputs = values.map { Elements($0, path.precision) }
      let out = Elements(count: 2 * 16, path.precision)
      var winners = [UInt8](repeating: 99, count: 2 * 16)
      withRows(inputs, without: nil) {
        path.layers.max_pool($0, out.address, &winners, &window, 16)
      }
      #expect(out[5].isNaN && Int(winners[5]) == position && out[4] == 1)
    }
  }

  @Test func patchesOfAnImageHoldItsWindowsAndGoBack() {
    for (size, stride, pad, dilation) in Self.windows {
      for side in [5, 8, 13] {
        guard let place = Placed((size, stride, pad, dilation), width: side) else { continue }
        var draws = Draws(UInt64(size * 100 + side))
        let image = Elements(draws.dyadic(side * side * 3))
        let patch = size * size * 3
        let count = place.outputs * place.outputs * patch
        var window = place.kernel
        // Every patch's element, and where in the image it is.
        var sources = [Int?](repeating: nil, count: count)
        for r in 0..<place.outputs {
          for ky in 0..<size {
            let y = r * stride + ky * dilation - pad
            guard (0..<side).contains(y) else { continue }
            for kx in 0..<size {
              for (x, input) in place.pairs(kx) {
                for c in 0..<3 {
                  sources[(r * place.outputs + x) * patch + (ky * size + kx) * 3 + c] =
                    (y * side + input) * 3 + c
                }
              }
            }
          }
        }
        let out = Elements(count: count)
        rfm_image_patches(
          image.floats, out.floats, &window, Int32(pad), Int32(side), 0, Int32(place.outputs))
        #expect(out.values == sources.map { $0.map { image[$0] } ?? 0 }, "\(place)")
        #expect(out.guardsAreWhole)
        let gradients = Elements(draws.dyadic(count))
        var expected = [Float](repeating: 0, count: side * side * 3)
        for (i, source) in sources.enumerated() {
          if let source { expected[source] += gradients[i] }
        }
        let dx = Elements([Float](repeating: 0, count: side * side * 3))
        let half = place.outputs / 2
        for (r0, r1) in [(0, half), (half, place.outputs)] {
          rfm_image_unpatches(
            gradients.floats + r0 * place.outputs * patch, dx.floats, &window, Int32(pad),
            Int32(side), Int32(r0), Int32(r1))
        }
        #expect(dx.values == expected, "\(place)")
        #expect(dx.guardsAreWhole)
        withExtendedLifetime((image, gradients)) {}
      }
    }
  }
}

import CKernels
import Testing

/// The stem's patches and their inverse, exactly: see `Draws.dyadic`.
@Suite struct PatchKernelTests {
  private static let sizes = [(3, 3), (3, 7), (6, 4), (7, 7), (10, 5)]

  @Test(arguments: KernelPath.runnable, [true, false])
  func patchesAreTheNormalisedInputsOfEachOutput(path: KernelPath, rectified: Bool) {
    for (height, width) in Self.sizes {
      for channels in [16, 32] {
        var draws = Draws(31)
        let input = NormalisedMap(
          path, height: height, width: width, ld: channels, rectified: rectified, &draws)
        let (rows, columns) = (height - 2, width - 2)
        var activation = input.activation
        for (r0, r1) in rowRanges(rows) {
          let out = Elements(count: (r1 - r0) * columns * 9 * channels, path.precision)
          path.table.patches(
            &activation, Int32(channels), out.address, Int32(width), Int32(columns), Int32(r0),
            Int32(r1))
          var exact: [Double] = []
          for r in r0..<r1 {
            for x in 0..<columns {
              for tap in 0..<9 {
                for c in 0..<channels { exact.append(input.a(r + tap / 3, x + tap % 3, c)) }
              }
            }
          }
          expectEqual(out.values, exact, path, "\(height)x\(width), rows \(r0)..<\(r1)")
          #expect(out.guardsAreWhole)
        }
      }
    }
  }

  /// The sum over the patches that hold a pixel, from the patch rows that rows r0..<r1 need alone.
  private struct PatchGradients {
    let first: Int
    let elements: Elements
    let rows: Int
    let columns: Int
    let channels: Int

    init(_ path: KernelPath, _ input: NormalisedMap, r0: Int, r1: Int, _ draws: inout Draws) {
      rows = input.height - 2
      columns = input.width - 2
      channels = input.ld
      first = min(max(0, r0 - 2), rows)
      let end = max(first, min(rows, r1))
      elements = Elements(
        draws.dyadic((end - first) * columns * 9 * channels), path.precision)
    }

    func sum(_ r: Int, _ x: Int, _ c: Int) -> Double {
      var sum = 0.0
      for tap in 0..<9 {
        let (o, q) = (r - tap / 3, x - tap % 3)
        if o < 0 || o >= rows || q < 0 || q >= columns { continue }
        sum += Double(elements[(((o - first) * columns + q) * 9 + tap) * channels + c])
      }
      return sum
    }
  }

  @Test(arguments: KernelPath.runnable, [true, false])
  func unpatchSumsOverThePatchesThatHoldAPixel(path: KernelPath, rectified: Bool) {
    for (height, width) in Self.sizes {
      let channels = 32
      var draws = Draws(32)
      let input = NormalisedMap(
        path, height: height, width: width, ld: channels, rectified: rectified, &draws)
      let factor = Elements(draws.dyadic(channels, denominator: 4, limit: 6))
      var activation = input.activation
      for (r0, r1) in rowRanges(height) {
        let patches = PatchGradients(path, input, r0: r0, r1: r1, &draws)
        let dz = Elements(count: input.pixels * channels, path.precision)
        let scaled = Elements(count: input.pixels * channels, path.precision)
        var sums = draws.dyadic(2 * channels).map(Double.init)
        var exactSums = sums
        path.table.unpatch(
          &activation, Int32(channels), patches.elements.address, Int32(patches.first), dz.address,
          &sums, Int32(width), Int32(height - 2), Int32(width - 2), Int32(r0), Int32(r1))
        path.table.unpatch_input(
          &activation, Int32(channels), patches.elements.address, Int32(patches.first),
          factor.floats, scaled.address, Int32(width), Int32(height - 2), Int32(width - 2),
          Int32(r0), Int32(r1))
        var exact = [Double](repeating: .nan, count: input.pixels * channels)
        for r in r0..<r1 {
          for x in 0..<width {
            for c in 0..<channels {
              let gradient = input.passes(r, x, c) ? patches.sum(r, x, c) : 0
              exact[(r * width + x) * channels + c] = gradient
              exactSums[c] += gradient
              exactSums[channels + c] += gradient * input.y(r, x, c)
            }
          }
        }
        let what = "\(height)x\(width), rows \(r0)..<\(r1)"
        expectEqual(dz.values, exact, path, what)
        expectEqual(sums, exactSums, "sums, \(what)")
        let exactScaled = exact.enumerated().map { i, value in
          value * Double(factor[i % channels])
        }
        expectEqual(scaled.values, exactScaled, path, "with running statistics, \(what)")
        #expect(dz.guardsAreWhole && scaled.guardsAreWhole)
      }
    }
  }

  /// The first convolution's patches: three channels, stride 2, of images of any size.
  @Test(arguments: [(3, 3), (4, 5), (7, 7), (8, 11), (9, 6)])
  func imagePatchesAreTheInputsOfEachOutput(height: Int, width: Int) {
    var draws = Draws(33)
    let image = Elements(draws.dyadic(height * width * 3))
    let (rows, columns) = ((height - 3) / 2 + 1, (width - 3) / 2 + 1)
    for (r0, r1) in rowRanges(rows) {
      let count = (r1 - r0) * columns * 27
      let out = Elements(count: count)
      rfm_image_patches_f32(
        image.floats, out.floats, Int32(width), Int32(columns), Int32(r0), Int32(r1))
      func pixel(_ i: Int) -> Int {
        let (patch, place) = i.quotientAndRemainder(dividingBy: 27)
        let r = 2 * (r0 + patch / columns) + place / 9
        let x = 2 * (patch % columns) + place % 9 / 3
        return (r * width + x) * 3 + place % 3
      }
      #expect(out.values == (0..<count).map { image[pixel($0)] })
      #expect(out.guardsAreWhole)

      let patches = Elements(draws.dyadic(count))
      let before = draws.dyadic(height * width * 3)
      let dx = Elements(before)
      rfm_image_unpatch_f32(
        patches.floats, dx.floats, Int32(width), Int32(columns), Int32(r0), Int32(r1))
      var expected = before
      for i in 0..<count { expected[pixel(i)] += patches[i] }
      #expect(dx.values == expected)
      #expect(dx.guardsAreWhole)
    }
  }
}

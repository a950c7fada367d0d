/// Antialiased bilinear resizing, grey level for grey level what Pillow's
/// `Image.resize((w, h), Image.BILINEAR)` gives, so that shards packed here and images prepared in
/// Python train and test the same.
///
/// Each output pixel is a weighted mean of input pixels around its centre, by a triangle whose half
/// width is one input pixel when enlarging and the reduction factor when shrinking (so nothing is
/// skipped and no moiré arises: resampling traces are what a detector looks for). Rows first, then
/// columns, each in fixed point of 22 bits and rounded to 8 bits in between. (Pillow 13 sometimes
/// takes columns first where the two axes scale differently, which changes some pixels by one level;
/// square to square, which is what `pack` does, is the same in all its releases.)
public enum ImageResize {
  /// Bits after the point in a weight: 32 less 8 for the pixel less 2 to spare.
  static let precision = 22

  /// `image` at `width` × `height`.
  public static func bilinear(_ image: RGBImage, width: Int, height: Int) -> RGBImage {
    precondition(width > 0 && height > 0, "an image has at least one pixel")
    var pixels = image.pixels
    if width != image.width {
      let taps = Taps(from: image.width, to: width)
      pixels = horizontal(pixels, from: image.width, to: width, rows: image.height, taps)
    }
    if height != image.height {
      let taps = Taps(from: image.height, to: height)
      pixels = vertical(pixels, rowLength: width * 3, from: image.height, to: height, taps)
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  /// The weights along one axis: output i reads `count[i]` inputs from `first[i]` on, with weights
  /// from `i · stride` on.
  struct Taps {
    let stride: Int
    private(set) var first: [Int] = []
    private(set) var count: [Int] = []
    private(set) var weights: [Int32] = []

    init(from size: Int, to target: Int) {
      let scale = Double(size) / Double(target)
      let support = max(scale, 1)
      stride = 2 * Int(support.rounded(.up)) + 1
      first.reserveCapacity(target)
      count.reserveCapacity(target)
      weights.reserveCapacity(target * stride)
      for output in 0..<target {
        let centre = (Double(output) + 0.5) * scale
        let low = max(0, Int(centre - support + 0.5))
        let high = min(size, Int(centre + support + 0.5))
        let triangle = (low..<high).map { input in
          max(0, 1 - abs((Double(input) - centre + 0.5) / support))
        }
        let sum = triangle.reduce(0, +)
        first.append(low)
        count.append(high - low)
        for tap in 0..<stride {
          let weight = tap < triangle.count ? triangle[tap] / sum : 0
          weights.append(Int32(weight * Double(1 << precision) + 0.5))
        }
      }
    }
  }

  private static func horizontal(
    _ pixels: [UInt8], from size: Int, to target: Int, rows: Int, _ taps: Taps
  ) -> [UInt8] {
    let half = Int32(1) << (precision - 1)
    return pixels.withUnsafeBufferPointer { source in
      taps.weights.withUnsafeBufferPointer { weights in
        [UInt8](unsafeUninitializedCapacity: rows * target * 3) { out, initialised in
          for y in 0..<rows {
            for x in 0..<target {
              var from = (y * size + taps.first[x]) * 3
              let weight = x * taps.stride
              var (red, green, blue) = (half, half, half)
              for tap in 0..<taps.count[x] {
                let w = weights[weight + tap]
                red &+= Int32(source[from]) &* w
                green &+= Int32(source[from + 1]) &* w
                blue &+= Int32(source[from + 2]) &* w
                from += 3
              }
              let to = (y * target + x) * 3
              out[to] = level(red)
              out[to + 1] = level(green)
              out[to + 2] = level(blue)
            }
          }
          initialised = rows * target * 3
        }
      }
    }
  }

  private static func vertical(
    _ pixels: [UInt8], rowLength: Int, from size: Int, to target: Int, _ taps: Taps
  ) -> [UInt8] {
    let half = Int32(1) << (precision - 1)
    return pixels.withUnsafeBufferPointer { source in
      withUnsafeTemporaryAllocation(of: Int32.self, capacity: rowLength) { sums in
        [UInt8](unsafeUninitializedCapacity: target * rowLength) { out, initialised in
          for y in 0..<target {
            sums.update(repeating: half)
            for tap in 0..<taps.count[y] {
              let w = taps.weights[y * taps.stride + tap]
              let row = source.baseAddress! + (taps.first[y] + tap) * rowLength
              for x in 0..<rowLength { sums[x] &+= Int32(row[x]) &* w }
            }
            let to = out.baseAddress! + y * rowLength
            for x in 0..<rowLength { to[x] = level(sums[x]) }
          }
          initialised = target * rowLength
        }
      }
    }
  }

  @inline(__always)
  private static func level(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(max(sum >> precision, 0), 255))
  }
}

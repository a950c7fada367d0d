/// Puts an image together from rows as they are decoded. Where `factor` is more than 1, every
/// `factor` × `factor` block becomes its mean (blocks at the right and bottom edge may be smaller),
/// and no more than one row at full size is ever held.
enum RowReducer {
  /// The smallest factor that leaves at most `wholePixels` pixels.
  static func factor(width: Int, height: Int, wholePixels: Int) -> Int {
    var factor = 1
    while reduced(width, factor) * reduced(height, factor) > wholePixels { factor += 1 }
    return factor
  }

  private static func reduced(_ side: Int, _ factor: Int) -> Int { (side + factor - 1) / factor }

  /// `nextRow` is called `height` times with room for width × 3 bytes.
  static func collect(
    width: Int, height: Int, factor: Int,
    nextRow: (UnsafeMutablePointer<UInt8>) throws -> Void
  ) throws -> RGBImage {
    let (outWidth, outHeight) = (reduced(width, factor), reduced(height, factor))
    let count = outWidth * outHeight * 3
    let pixels = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
      let out = buffer.baseAddress!
      if factor == 1 {
        for y in 0..<height { try nextRow(out + y * width * 3) }
      } else {
        try reduce(width: width, height: height, factor: factor, into: out, nextRow: nextRow)
      }
      initialised = count
    }
    return RGBImage(width: outWidth, height: outHeight, pixels: pixels)
  }

  /// Of a picture that was decoded whole: the first 3 of `channels` bytes of each pixel, rows `stride`
  /// bytes apart.
  static func collect(
    width: Int, height: Int, pixels: UnsafePointer<UInt8>, channels: Int, stride: Int,
    wholePixels: Int
  ) throws -> RGBImage {
    var source = pixels
    return try collect(
      width: width, height: height,
      factor: factor(width: width, height: height, wholePixels: wholePixels)
    ) { row in
      if channels == 3 {
        row.update(from: source, count: width * 3)
      } else {
        for x in 0..<width {
          for c in 0..<3 { row[3 * x + c] = source[channels * x + c] }
        }
      }
      source += stride
    }
  }

  private static func reduce(
    width: Int, height: Int, factor: Int, into out: UnsafeMutablePointer<UInt8>,
    nextRow: (UnsafeMutablePointer<UInt8>) throws -> Void
  ) throws {
    let outWidth = reduced(width, factor)
    let row = UnsafeMutablePointer<UInt8>.allocate(capacity: width * 3)
    let sums = UnsafeMutablePointer<UInt64>.allocate(capacity: outWidth * 3)
    defer {
      row.deallocate()
      sums.deallocate()
    }
    for top in stride(from: 0, to: height, by: factor) {
      let rows = min(factor, height - top)
      sums.update(repeating: 0, count: outWidth * 3)
      for _ in 0..<rows {
        try nextRow(row)
        for block in 0..<outWidth {
          var (red, green, blue) = (0, 0, 0)
          for x in block * factor..<min((block + 1) * factor, width) {
            red += Int(row[3 * x])
            green += Int(row[3 * x + 1])
            blue += Int(row[3 * x + 2])
          }
          sums[3 * block] += UInt64(red)
          sums[3 * block + 1] += UInt64(green)
          sums[3 * block + 2] += UInt64(blue)
        }
      }
      let target = out + top / factor * outWidth * 3
      for block in 0..<outWidth {
        let area = UInt64(rows * (min((block + 1) * factor, width) - block * factor))
        for channel in 3 * block..<3 * block + 3 {
          target[channel] = UInt8((sums[channel] + area / 2) / area)
        }
      }
    }
  }
}

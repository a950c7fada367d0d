import Images

/// A colour image's brightness, grey level for grey level what OpenCV's `cvtColor(…, COLOR_RGB2GRAY)`
/// gives: the weights of BT.601, 0.299, 0.587 and 0.114, in fixed point of 15 bits, rounded.
enum GreyLevels {
  /// [height, width] of the image's pixels.
  static func of(_ image: RGBImage) -> [UInt8] {
    let count = image.width * image.height
    return image.pixels.withUnsafeBufferPointer { pixels in
      [UInt8](unsafeUninitializedCapacity: count) { grey, initialised in
        for i in 0..<count {
          let red = UInt32(pixels[3 * i]) &* 9798
          let green = UInt32(pixels[3 * i + 1]) &* 19235
          let blue = UInt32(pixels[3 * i + 2]) &* 3735
          grey[i] = UInt8(truncatingIfNeeded: (red &+ green &+ blue &+ (1 << 14)) >> 15)
        }
        initialised = count
      }
    }
  }
}

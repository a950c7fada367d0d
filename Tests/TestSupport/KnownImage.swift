import Images

/// Images whose every byte is known.
public enum KnownImage {
  /// (height, width, 3), another one for every `i`.
  public static func pixels(_ i: Int, height: Int, width: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<3 {
          bytes.append(UInt8(truncatingIfNeeded: i * 37 + y * 11 + x * 5 + c * 71))
        }
      }
    }
    return bytes
  }

  /// The same integers as `pattern` in Tests/Oracle/images.py.
  public static func pattern(width: Int, height: Int) -> RGBImage {
    var pixels = [UInt8]()
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<3 {
          let value = x * x * 7 + y * x * 13 + c * 91 + ((x * y) ^ (x + y)) * 5
          pixels.append(UInt8(value & 255))
        }
      }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }
}

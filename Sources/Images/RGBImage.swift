/// An image as all of `rfm` holds it: 8-bit RGB, rows from the top, `[height, width, 3]`.
public struct RGBImage: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// height × width × 3 values.
  public var pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0, "an image has at least one pixel")
    precondition(
      pixels.count == width * height * 3,
      "expected \(width)×\(height)×3 values, found \(pixels.count)")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// A part of the image.
  public func cropped(left: Int, top: Int, width: Int, height: Int) -> RGBImage {
    precondition(
      left >= 0 && top >= 0 && width > 0 && height > 0 && left + width <= self.width
        && top + height <= self.height, "the part must lie inside the image")
    if width == self.width && height == self.height { return self }
    var part = [UInt8]()
    part.reserveCapacity(width * height * 3)
    for y in top..<top + height {
      let start = (y * self.width + left) * 3
      part.append(contentsOf: pixels[start..<start + width * 3])
    }
    return RGBImage(width: width, height: height, pixels: part)
  }

  /// The largest square around the centre; where the margin is odd, the larger half is cut from the
  /// right or the bottom.
  public func centreSquare() -> RGBImage {
    let side = min(width, height)
    return cropped(
      left: (width - side) / 2, top: (height - side) / 2, width: side, height: side)
  }
}

import Images

/// Which pixels of a frame are forged: a picture of one channel, forged from 128 on.
public struct GreyMask: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// [height, width].
  public let pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == width * height)
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// Of a picture of a mask: each pixel's largest channel, since masks are also drawn in colour.
  ///
  /// - Parameter threshold: the least value that is forged. 1 is for masks of zeros and ones; one
  ///   picture can't tell, since compression leaves ones in black frames too.
  public init(_ image: RGBImage, forgedFrom threshold: UInt8 = 128) {
    let pixels = image.pixels.withUnsafeBufferPointer { source in
      (0..<image.width * image.height).map {
        let level = max(source[3 * $0], source[3 * $0 + 1], source[3 * $0 + 2])
        return threshold == 128 ? level : level >= threshold ? 255 : 0
      }
    }
    self.init(width: image.width, height: image.height, pixels: pixels)
  }

  /// Whether anything is forged.
  public var isMarked: Bool { pixels.contains { $0 >= 128 } }

  /// How many forged pixels lie in a box.
  func count(in box: FaceBox) -> Int {
    let columns = Self.range(box.left, box.right, below: width)
    let rows = Self.range(box.top, box.bottom, below: height)
    return pixels.withUnsafeBufferPointer { pixels in
      rows.reduce(0) { sum, y in
        columns.reduce(sum) { $0 + (pixels[y * width + $1] >= 128 ? 1 : 0) }
      }
    }
  }

  private static func range(_ first: Float, _ last: Float, below limit: Int) -> Range<Int> {
    let low = Int(min(max(first, 0), Float(limit)))
    let high = Int(min(max(last + 1, 0), Float(limit)))
    return low..<max(low, high)
  }
}

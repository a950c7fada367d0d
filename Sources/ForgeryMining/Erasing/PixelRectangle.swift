/// A rectangle of pixels inside an image.
public struct PixelRectangle: Equatable, Codable, Sendable {
  /// The first row.
  public var top: Int
  /// The first column.
  public var left: Int
  /// Rows, from `top` down.
  public var height: Int
  /// Columns, from `left` to the right.
  public var width: Int

  public init(top: Int, left: Int, height: Int, width: Int) {
    self.top = top
    self.left = left
    self.height = height
    self.width = width
  }

  /// Whether the pixel lies inside.
  public func contains(row: Int, column: Int) -> Bool {
    row >= top && row < top + height && column >= left && column < left + width
  }
}

/// A mask of the pixels that any of the rectangles covers.
///
/// - Returns: `[height, width]`, 255 where covered and 0 elsewhere, as masks of shards are.
public func coverage(of rectangles: [PixelRectangle], height: Int, width: Int) -> [UInt8] {
  var mask = [UInt8](repeating: 0, count: height * width)
  for rectangle in rectangles {
    precondition(
      rectangle.top >= 0 && rectangle.left >= 0 && rectangle.top + rectangle.height <= height
        && rectangle.left + rectangle.width <= width,
      "coverage: expected rectangles inside \(height)×\(width), got \(rectangle)")
    for row in rectangle.top..<rectangle.top + rectangle.height {
      for column in rectangle.left..<rectangle.left + rectangle.width {
        mask[row * width + column] = 255
      }
    }
  }
  return mask
}

import Images

/// Pictures of one size side by side in rows, with nothing but paper between them.
public enum PictureGrid {
  /// Red, green and blue of the paper.
  public static let paper = SIMD3<UInt8>(250, 250, 248)

  /// - Parameters:
  ///   - pictures: at least one, all of one size.
  ///   - columns: pictures in a row at most.
  ///   - gap: pixels between two of them.
  public static func render(_ pictures: [RGBImage], columns: Int, gap: Int) -> RGBImage {
    precondition(!pictures.isEmpty && columns > 0, "a grid needs at least one picture and column")
    let (width, height) = (pictures[0].width, pictures[0].height)
    precondition(
      pictures.allSatisfy { $0.width == width && $0.height == height },
      "pictures of \(width)×\(height) were expected")
    let columns = min(columns, pictures.count)
    let rows = (pictures.count + columns - 1) / columns
    let gridWidth = columns * (width + gap) - gap
    let gridHeight = rows * (height + gap) - gap
    var grid = RGBImage(
      width: gridWidth, height: gridHeight,
      pixels: (0..<gridWidth * gridHeight * 3).map { paper[$0 % 3] })
    for (index, picture) in pictures.enumerated() {
      let left = index % columns * (width + gap)
      let top = index / columns * (height + gap)
      for row in 0..<height {
        let start = ((top + row) * gridWidth + left) * 3
        grid.pixels.replaceSubrange(
          start..<start + width * 3, with: picture.pixels[row * width * 3..<(row + 1) * width * 3])
      }
    }
    return grid
  }
}

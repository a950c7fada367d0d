import Images

/// The square of an image that an unaligned crop shows.
struct SquareRegion: Equatable {
  let left: Int
  let top: Int
  let side: Int

  /// The box's longer side times `margin`, around the box's centre, moved into the image at its left and
  /// top and shortened at its right and bottom: whole number for whole number what FaceForensics++'s
  /// `get_boundingbox` gives, which counts `right − left` as a side and rounds down. Nil where nothing of
  /// it lies in the image.
  init?(around box: FaceBox, margin: Double, width: Int, height: Int) {
    // Bounds that no box of a real image reaches, so that nothing overflows.
    let limit: Float = 0x1p40
    let corners = box.corners
    guard corners.allSatisfy({ abs($0) < limit }) else { return nil }
    let (left, top, right, bottom) = (
      Int(corners[0]), Int(corners[1]), Int(corners[2]), Int(corners[3])
    )
    let side = Int(Double(max(right - left, bottom - top)) * margin)
    // Shifts round towards −∞, as Python's // does.
    let x = max(((left + right) >> 1) - (side >> 1), 0)
    let y = max(((top + bottom) >> 1) - (side >> 1), 0)
    self.left = x
    self.top = y
    self.side = min(side, width - x, height - y)
    guard self.side > 0 else { return nil }
  }

  func cut(_ image: RGBImage, size: Int) -> RGBImage {
    ImageResize.bilinear(
      image.cropped(left: left, top: top, width: side, height: side), width: size, height: size)
  }

  /// A point of the image in pixels of the crop, resized to `size`.
  func place(_ point: SIMD2<Float>, size: Int) -> SIMD2<Float> {
    let scale = Float(size) / Float(side)
    return (point - SIMD2(Float(left), Float(top)) + 0.5) * scale - 0.5
  }
}

import Images

/// A picture seen through a similarity transform, as OpenCV's `warpAffine` has it: each pixel of the
/// result is looked up at one place of the source, bilinearly between four pixels, without a mean over
/// what lies between when it shrinks; what lies outside the source is 0. (OpenCV rounds places to 1/32 of
/// a pixel; this does not.)
enum ImageWarp {
  /// - Parameter transform: from pixels of the source to pixels of the result.
  /// - Returns: [size, size, channels], or nil if the transform can't be turned around.
  static func warp(
    _ source: [UInt8], width: Int, height: Int, channels: Int, by transform: SimilarityTransform,
    size: Int
  ) -> [UInt8]? {
    precondition(source.count == width * height * channels)
    guard let back = transform.inverse else { return nil }
    return source.withUnsafeBufferPointer { source in
      [UInt8](unsafeUninitializedCapacity: size * size * channels) { out, initialised in
        out.update(repeating: 0)
        for y in 0..<size {
          for x in 0..<size {
            let place = back(SIMD2(Double(x), Double(y)))
            // Also false for what is not a number.
            guard place.x > -1, place.y > -1, place.x < Double(width), place.y < Double(height)
            else { continue }
            let (left, top) = (Int(place.x.rounded(.down)), Int(place.y.rounded(.down)))
            let across = Float(place.x - Double(left))
            let down = Float(place.y - Double(top))
            let to = (y * size + x) * channels
            for channel in 0..<channels {
              func level(_ row: Int, _ column: Int) -> Float {
                guard row >= 0, row < height, column >= 0, column < width else { return 0 }
                return Float(source[(row * width + column) * channels + channel])
              }
              let upper = level(top, left) * (1 - across) + level(top, left + 1) * across
              let lower = level(top + 1, left) * (1 - across) + level(top + 1, left + 1) * across
              out[to + channel] = UInt8((upper * (1 - down) + lower * down).rounded())
            }
          }
        }
        initialised = size * size * channels
      }
    }
  }
}

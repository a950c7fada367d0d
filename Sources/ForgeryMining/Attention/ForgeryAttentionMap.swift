/// Forgery Attention Map (FAM): how sensitive the decision is to each pixel.
///
/// Wang & Deng, "Representative Forgery Mining for Fake Face Detection", CVPR 2021, section 3.
/// For an image x with logits z = (z_real, z_fake),
///
///     FAM(x)[i, j] = max_c | ∂z_fake/∂x[i, j, c] − ∂z_real/∂x[i, j, c] |
///
/// Differentiation is linear, so the difference of the two gradients is one backward pass whose
/// seed at the logits is (−1, +1). That pass belongs to the network; what remains here is the
/// maximum over channels.
///
/// **Logits or probabilities.** Let p = softmax(z). Because p_fake = σ(z_fake − z_real),
///
///     ∂(p_fake − p_real)/∂x = 2 · p_fake · p_real · ∂(z_fake − z_real)/∂x
///
/// and the factor is one positive number per image. Ranking the pixels, or scaling the map of one
/// image to [0, 1], therefore gives the same answer for logits and for probabilities. Logits are
/// used because p_fake · p_real vanishes in float32 once the detector is confident, and the map
/// with it.
///
/// - Parameters:
///   - inputGradient: gradient of (z_fake − z_real) with respect to the image,
///     `[height, width, channels]`.
///   - height: rows of the image.
///   - width: columns of the image.
///   - channels: channels of the image, at least 1.
///   - map: receives the map, `[height, width]`; not negative. A NaN in a pixel's gradient makes
///     the pixel NaN, so that a broken backward pass stays visible.
public func forgeryAttentionMap(
  inputGradient: UnsafeBufferPointer<Float>, height: Int, width: Int, channels: Int = 3,
  into map: UnsafeMutableBufferPointer<Float>
) {
  precondition(channels >= 1, "forgeryAttentionMap: expected at least one channel, got \(channels)")
  precondition(
    inputGradient.count == height * width * channels,
    "forgeryAttentionMap: expected a gradient of \(height)×\(width)×\(channels) values, "
      + "got \(inputGradient.count)")
  precondition(
    map.count == height * width,
    "forgeryAttentionMap: expected a map of \(height)×\(width) values, got \(map.count)")
  for pixel in 0..<height * width {
    // The bits of magnitudes order as the magnitudes do, and those of NaN are above them all: this
    // maximum needs no branch and keeps every NaN.
    var largest: UInt32 = 0
    for channel in 0..<channels {
      largest = max(largest, inputGradient[pixel * channels + channel].magnitude.bitPattern)
    }
    map[pixel] = Float(bitPattern: largest)
  }
}

/// The Forgery Attention Map of one image, as an array; see the buffer version for the formula.
///
/// - Returns: the map, `[height, width]`.
public func forgeryAttentionMap(
  inputGradient: [Float], height: Int, width: Int, channels: Int = 3
) -> [Float] {
  [Float](unsafeUninitializedCapacity: height * width) { map, count in
    map.initialize(repeating: 0)
    inputGradient.withUnsafeBufferPointer {
      forgeryAttentionMap(
        inputGradient: $0, height: height, width: width, channels: channels,
        into: UnsafeMutableBufferPointer(rebasing: map[..<(height * width)]))
    }
    count = height * width
  }
}

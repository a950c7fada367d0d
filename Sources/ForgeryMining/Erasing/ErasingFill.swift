import Tensors

/// What erased pixels are replaced by.
public enum ErasingFill: String, Codable, CaseIterable, Sendable {
  /// Independent uniform noise in every channel of every pixel.
  case noise
  /// Zero in normalised space, which is mid-grey.
  case zero
  /// The mean of each channel over this image as it was before erasing.
  ///
  /// The image's own mean, not the data set's: with the normalisation by mean 0.5 the latter is
  /// close to `zero`, and it would need a pass over all data.
  case mean
}

/// Fills rectangles of an image.
///
/// Noise is drawn rectangle by rectangle in the order given, row by row from the top, in the order of
/// memory; where rectangles overlap the later one is seen.
///
/// - Parameters:
///   - image: `[height, width, channels]`, changed in place.
///   - rectangles: inside the image.
///   - noise: range of the noise, in normalised space.
func fill(
  _ rectangles: UnsafeBufferPointer<PixelRectangle>,
  of image: UnsafeMutableBufferPointer<Float>, width: Int, channels: Int,
  with fill: ErasingFill, noise: ClosedRange<Float>, draws: inout CounterGenerator
) {
  withChannelMeans(of: image, channels: channels, wanted: fill == .mean) { means in
    for rectangle in rectangles {
      for row in rectangle.top..<rectangle.top + rectangle.height {
        let start = (row * width + rectangle.left) * channels
        let line = UnsafeMutableBufferPointer(
          rebasing: image[start..<start + rectangle.width * channels])
        replace(line, with: fill, means: means, noise: noise, draws: &draws)
      }
    }
  }
}

/// Fills the pixels of an image that the mask marks with anything but 0, in the order of memory.
///
/// - Parameters:
///   - mask: `[height, width]`.
///   - image: `[height, width, channels]`, changed in place.
func fill(
  mask: UnsafeBufferPointer<UInt8>, of image: UnsafeMutableBufferPointer<Float>, channels: Int,
  with fill: ErasingFill, noise: ClosedRange<Float>, draws: inout CounterGenerator
) {
  withChannelMeans(of: image, channels: channels, wanted: fill == .mean) { means in
    for pixel in 0..<mask.count where mask[pixel] != 0 {
      let values = UnsafeMutableBufferPointer(
        rebasing: image[pixel * channels..<(pixel + 1) * channels])
      replace(values, with: fill, means: means, noise: noise, draws: &draws)
    }
  }
}

/// Replaces consecutive whole pixels.
private func replace(
  _ values: UnsafeMutableBufferPointer<Float>, with fill: ErasingFill,
  means: UnsafeMutableBufferPointer<Double>, noise: ClosedRange<Float>,
  draws: inout CounterGenerator
) {
  switch fill {
  case .noise: draws.fillUniform(values, low: noise.lowerBound, high: noise.upperBound)
  case .zero: values.update(repeating: 0)
  case .mean:
    for index in 0..<values.count { values[index] = Float(means[index % means.count]) }
  }
}

/// Calls the body with the mean of each channel (or with zeros where they are not wanted); on the
/// stack, as a training step allocates nothing.
private func withChannelMeans(
  of image: UnsafeMutableBufferPointer<Float>, channels: Int, wanted: Bool,
  _ body: (UnsafeMutableBufferPointer<Double>) -> Void
) {
  withUnsafeTemporaryAllocation(of: Double.self, capacity: channels) { means in
    means.initialize(repeating: 0)
    if wanted && !image.isEmpty {
      for index in 0..<image.count { means[index % channels] += Double(image[index]) }
      for channel in 0..<channels { means[channel] /= Double(image.count / channels) }
    }
    body(means)
  }
}
